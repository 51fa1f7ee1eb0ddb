//! One job from request to `artifact.json`: here what it says and what it leaves.
//!
//! **Invariant:** nothing that a job wrote is followed, run or believed: names, links, sizes and bytes are hostile.

#![allow(clippy::disallowed_methods, reason = "this crate keeps what a job leaves: it is the boundary to those files")]

pub mod collect;
pub mod logs;
pub mod redact;

pub use collect::{Caps, CollectError, collect};
pub use logs::{Log, LogError};
pub use redact::{Secrets, Unfit};
