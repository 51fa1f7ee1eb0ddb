//! A tree difference as a bounded, lossless bundle or a complete set of packets.
//!
//! [`diff()`] turns one [`Change`] into a [`FileDiff`]; a [`Bundle`] of them renders as the shown text that people and
//! reviewers read and as the exact patch that `git apply` takes; [`Bundle::packets`] splits the shown text, and
//! [`check`] proves from the [`Ledger`] alone that nothing was left out.
//!
//! **Invariant:** only the bytes of the two versions decide what is rendered: no attributes, no configuration, no renames.
//! **Invariant:** nothing is folded, cut or summarised. What does not fit is an error.
//! **Invariant:** the same changes give the same bytes, whatever order they came in.

mod binary;
mod bundle;
mod change;
mod compare;
mod diff;
mod escape;
mod fill;
mod header;
mod hunk;
mod ledger;
mod overview;
mod packet;
mod runs;
mod settle;

pub use bundle::{Bundle, Header, Note};
pub use change::{Change, Version, sha256};
pub use diff::{FileDiff, diff};
pub use escape::{escape, escape_text};
pub use ledger::{Entry, Ledger, LedgerGap, Named, Record, Side, Span, check};
pub use packet::{Limits, Packet, PacketError, Packets};
