//! Real git in hermetic repositories.

#![allow(clippy::disallowed_methods, reason = "tests make and break files")]

mod acts;
mod hostile;
mod layouts;
mod patch;
mod plain;
mod push;
mod ranges;
