//! Conversations: one that is lost and begun again, one that is given back, one that is
//! reopened.

use std::path::Path as FilePath;
use std::sync::Arc;

use super::case::Case;
use crate::harness::{Background, GENEROUS, Row, Run, Supervisor, wait_until};

const KEY: &str = "crash:talk";

impl Case<'_> {
    fn talk(&self, prompt: &str) -> Run<'_> {
        self.world
            .run()
            .provider("claude")
            .key(KEY)
            .prompt(prompt)
            .option("--env", "TOKEN=t")
    }

    /// A task of the conversation that has ended, and its session.
    fn talked(&self, prompt: &str) -> (String, String) {
        let task = self.talk(prompt).detached();
        let ended = self.world.ended(&task.id);
        let session = ended["session_id"].as_str().expect("a session").to_owned();
        let settled = self.world.task_dir(&task.id).join("settled");
        wait_until("all that follows its end", GENEROUS, || {
            settled.exists() && self.world.shim_of(&task.id).is_none() && self.is_quiet()
        });
        (task.id, session)
    }

    /// A session that its provider does not know: its task ends, and one fresh task
    /// follows, neither none nor two, whoever died.
    pub(super) fn follow(&self) {
        self.world.install_fake("claude");
        let supervisor = self.start();
        let (_first, session) = self.talked("env:TOKEN");
        let file = self.world.path("home/.fake-claude").join(&session);
        std::fs::remove_file(&file).expect("the conversation is forgotten");
        self.arm_when_quiet();
        let run = self.talk("env:TOKEN");
        let lost = run.task_id().to_owned();
        let client = run.in_background();
        let followers = || -> Vec<Row> {
            let tasks = self.world.ledger().tasks().into_iter();
            tasks
                .filter(|row| row.text("fresh_after") == Some(&lost))
                .collect()
        };
        let is_over = |row: &Row| {
            let id = row.text("id").expect("an id");
            let ended = !matches!(row.text("status"), Some("queued" | "running"));
            let settled = self.world.task_dir(id).join("settled").exists();
            ended && settled && self.world.shim_of(id).is_none()
        };
        let answered = || client.has_ended() && followers().iter().all(is_over);
        let supervisor = self.to_the_end_of(supervisor, &lost, &answered);
        self.answered(client);
        let row = self.world.ledger().task(&lost).expect("it has a row");
        let why = row.text("archive_reason").unwrap_or_default().to_owned();
        let wanted = usize::from(why == "session_not_found");
        let follow = followers();
        assert_eq!(
            follow.len(),
            wanted,
            "{why} after {}: {follow:?}",
            self.point
        );
        for next in follow {
            let why = next.text("archive_reason").unwrap_or_default().to_owned();
            assert!(
                ["completed", "spawn_failed", "shim_lost"].contains(&why.as_str()),
                "{why} after {}",
                self.point
            );
            assert!(next.is_null("resumed_session_id"), "it is fresh: {next:?}");
        }
        self.the_key_is_free(&supervisor);
    }

    /// The operator gives a session back.
    pub(super) fn release(&self) {
        self.world.install_fake("claude");
        let supervisor = self.start();
        let (task, session) = self.talked("result:error:no");
        let file = self.world.task_dir(&task).join("settled");
        self.given_back(supervisor, &session, &file);
    }

    /// The same when retention has taken its task.
    pub(super) fn release_pruned(&self) {
        self.world.install_fake("claude");
        let supervisor = self.start();
        let (task, session) = self.talked("result:error:no");
        self.world.may_go(&[&task]);
        let _gone = self.world.prune(&["--older-than", "0s"]);
        assert!(self.world.ledger().task(&task).is_none());
        self.world.oracle().acknowledged.clear();
        let file = self.world.task_dir("pruned.sessions");
        self.given_back(supervisor, &session, &file);
    }

    /// Once it was acknowledged it stays so, in the ledger and in the file that a rebuild
    /// reads.
    fn given_back(&self, supervisor: Arc<Supervisor>, session: &str, file: &FilePath) {
        let release = ["sessions", "release", KEY, "--json"];
        self.arm_when_quiet();
        let client = Background::start(self.world.ctl_command(&release));
        let mut supervisor = supervisor;
        wait_until("the answer to a release", GENEROUS, || {
            supervisor = self.alive(Arc::clone(&supervisor));
            client.has_ended() && self.is_quiet()
        });
        self.world.hooks().disarm();
        let supervisor = self.after_a_late_death(supervisor);
        let told = client.output();
        let state = |row: &Row| row.text("state") == Some("resumable");
        let given = || self.world.ledger().sessions_of(KEY).iter().all(state);
        match told.code() {
            0 => assert!(given(), "acknowledged, after {}", self.point),
            // It was not heard of again: nobody knows, and it can be asked for again.
            _ => {
                let _again = self.world.ctl(&release).ok();
                assert!(given(), "after {}", self.point);
            }
        }
        wait_until("the operator's word in the folder", GENEROUS, || {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let said = text.replace(' ', "").contains("\"state\":\"resumable\"");
            said && self.is_quiet()
        });
        supervisor.kill();
        let mut recover = self.world.command(self.world.bins().supervisor());
        recover.arg("recover");
        let _rebuilt = self.world.finish(recover).ok();
        let supervisor = self.start();
        assert!(given(), "rebuilt, after {}", self.point);
        let (next, _) = self.talked("env:TOKEN");
        assert_eq!(self.world.show(&next)["resumed"], session);
        assert!(supervisor.has_ended().is_none(), "{}", supervisor.log());
    }

    /// The conversation goes on once, and its task is in the lists again.
    pub(super) fn reopen(&self) {
        self.world.install_fake("claude");
        let supervisor = self.start();
        let (first, session) = self.talked("env:TOKEN");
        let _archived = self.world.ctl(&["archive", &first]).ok();
        self.arm_when_quiet();
        let words = [
            "reopen",
            &first,
            "--prompt",
            "env:TOKEN",
            "--env",
            "TOKEN=t",
        ];
        self.succeeded(supervisor, &words, &[]);
        let row = self.world.ledger().task("next").expect("it has a row");
        assert_eq!(row.text("reopened_from"), Some(first.as_str()));
        assert_eq!(row.text("resumed_session_id"), Some(session.as_str()));
        assert_eq!(
            self.world.show(&first)["archived"],
            false,
            "after {}",
            self.point
        );
    }
}
