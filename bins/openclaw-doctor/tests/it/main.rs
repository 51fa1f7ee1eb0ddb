//! The program on machines that systemd boots, with the real sshd, UFW, Docker and kernel.
//!
//! `tailscale` and `timedatectl` are stand-ins that answer from files; so are the API and `docker` but where a test says
//! that they are real. No registry of images is in reach: the image of a stack is made of the machine's own files.

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
