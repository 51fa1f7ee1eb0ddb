//! What a machine says of who can reach it: the facts that [`port_audit`] judges.
//!
//! On Linux sockets come from `SOCK_DIAG`, their owners from `/proc`, in every network namespace that can be entered; what
//! systemd holds from its list of sockets; what the firewall hands on from `iptables-save`, `ip6tables-save` and `nft`.
//! A program is run only where the kernel says that it has something to tell. Elsewhere there is the text of `netstat`.
//!
//! **Invariant:** what cannot be looked at is a gap, or a failure, and never nothing.

#![allow(clippy::disallowed_methods, reason = "it reads what the kernel shows of this machine")]

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
mod netstat;
mod rules;
mod tailnet;

use host::Host;
use outcome::Failure;
use port_audit::Observed;

pub use rules::{policy, rules, today};
pub use tailnet::tailnet;

/// Everything that others may reach on this machine.
///
/// # Errors
/// Infrastructure, class `sockets-unseen`, where not even the sockets of TCP and UDP in its own network are told.
pub fn observe(host: &dyn Host) -> Result<Observed, Failure> {
    #[cfg(target_os = "linux")]
    return linux::observe(host);
    #[cfg(not(target_os = "linux"))]
    return netstat::observe(host);
}

fn unseen(why: impl Into<String>) -> Failure {
    Failure::infrastructure("sockets-unseen", why, "look as root, where /proc is mounted; or judge a text: --stdin-ss")
}
