//! What the documents promise to other projects.

#![allow(clippy::disallowed_methods, reason = "a test of another project copies its files")]
#![allow(clippy::unwrap_used, reason = "a project that cannot be copied fails its test")]

mod embedding;
mod operating;
