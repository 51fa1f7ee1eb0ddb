//! Decisions on hosts that are told, and whole changes on one that is made up.

#![allow(clippy::unwrap_used, reason = "the tests make up the host, and fail where it cannot be")]

mod arrivals;
mod decided;
mod faults;
mod machine;
