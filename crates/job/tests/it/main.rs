//! A job's documents and its conclusion.

#![allow(
    clippy::unwrap_used,
    clippy::format_push_string,
    reason = "a sample that is none fails its test; what a person reads is put together line by line"
)]

mod artifact;
mod conclude;
mod id;
mod life;
mod record;
mod status;
