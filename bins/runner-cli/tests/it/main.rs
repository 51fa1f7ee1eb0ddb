//! `runner` as a user and a hostile job meet it.

#![allow(clippy::unwrap_used, reason = "a stage that cannot be set fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests make repositories and run programs")]

mod attacks;
mod orb;
mod refusals;
mod runs;
mod service;
mod serving;
mod stage;
