//! The runner's HTTP API for other programs, without a runtime of their own.
//!
//! ```no_run
//! # fn main() -> Result<(), outcome::Failure> {
//! # let token = String::new();
//! use runner_client::{Base, Client, News};
//!
//! let client = Client::new(Base::parse("http://127.0.0.1:8000")?, Some(&token))?;
//! let job = client.submit(&runner_wire::Submit {
//!     repo_name: "project".into(),
//!     sha: "0123456789012345678901234567890123456789".into(),
//!     job_type: "local_echo".into(),
//!     ..Default::default()
//! })?;
//! for news in client.follow(&job.job_id, None) {
//!     if let News::Log(piece) = news? {
//!         print!("{}", piece.text);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **Invariant:** a token is sent over TLS, to a port of loopback or to a socket of this machine, and no redirect takes it
//! elsewhere.
//! **Invariant:** whatever answers is not believed: what is held of an answer is bounded, no wait is without an end, and
//! no name in it leads out of the directory that files are kept in.
//! **Invariant:** what may have been done is asked for again only where twice is the same as once.
//!
//! | module | one job |
//! |---|---|
//! | [`base`] | where the API is |
//! | [`client`] | the requests, and how often they are tried |
//! | [`follow`] | both logs as they are written, across restarts of the API |
//! | [`folder`] | a directory that takes what a job left |

mod answer;
pub mod base;
pub mod client;
pub mod folder;
pub mod follow;
mod sse;

pub use base::Base;
pub use client::{Client, Which};
pub use folder::Folder;
pub use follow::{Follow, News};
