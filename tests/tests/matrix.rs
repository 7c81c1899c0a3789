//! The fault matrix, each cell once (`cargo xtask matrix` prints it as a table).
//! F13 is in `pids.rs`, alone.

use tests::matrix::{Fault, Home, run_all, run_all_units};

macro_rules! faults {
    ($($name:ident: $fault:ident;)+) => {
        $(#[test]
        fn $name() {
            run_all(Fault::$fault);
        })+
    };
}

faults! {
    f0_nothing_happens_and_the_moment_is_bad: Nothing;
    f1_the_supervisor_is_killed: Supervisor;
    f2_the_shim_is_killed: Shim;
    f3_the_agent_is_killed: Agent;
    f4_supervisor_and_shim_are_killed: SupervisorAndShim;
    f5_supervisor_and_agent_are_killed: SupervisorAndAgent;
    f6_the_supervisor_stands_still: FrozenSupervisor;
    f8_the_supervisor_crashes_again_and_again: CrashLoop;
    f9_the_kernel_kills_the_leader: LeaderOutOfMemory;
    f10_the_kernel_kills_a_child: ChildOutOfMemory;
    f11_the_kernel_picks_the_shim: ShimOutOfMemory;
    f12_the_cgroup_is_killed: CgroupKilled;
    f16_the_disk_is_full: FullDisk;
    f17_the_disk_is_broken: BrokenDisk;
    f18_the_journal_is_torn: TornJournal;
    f18_the_ledger_is_damaged: DamagedLedger;
    f19_the_ledger_is_lost: LostLedger;
    f19_the_ledger_is_old: OldLedger;
    f21_the_socket_is_unlinked: SocketUnlinked;
    f24_the_shim_is_of_the_release_before: OlderShim;
    f29_a_second_supervisor_comes: SecondSupervisor;
    f30_stops_race: RacingStops;
}

/// Whatever happens to the unit, the agents are none of it.
#[test]
fn f26_something_is_done_to_the_unit_beside_the_holder() {
    run_all_units(Home::Holder);
}

#[test]
fn f26_something_is_done_to_the_unit_without_a_holder() {
    run_all_units(Home::OwnUnit);
}
