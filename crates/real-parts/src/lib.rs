//! Real servers and machines for tests, on Linux: each on files of its own, as many at once as tests want.
//!
//! `cargo xtask setup` installs their programs. A [`Postgres`] or [`S3`] can be killed with everything it was doing and
//! started again on what it had written by then: what the real world does and a stand-in never would. A [`Network`]
//! has hosts for programs that are to meet as machines do, an [`Sshd`] lets the user of the tests in, and a [`Machine`] is
//! a whole one, with Debian and systemd.
//!
//! **Invariant:** no process of a part outlives its value, nor the process that started it, however that ends.
//! **Invariant:** nobody but the user of the tests and the server's own reaches its files and its socket.
//! **Invariant:** a server speaks to nobody outside of this machine.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "servers for tests: they are a part of the machine that tests run on")]

mod account;
mod broken;
mod door;
mod machine;
mod namespace;
mod network;
mod place;
mod postgres;
mod rights;
mod s3;
mod server;
mod sshd;
mod target;
mod template;
mod tree;

pub use broken::Broken;
pub use machine::{Builder as MachineBuilder, Machine};
pub use network::{Host, Network};
pub use postgres::{Builder, Postgres};
pub use s3::S3;
pub use sshd::Sshd;
pub use tree::Tree;
