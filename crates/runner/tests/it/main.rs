//! What a job says and leaves, as hostile as it can be.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests make real hostile directories, and fail where they cannot"
)]

mod collect;
mod logs;
mod redact;
