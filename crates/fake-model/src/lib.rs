//! A scripted OpenAI Responses API server on loopback, for tests and the demo.
//!
//! The real Codex CLI talks to it as it would to the real service, so that what is tested is the real program with
//! only the model replaced. A handler turns each [`Request`] into a [`Reply`]; every request is kept and can be asserted.
//! [`Brain`] is a ready handler that reviews and heals as the project's own prompts ask.
//!
//! **Invariant:** it listens on 127.0.0.1 only and never opens a connection to anyone but itself.
#![allow(clippy::disallowed_methods, reason = "a server for tests: it is a part of the machine that tests run on")]

mod brain;
mod codex;
mod http;
mod reply;
mod request;
mod server;

pub use brain::Brain;
pub use codex::{CODEX_VERSION, Missing, codex_binary};
pub use reply::{Ending, Reply, Usage};
pub use request::Request;
pub use server::FakeModel;
