//! `port-audit` as people run it.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests start the program beside real files and sockets, and fail where they cannot"
)]

#[cfg(target_os = "linux")]
mod audits;
mod terminal;
mod text;
