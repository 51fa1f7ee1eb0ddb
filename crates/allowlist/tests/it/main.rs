//! The crate from outside: both files, requests, hostile URLs, archived samples.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod admit;
mod git_url;
mod own_configs;
mod policy;
mod properties;
