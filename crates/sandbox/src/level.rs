//! How strongly a job is kept apart.
//!
//! **Invariant:** a level is what was shown to hold, never what was hoped for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A level of isolation; a greater one promises all that a lesser one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Landlock and seccomp on a private copy of the tree, which the caller compares again afterwards.
    L0,
    /// As L0, but the tree lies on a mount that is read-only for the runner too.
    L1,
    /// Own namespaces, an own root and a read-only bind of the tree; `/proc` is the machine's, bound read-only.
    L2,
    /// As L2 with an own `/proc`.
    L3,
}

impl Level {
    /// All levels, from the strongest.
    pub const FALLING: [Self; 4] = [Self::L3, Self::L2, Self::L1, Self::L0];

    /// The job has namespaces and a root directory of its own.
    #[must_use]
    pub const fn has_namespaces(self) -> bool {
        matches!(self, Self::L2 | Self::L3)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
