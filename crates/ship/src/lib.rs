//! From a commit to a gated push: test, review, heal, gate, push.
//!
//! [`machine`] decides what follows what; the driver performs it. Programs call [`run`] with [`Options`], or
//! [`perform`], which is that with a console.

#![allow(clippy::disallowed_methods, reason = "the driver makes its own directories and takes its lock")]

mod driver;
mod heal;
mod journal;
pub mod machine;
mod program;
mod progress;
mod ran;
mod record;
mod review;
mod session;
mod steps;

pub use driver::{Mended, Options, Told, autoheal, run};
pub use program::{perform, teller};
pub use progress::Progress;
pub use review::Manner;
