//! Real git in hermetic repositories.

#![allow(clippy::disallowed_methods, reason = "tests make and break files")]
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

mod acts;
mod hostile;
mod layouts;
mod patch;
mod plain;
mod push;
mod ranges;
