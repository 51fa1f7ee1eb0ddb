//! What the crate promises, against the real Git and against an independent reader of packets.
#![allow(clippy::disallowed_methods, reason = "the tests run git in temporary directories")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod git;
mod ledger;
mod packets;
mod patch;
mod reader;
mod shown;
mod tree;
