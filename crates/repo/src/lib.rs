//! Reads of a Git repository by gix, verified by hash, and the few acts of git.
//!
//! [`Repo`] is a repository, [`Objects`] what is in it, [`collect()`] what a review of a range is about,
//! [`push_facts()`] what the gate decides on. [`Git`] acts.
//!
//! **Invariant:** an object that decides something was hashed when it was read; other bytes under its id are an error.
//! **Invariant:** replace refs, grafts, attributes, filters, the index and the commit graph decide nothing.
//! **Invariant:** no variable of the parent's environment is read, and no configuration but the repository's own format.
//! **Invariant:** an act of git runs no hook that was not named, no filter, no file system monitor, and never forces.

#![allow(clippy::disallowed_methods, reason = "this crate reads repositories and work directories")]

mod baseline;
mod blocked;
mod collect;
mod commit;
mod difference;
mod error;
mod facts;
mod fresh;
mod git;
mod head;
mod history;
mod layout;
mod name;
mod object;
mod open;
mod packets;
mod plain;
mod remote;
mod status;
mod store;
#[cfg(feature = "testing")]
#[allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]
pub mod testing;
mod tree;

pub use blocked::push_blocked;
pub use collect::{Collected, collect, usable_policy};
pub use commit::{Commit, Tag};
pub use difference::{Change, Side, difference, small_difference};
pub use error::RepoError;
pub use facts::{PolicySource, policy_at, policy_bytes, policy_for, push_facts, range_facts};
pub use fresh::fresh_blobs;
pub use git::{Edit, Git};
pub use gix::ObjectId;
pub use head::Head;
pub use history::{is_ancestor, merge_base, new_commits, reached_from};
pub use name::check_name;
pub use object::{Kind, Object, Objects, oid};
pub use open::Repo;
pub use packets::packets;
pub use plain::{PlainChange, materialise, plain_difference};
pub use remote::Pushed;
pub use status::{Dirty, parse_status};
pub use store::VerdictStore;
pub use tree::{Entry, Tree};
