//! The program. It takes no options: everything comes over descriptor 0, so
//! that no argument and no variable ever shows what a task is about.

use std::error::Error;
use std::process::ExitCode;

use agent_shim::ShimError;
use agent_shim::opening::NoStart;

/// One shim per task: what each of them touches counts a thousand times.
#[global_allocator]
static HEAP: sys::heap::CompactHeap = sys::heap::CompactHeap::new();

fn main() -> ExitCode {
    match agent_shim::run(&HEAP) {
        Ok(()) | Err(ShimError::NoStart(NoStart::Withdrawn)) => ExitCode::SUCCESS,
        Err(error) => {
            // Under a supervisor nobody reads this; by hand somebody does.
            eprint!("agent-shim: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprint!(": {cause}");
                source = cause.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}
