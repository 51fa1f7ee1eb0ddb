//! What both engines do: each file is a part of it, compiled for each engine.

use super::scenario;

mod claims;
mod crash;
mod leases;
mod limits;
mod once;
