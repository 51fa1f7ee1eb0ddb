//! The parts as tests use them, and that nothing of them is left.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "tests look at the machine")]
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod left;
mod machine;
mod network;
mod postgres;
mod s3;
mod sshd;
