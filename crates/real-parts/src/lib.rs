//! Real servers for tests, on Linux: each in a temporary directory of its own, as many at once as tests want.
//!
//! `cargo xtask setup` installs their programs. A [`Postgres`] can be killed with everything it was doing, started again
//! on what it had written by then, or made to hang: what the real world does and a stand-in never would.
//!
//! **Invariant:** no process of a server outlives its value, nor the process that started it, however that ends.
//! **Invariant:** nobody but the user of the tests and the server's own reaches its files and its socket.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "servers for tests: they are a part of the machine that tests run on")]

mod account;
mod broken;
mod postgres;
mod server;
mod template;

pub use broken::Broken;
pub use postgres::{Builder, Postgres};
