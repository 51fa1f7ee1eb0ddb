//! One job from request to `artifact.json`.
//!
//! **Invariant:** nothing that a job wrote is followed, run or believed: names, links, sizes and bytes are hostile.

#![allow(clippy::disallowed_methods, reason = "this crate keeps what a job leaves: it is the boundary to those files")]

pub mod allow;
mod attempt;
mod begun;
mod carry;
mod clock;
pub mod collect;
pub mod desk;
pub mod git_dir;
mod isolate;
mod limits;
pub mod logs;
mod perform;
pub mod plan;
mod policies;
pub mod prune;
pub mod redact;
mod removal;
mod run;
pub mod schedule;
mod seat;
pub mod site;
mod source;
mod streams;
mod submit;
pub mod token;
pub mod worker;

pub use allow::{Allowed, Wanted, allow};
pub use attempt::{Attempt, NotAnAttempt};
pub use collect::{Caps, CollectError, collect};
pub use limits::limits;
pub use logs::{Log, LogError};
pub use policies::Policies;
pub use prune::{prune, prune_queue};
pub use redact::{Secrets, Unfit};
pub use run::{Asked, Finished, Runner, admit};
pub use schedule::Schedules;
pub use site::Site;
pub use source::Source;
pub use submit::{Order, submit};
pub use worker::{QUEUE, Worker, Works, files, own_program, queue, slots};
