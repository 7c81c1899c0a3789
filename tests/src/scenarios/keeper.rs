//! A provider that leaves its processes behind.

use std::fs;

use crate::harness::World;

/// Gives a world the provider `keeper`: what outlives its agent is named and
/// left alone.
///
/// # Panics
/// When its file cannot be written.
pub fn install_keeper(world: &World) {
    let provider = "name = \"keeper\"
description = \"leaves processes behind\"
command = [\"{argv}\", \"{args}\"]
[process]
leftovers = \"report\"
";
    fs::create_dir_all(world.providers_dir()).expect("a folder");
    fs::write(world.providers_dir().join("keeper.toml"), provider).expect("a file");
}
