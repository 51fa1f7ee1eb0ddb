//! Real processes and files of this machine.

#![allow(clippy::disallowed_methods, reason = "tests prepare and inspect a real directory")]

mod files;
mod processes;
