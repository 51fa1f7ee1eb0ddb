//! Push-disabled mirrors of remote repositories, shared read-only checkouts per tree id, and the proof that a checkout
//! is clean.
//!
//! [`Mirrors`] has the objects and says which commit may be used: [`Pinned`]. [`Cache`] has the files: [`Checkout`].
//!
//! **Invariant:** what is used of a mirror was written by this crate before every use, or is hashed when it is read; its
//! refs are believed, and so is whoever may write to the state directory.
//! **Invariant:** a checkout is written from hashed objects, raw: no filter, no attribute, no hook, no configuration.
//! **Invariant:** a checkout is what its tree is, or it is not there: it is built aside and renamed, and one that was
//! changed is put away and never used again.

#![allow(clippy::disallowed_methods, reason = "this crate keeps mirrors and checkouts on the disk")]

mod branch;
mod build;
mod building;
mod cache;
mod checkout;
mod error;
mod fetch;
mod files;
mod index;
mod known_hosts;
mod listing;
mod lock;
mod meta;
mod mirror;
mod patch;
mod pinned;
mod proof;
mod prune;
mod template;
mod verify;

pub use cache::{Bounds, Cache, Scanned};
pub use checkout::{Changed, Checkout, Made};
pub use error::WorktreeError;
pub use fetch::{Remote, tip};
pub use lock::Patience;
pub use meta::{Evidence, Means};
pub use mirror::Mirrors;
pub use pinned::Pinned;
pub use prune::{Pruned, prune};
