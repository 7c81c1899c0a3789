//! The shim's program.
fn main() {}
