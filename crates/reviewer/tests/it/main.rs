//! The real codex against a scripted model: what is sent, what is accepted, what a heal can touch.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]
#![allow(clippy::disallowed_methods, reason = "tests set the scene on a real file system")]

mod accepted;
mod asked;
mod healed;
mod program;
mod reviewed;
mod stage;
