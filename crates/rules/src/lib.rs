//! Deterministic scanners over changes: secrets, invisible characters, links, control-plane paths.
//!
//! Three calls cover a reviewed range, and [`apply_allow`] joins what they return:
//! - [`scan_blob`] over every new blob of every new commit, and over commit messages and tag objects: secrets, also
//!   those that a later commit of the range removes again;
//! - [`scan_change`] over every changed path, first tree to last;
//! - [`scan_tree_names`] once, over all names of the last tree.
//!
//! **Invariant:** a finding can only block or note; nothing here approves.
//! **Invariant:** no input panics, and what could not be seen is a blocker ([`Rule::Unseen`]).
//! **Invariant:** a message never holds a secret, and never holds a character that a terminal would obey.
//! **Invariant:** findings are a function of the arguments, in one order.

mod allow;
mod change;
mod collision;
mod control_plane;
mod entry;
mod finding;
mod homoglyph;
mod invisible;
mod marker;
mod name;
mod secret;
mod text;

pub use allow::{Allow, AllowError, apply_allow};
pub use change::{Side, scan_change};
pub use collision::scan_tree_names;
pub use control_plane::{is_control_plane, is_protected_from_heal};
pub use finding::{Finding, PER_RULE, Rule, Severity};
pub use secret::scan_blob;
