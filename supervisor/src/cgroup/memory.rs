//! Where the memory of a task can be limited, and its out-of-memory kills are
//! counted.

use std::path::Path;

use super::{Base, place};

/// Smallest limit, in bytes: a shim and a shell need half of it.
pub const SMALLEST: u64 = 4 << 20;

/// What there is.
#[derive(Debug)]
pub enum Memory {
    /// The task's own cgroup has the controller (version 2).
    Unified,
    /// A task with a limit gets a cgroup below this one, in the memory hierarchy
    /// of version 1.
    Separate(Base),
    /// Nothing; why, in words.
    Missing(String),
}

impl Memory {
    /// Looks for it; `cgroups` is where tasks get theirs.
    #[must_use]
    pub fn find(cgroups: Option<&mut Base>, state_dir: &Path) -> Self {
        let unified = match cgroups {
            Some(base) => base.enable_memory(),
            None => Err("tasks have no cgroups of version 2 here".to_owned()),
        };
        let Err(no_unified) = unified else {
            return Self::Unified;
        };
        let separate = place::own_memory().and_then(|own| {
            Base::below(&own, state_dir).map_err(|error| {
                let own = own.display();
                format!("the memory cgroup {own} cannot be divided ({error})")
            })
        });
        match separate {
            Ok(base) => Self::Separate(base),
            Err(no_separate) => Self::Missing(format!("{no_unified}, and {no_separate}")),
        }
    }

    /// Where tasks get further cgroups, if there.
    #[must_use]
    pub const fn base(&self) -> Option<&Base> {
        match self {
            Self::Separate(base) => Some(base),
            Self::Unified | Self::Missing(_) => None,
        }
    }
}
