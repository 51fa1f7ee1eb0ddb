//! What a job runs inside a read-only tree: the repository's own scripts for a review bundle, a doctor and a score.
//!
//! The scripts are the repository's and may be hostile. They get the environment they need and nothing else; what they
//! leave in the directory of the outputs is looked at without following anything.
//!
//! **Invariant:** a success was checked: the output is there, a file, and not empty; of a review in packets every file
//! was read again.
//! **Invariant:** nothing is written but below `ARTIFACT_DIR`, and no link there is followed.

#![allow(clippy::disallowed_methods, reason = "this crate is the shell around scripts: it looks at the tree it is in")]

mod archive;
mod harness;
mod outputs;
mod packets;
mod place;
mod program;
mod review;
mod script;
#[cfg(feature = "testing")]
#[allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]
pub mod testing;

pub use harness::{Harness, Ran};
pub use place::Place;
pub use review::{Reviewed, review};
pub use script::Told;
