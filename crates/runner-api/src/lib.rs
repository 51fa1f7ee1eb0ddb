//! The runner as an HTTP service.
//!
//! **Invariant:** every route but those that say whether the service is there takes a scope; which one stands in the one
//! table that the router is made from ([`operation`]).
//! **Invariant:** no route reads a path outside of the directory of the job that it names.
//! **Invariant:** whatever a client does or leaves undone, memory is bounded: bodies, connections, streams, large answers,
//! and what is read at a time.
//!
//! | module | one job |
//! |---|---|
//! | [`operation`] | the table of routes: method, path, scope, what goes in and out |
//! | [`door`] | where clients come in |
//! | [`serve`](mod@serve) | connections, and how they end |
//! | [`tokens`], [`people`], [`scope`] | who may do what |

#![allow(clippy::disallowed_methods, reason = "a service measures how long its answers take")]

mod artifacts;
mod body;
pub mod door;
mod jobs;
mod lately;
mod logs;
mod metrics;
mod openapi;
pub mod operation;
mod page;
pub mod people;
mod principal;
mod problem;
mod reaper;
mod room;
mod router;
pub mod scope;
pub mod serve;
mod service;
mod sight;
mod status;
mod taken;
pub mod tokens;

pub use door::Door;
pub use openapi::document as openapi;
pub use people::People;
pub use scope::Scope;
pub use serve::serve;
pub use service::{Api, Settings};
