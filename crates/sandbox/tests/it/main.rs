//! Attacks on a sandbox, as root and as an ordinary user, and what must work in one.

#![allow(clippy::disallowed_methods, reason = "tests set the machine up")]
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

mod bare;
mod bounds;
mod captured;
mod ends;
mod fixture;
mod machine;
mod network;
mod privileges;
mod probe;
mod tree;
mod user;
