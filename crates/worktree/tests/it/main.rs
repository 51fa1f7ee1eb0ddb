//! Real git, real sshd, real files.

#![allow(clippy::disallowed_methods, reason = "tests make and break files")]
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

mod cache;
mod crash;
mod disk;
mod equal;
mod hostile;
mod lab;
mod mirror;
mod proof;
mod races;
mod remote;
#[cfg(target_os = "linux")]
mod ssh;
mod timer;
