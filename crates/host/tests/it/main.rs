//! Real processes and files of this machine.

#![allow(clippy::disallowed_methods, reason = "tests prepare and inspect a real directory")]
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod conformance;
mod files;
mod processes;
#[cfg(target_os = "linux")]
mod ssh;
