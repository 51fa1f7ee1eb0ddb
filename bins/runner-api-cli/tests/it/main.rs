//! `runner-api` and `runner-worker` as clients, operators, hostile jobs and broken machines meet them.

#![allow(clippy::unwrap_used, reason = "a stage that cannot be set fails its test")]
#![allow(clippy::disallowed_methods, reason = "tests make repositories and run programs")]

mod auth;
mod bodies;
mod describe;
mod faults;
mod http;
mod jobs;
mod live;
mod page;
mod service;
mod unit;
