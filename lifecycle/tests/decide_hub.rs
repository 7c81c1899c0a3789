//! The supervisor itself goes away.

use lifecycle::{Effects, EventBody, Fact, HubWord, LinkKind};
use protocol::shim::{Record, SenderRecord};
use protocol::{ArchiveReason, Basis, StopReason};

use crate::support::*;

const DRAINS: Fact = Fact::Hub(HubWord::Drains(StopReason::HubRestart));

fn draining() -> Run {
    let mut run = Run::running(spec());
    let body = EventBody::HubDraining {
        reason: StopReason::HubRestart,
    };
    assert_eq!(run.fact(10, DRAINS), effects(vec![event(10, body)], vec![]));
    assert_eq!(run.fact(11, DRAINS), Effects::default(), "said once");
    run
}

fn recovered(run: &mut Run) {
    let gone = EventBody::HubGone {
        reason: StopReason::HubRestart,
    };
    let seen = run.fact(20, Fact::Recovered);
    assert_eq!(seen.events, vec![event(20, gone)]);
    assert_eq!(run.fact(21, Fact::Recovered).events, vec![], "said once");
}

fn lost(run: &mut Run) -> (ArchiveReason, Basis) {
    run.fact(40, Fact::ShimGone);
    run.fact(50, Fact::TreeSwept(sweep(50)));
    (run.ending().reason, run.ending().basis)
}

fn seen_from(pid: i32, comm: &str) -> Record {
    Record::SignalSeen {
        at: at(15),
        signal: TERM,
        sender: SenderRecord {
            pid,
            comm: Some(comm.to_string()),
            ..SenderRecord::default()
        },
    }
}

#[test]
fn what_is_gone_after_a_drain_that_was_cut_off_has_its_reason() {
    let mut run = draining();
    recovered(&mut run);
    assert_eq!(lost(&mut run), (ArchiveReason::HubRestart, Basis::Inferred));
    assert_eq!(run.ending().ended_by.as_deref(), Some("supervisor"));
}

#[test]
fn a_shim_that_dies_under_a_supervisor_that_drains_is_lost() {
    let mut run = draining();
    assert_eq!(lost(&mut run), (ArchiveReason::ShimLost, Basis::Observed));
}

#[test]
fn a_shim_that_is_adopted_had_survived_the_drain() {
    let mut run = draining();
    recovered(&mut run);
    run.fact(25, Fact::LinkUp(LinkKind::Adopted(shim())));
    assert_eq!(lost(&mut run), (ArchiveReason::ShimLost, Basis::Observed));
}

#[test]
fn a_drain_that_was_called_off_explains_nothing() {
    let mut run = draining();
    let seen = run.fact(12, Fact::Hub(HubWord::Admits));
    assert_eq!(seen.events, vec![event(12, EventBody::HubAdmitting {})]);
    assert_eq!(run.fact(13, Fact::Hub(HubWord::Admits)), Effects::default());
    assert_eq!(run.fact(20, Fact::Recovered).events, vec![]);
    assert_eq!(lost(&mut run), (ArchiveReason::ShimLost, Basis::Observed));
}

#[test]
fn a_signal_of_the_service_manager_is_explained_by_the_drain_alone() {
    for (pid, comm, reason) in [
        (1, "systemd", ArchiveReason::HubRestart),
        (812, "systemd", ArchiveReason::HubRestart),
        (812, "bash", ArchiveReason::ExternalSignal),
    ] {
        let mut run = draining();
        run.record(seen_from(pid, comm));
        run.finish(19, signal(TERM));
        let ending = run.ending();
        assert_eq!((ending.reason, ending.basis), (reason, Basis::Observed));
    }
    let mut run = Run::running(spec());
    run.record(seen_from(1, "systemd"));
    run.finish(19, signal(TERM));
    assert_eq!(run.ending().reason, ArchiveReason::ExternalSignal);
}

#[test]
fn a_reboot_is_a_shutdown_where_one_was_announced() {
    for (reason, expected) in [
        (StopReason::HostShutdown, ArchiveReason::HostShutdown),
        (StopReason::HubRestart, ArchiveReason::HostReboot),
    ] {
        let mut run = Run::running(spec());
        run.fact(10, Fact::Hub(HubWord::Drains(reason)));
        run.fact(20, Fact::Recovered);
        let detail = "another boot".to_string();
        run.fact(30, Fact::HostRebooted { detail });
        let ending = run.ending();
        assert_eq!((ending.reason, ending.basis), (expected, Basis::Inferred));
    }
}
