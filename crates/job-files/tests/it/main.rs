//! The files of attempts: in the state directory, in a shared one, and on a real S3 server.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests make real hostile directories, and fail where they cannot"
)]

mod hostile;
mod lab;
mod logs;
mod memory;
mod sent;
