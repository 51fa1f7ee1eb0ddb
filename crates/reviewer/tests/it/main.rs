//! The real codex against a scripted model: what is sent, what is accepted, what a heal can touch.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod accepted;
mod asked;
mod healed;
mod program;
mod reviewed;
mod stage;
