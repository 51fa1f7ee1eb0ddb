//! Real pushes through the installed hook, against a bare remote: the attacker has a shell in the work tree.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests set up real files, and fail where they cannot"
)]

mod baseline;
mod content;
mod hook;
mod layouts;
mod lies;
mod refs;
mod scene;
mod verdicts;
mod verify;
