//! One suite for both engines, with several programs on one database, real processes and a real server.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "tests start programs, look at files and wait")]
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod child;
mod jobs;
mod lab;
mod postgres;
mod sqlite;
