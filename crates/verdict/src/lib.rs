//! What a review said, what the policy wants, and whether a push may happen: pure functions of their arguments.
//!
//! **Invariant:** nothing here reads a file, a clock, the environment or the network.
//! **Invariant:** every document is read whole, as its schema says and no other way, or it is refused.
//!
//! | module | one job |
//! |---|---|
//! | [`policy`] | `configs/ship.toml`: which refs are protected, how a review is done, what may be healed |
//! | [`schema`] | the verdict file, schema 2 |
//! | [`answer`] | what a reviewer answered about one packet |
//! | [`aggregate`] | the answers of all packets and the rules' findings become one decision |
//! | [`gate`] | the facts of a push in, [`gate::Pass`] or every reason against it out |

pub mod aggregate;
pub mod answer;
pub mod gate;
pub mod oid;
pub mod pattern;
pub mod policy;
pub mod schema;
pub mod show;
mod strict;

pub use oid::{Oid, Sha256};
pub use policy::Policy;
pub use schema::{Decision, Finding, Verdict};
