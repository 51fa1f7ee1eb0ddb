//! What both engines do: each file is a part of it, compiled for each engine.

use super::scenario;

mod claims;
mod crash;
mod given_up;
mod hints;
mod hostile;
mod keep;
mod leases;
mod limits;
mod look;
mod once;
mod schema;
