//! Who can reach what on a machine: sockets and NAT rules in, classified findings out.
//!
//! ```
//! use port_audit::{Observed, Policy, Rules, Tailnet, audit};
//!
//! let rules = Rules { policy: Policy::default(), tailnet: Tailnet::default(), today: jiff::civil::date(2026, 1, 31) };
//! let observed = Observed::ss(r#"LISTEN 0 5 0.0.0.0:8080 0.0.0.0:* users:(("node",pid=7,fd=3))"#).unwrap();
//! assert_eq!(audit(&observed, &rules, false).findings()[0].class, "public-listener");
//! ```
//!
//! Nothing here looks at a machine: what was seen of one is an argument.

pub mod baseline;
pub mod judge;
pub mod nat;
pub mod netstat;
pub mod policy;
pub mod report;
mod rows;
mod sarif;
pub mod socket;
pub mod ss;

pub use baseline::{BadBaseline, Baseline};
pub use judge::{Reach, Rules, Tailnet, Verdict, is_of_a_tailnet};
pub use policy::{BadPolicy, Policy};
pub use report::{Finding, Gap, Observed, Report, Sight, audit, one_line};
pub use rows::Row;
pub use socket::{Identity, Namespace, Owner, Owners, Program, Protocol, Socket};
