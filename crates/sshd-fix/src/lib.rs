//! Binds sshd to the tailnet alone, in a way that comes back by itself unless it is confirmed.
//!
//! [`observe`] looks at a host, [`plan()`] decides by that alone, [`apply`] carries it out up to where the operator has to
//! [`confirm()`] it over a new connection that came in over the tailnet. Until then a timer and the next boot
//! [`revert`] it.
//!
//! **Invariant:** nothing in use is changed before sshd itself judged the whole new configuration, and before the way back
//! is armed; every plan is checked for it, whoever made it ([`RULES`]).
//! **Invariant:** at whatever step it ends, the host is reached by the old way in or by the new one.
//! **Invariant:** who may log in and how is left alone: of sshd's settings only where it listens is changed.

mod act;
mod config;
mod confirm;
mod decide;
mod facts;
mod journal;
mod operator;
pub mod paths;
mod refusals;
mod rules;
mod status;
mod steps;
mod table;
mod texts;
mod units;

pub use act::{apply, await_confirmation, boot, revert, rollback, tidy};
pub use config::{Config, File};
pub use confirm::{Arrival, confirm, judge};
pub use decide::{Decision, plan};
pub use facts::{Facts, Kept, Observed, Sshd, observe};
pub use journal::Journal;
pub use operator::Operator;
pub use rules::RULES;
pub use status::{Status, left, look, status};
pub use steps::Change;
pub use table::{Connection, Table, listed};
pub use units::{Service, Unit};
