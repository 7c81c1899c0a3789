//! Many clients at once, and a supervisor that dies among them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::thread;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tests::harness::{GENEROUS, Http, Supervisor, World, wait_for};

const CONFIG: &str = "[http]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n\
    [limits]\nmax_tasks = 1000\n";

const CLIENTS: usize = 200;

fn answering(world: &World) -> Http {
    wait_for("a gateway", GENEROUS, || {
        let http = world.http();
        http.try_ask("GET", "/healthz", "").map(|_| http)
    })
}

/// Where the supervisor dies under the load, and after how many hits: before and after an
/// answer leaves, and between a commit and its answers. Of commits there are few: a
/// hundred inputs share one.
const DEATHS: [(&str, usize); 3] = [
    ("sup.http_send.before", 40),
    ("sup.http_send.after", 40),
    ("sup.commit.after", 1),
];

/// Posts each of `ids` once, all at the same time; gives those that were answered, with the
/// status.
fn post_all(world: &World, http: &Http, ids: &[String]) -> Vec<(String, u16)> {
    let answered = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for id in ids {
            let (http, answered) = (http.with("content-type", "application/json"), &answered);
            let body = world.task_body(id, &["exit:0"]).to_string();
            scope.spawn(move || {
                if let Ok(answer) = http.try_ask("POST", "/v1/tasks", &body) {
                    assert!([200, 201].contains(&answer.status), "{answer:?}");
                    let told = (id.clone(), answer.status);
                    answered.lock().expect("nobody panicked").push(told);
                }
            });
        }
    });
    answered.into_inner().expect("nobody panicked")
}

/// Clients that send half a request, and clients that read nothing, are there all the time.
fn bad_company(http: &Http) -> Vec<TcpStream> {
    let connect = |request: &[u8]| {
        let mut stream = TcpStream::connect(http.address()).expect("it listens");
        stream.write_all(request).expect("it reads");
        stream
    };
    let half = (0..20).map(|_| connect(b"POST /v1/tasks HTTP/1.1\r\ncontent-le"));
    let silent = (0..20).map(|_| connect(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    half.chain(silent).collect()
}

/// The supervisor dies three times under two hundred clients: every answer that one of them saw
/// is in the ledger, and who was not answered asks again and has one task.
#[test]
fn two_hundred_clients_and_three_deaths_make_two_hundred_tasks() {
    let world = World::builder()
        .config(CONFIG)
        .hooks(DEATHS.map(|(point, _)| point))
        .build();
    world.write_token();
    let ids: Vec<String> = (0..CLIENTS).map(|n| format!("load-{n}")).collect();
    for id in &ids {
        let records = tests::harness::Records::new(world.path(&format!("{id}.record")));
        world.oracle().agents.push((id.clone(), records));
    }
    let mut told: BTreeSet<String> = BTreeSet::new();
    for (point, after) in DEATHS {
        let supervisor = world.start();
        let http = answering(&world);
        let _company = bad_company(&http);
        world.hooks().arm_death_after(point, after);
        let open: Vec<String> = ids
            .iter()
            .filter(|id| !told.contains(*id))
            .cloned()
            .collect();
        let answered = post_all(&world, &http, &open);
        let _dead = world.hooks().died(point);
        let _status = supervisor.ended();
        println!(
            "{point}: {} of {} were answered",
            answered.len(),
            open.len()
        );
        told.extend(answered.into_iter().map(|(id, _)| id));
        let rows = world.ledger().tasks();
        for id in &told {
            let has_row = rows.iter().any(|row| row.text("id") == Some(id.as_str()));
            assert!(has_row, "{id} was answered and has no row");
        }
    }
    let _last = world.start();
    let http = answering(&world);
    let answered = post_all(&world, &http, &ids);
    assert_eq!(answered.len(), CLIENTS);
    for (id, status) in answered {
        assert!(
            !(status == 201 && told.contains(&id)),
            "{id} was made twice"
        );
    }
    for id in &ids {
        let _ended = world.ended(id);
    }
    let ran_twice = |(id, records): &(String, tests::harness::Records)| {
        (records.leaders().len() > 1).then(|| id.clone())
    };
    let twice: Vec<String> = world.oracle().agents.iter().filter_map(ran_twice).collect();
    assert!(twice.is_empty(), "{twice:?} ran twice");
    assert_eq!(world.ledger().tasks().len(), CLIENTS);
    world.oracle().acknowledged.extend(ids);
    world.check();
}

/// Resident memory in KiB.
fn memory_kib(supervisor: &Supervisor) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", supervisor.process.pid));
    let status = status.expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.and_then(|line| line.split_whitespace().next());
    words.and_then(|kib| kib.parse().ok()).expect("a number")
}

/// A thousand that follow the events cost the others nothing, and little memory.
#[test]
fn a_thousand_idle_subscribers_are_served() {
    // Measured: 22. Most of it is what hyper reads ahead.
    const MOST_KIB_EACH: u64 = 48;
    let world = World::builder().config(CONFIG).build();
    world.write_token();
    let supervisor = world.start();
    let http = answering(&world);
    let before = memory_kib(&supervisor);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("it has one");
    assert!(
        hard >= 4096,
        "too few descriptors for this test: {soft}, {hard}"
    );
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit");
    let mut sources: Vec<_> = (0..1000).map(|_| http.lines("/v1/events")).collect();
    let each = memory_kib(&supervisor).saturating_sub(before) / 1000;
    println!("{each} KiB for each idle subscriber");
    assert!(each <= MOST_KIB_EACH, "{each} KiB for each");
    let task = world.post_task(&http, &["exit:0"]);
    let _ended = world.ended(&task.id);
    for source in &mut sources {
        let mut lines = source.by_ref().map_while(Result::ok);
        assert!(lines.any(|line| line == "event: task.ended"));
    }
    world.check();
}
