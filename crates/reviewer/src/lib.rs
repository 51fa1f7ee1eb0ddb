//! A review or a heal by the real Codex CLI, accepted only when every sign agrees.
//!
//! | module | one job |
//! |---|---|
//! | `program`, `npm` | the native codex program of this machine, its version and hash |
//! | `prompt` | what is asked: instructions first and last, the packet fenced by a nonce |
//! | `codex`, `catalog` | one run of codex: alone in an empty room, without tools |
//! | `events`, `acceptance` | whether a run is an answer |
//! | `review`, `cache`, `tokens` | every part of a range asked about, within bounds |
//! | `heal` | codex with write access to the allowed directories only |
//!
//! **Invariant:** a failure of the infrastructure is a [`NotReviewed`] and never a verdict.
//! **Invariant:** the key is in the environment of the one child that needs it, and nowhere else.

#![allow(clippy::disallowed_methods, reason = "runs a program in a directory of its own and hashes 300 MB of it")]

mod acceptance;
mod cache;
mod catalog;
mod codex;
mod events;
pub mod heal;
mod not_reviewed;
mod npm;
mod program;
mod prompt;
mod review;
mod tokens;

pub use acceptance::Reply;
pub use codex::Codex;
pub use events::Usage;
pub use heal::heal;
pub use not_reviewed::{NotReviewed, Why};
pub use program::{NotReady, Program};
pub use prompt::{Part, Prompt, Scope, instructions_sha256};
pub use review::{Answered, Options, Progress, Reviewed, Reviewer, review};
pub use tokens::estimate;
