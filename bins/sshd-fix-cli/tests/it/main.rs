//! The program on machines that systemd boots, with the real sshd, reached over a public network and a tailnet.
//!
//! `tailscale` is a stand-in that answers from a file: no registry has the real one.

#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests set up real machines, and fail where they cannot"
)]

mod arrivals;
mod killed;
mod layouts;
mod locked;
mod refused;
mod reverted;
mod scene;
