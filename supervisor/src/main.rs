//! `agent-supervisor`: see the library.

fn main() -> std::process::ExitCode {
    supervisor::runtime::main()
}
