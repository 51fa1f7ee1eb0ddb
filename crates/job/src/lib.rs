//! A job's record: its id, its states, `job.json`, `artifact.json`, and the conclusion from what was observed of it.
//!
//! **Invariant:** nothing here reads a file, a clock, the environment or the network; times and random bytes are
//! arguments.
//! **Invariant:** a document is read whole, as its schema says and no other way, or it is refused; one that contradicts
//! itself is neither read nor written.
//!
//! | module | one job |
//! |---|---|
//! | [`id`] | ids that sort by time and are always a safe file name |
//! | [`status`] | the states of a job and which may follow which |
//! | [`record`] | `job.json`: who works on what |
//! | [`life`] | the job in a queue: what may happen to it, and its timeline |
//! | [`artifact`] | `artifact.json`: what was run, how it ended and what proves it |
//! | [`size_cap`] | `size_cap_meta.json`: a review in packets instead of one bundle |
//! | [`mod@conclude`] | what was observed in, status, exit code and invariants out |

pub mod artifact;
pub mod conclude;
pub mod digest;
pub mod id;
pub mod life;
pub mod record;
pub mod size_cap;
pub mod status;
mod strict;
pub mod time;

pub use artifact::{
    Artifact, Collected, CollectedFile, Invariants, Level, Limits, LogSize, Logs, Refused, Tree, Usage,
};
pub use conclude::{Conclusion, End, Observed, Seen, Trouble, Unseen, conclude};
pub use digest::Sha256;
pub use id::Id;
pub use life::{Cancelled, Ending, Event, Job, Kind, Life, Step};
pub use record::{Record, Request, Worker};
pub use size_cap::SizeCapMeta;
pub use status::Status;
pub use strict::Invalid;
pub use time::Time;
