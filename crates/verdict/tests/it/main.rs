//! The crate from outside: the gate's table, archived files of every schema, hostile input.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod answer;
mod gate;
mod own_policy;
mod policy;
mod properties;
mod schema;
