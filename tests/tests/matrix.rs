//! The fault matrix, each cell once (`cargo xtask matrix` prints it as a table).

use tests::matrix::{Fault, cells_of};

fn every_cell(fault: Fault) {
    for cell in cells_of(fault) {
        println!("{}", cell.code());
        let ran = cell.run();
        assert!(ran.hits.is_none_or(|hits| hits > 0), "{}", cell.code());
    }
}

macro_rules! faults {
    ($($name:ident: $fault:ident;)+) => {
        $(#[test]
        fn $name() {
            every_cell(Fault::$fault);
        })+
    };
}

faults! {
    f1_the_supervisor_is_killed: Supervisor;
    f2_the_shim_is_killed: Shim;
    f3_the_agent_is_killed: Agent;
    f4_supervisor_and_shim_are_killed: SupervisorAndShim;
    f5_supervisor_and_agent_are_killed: SupervisorAndAgent;
    f6_the_supervisor_stands_still: FrozenSupervisor;
    f8_the_supervisor_crashes_again_and_again: CrashLoop;
    f21_the_socket_is_unlinked: SocketUnlinked;
    f29_a_second_supervisor_comes: SecondSupervisor;
    f30_stops_race: RacingStops;
}
