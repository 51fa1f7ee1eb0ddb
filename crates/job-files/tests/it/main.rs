//! The files of attempts, in the state directory.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests make real hostile directories, and fail where they cannot"
)]

mod hostile;
mod lab;
mod logs;
mod memory;
