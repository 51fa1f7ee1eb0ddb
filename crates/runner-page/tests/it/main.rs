//! The operator's web page: what it says, what it never does, and how it looks and works in a real Chromium.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod browser;
mod contrast;
mod hostile;
mod markup;
mod scene;
mod server;
mod snapshots;
