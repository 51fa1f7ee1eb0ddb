//! The program on machines that systemd boots, with the real sshd, UFW, Docker and kernel.
//!
//! `tailscale`, the API and `timedatectl` are stand-ins that answer from files; `docker` is one where a test says so. No
//! registry of images is in reach: the image of a stack is made of the machine's own files.

#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the tests set up real machines, and fail where they cannot"
)]

mod bounds;
mod closed;
mod scene;
mod well;
