//! The suite on PostgreSQL, and what only a server can be.

use crate::lab::{Engine, Lab};

/// Runs `scenario` on a new database.
fn scenario(scenario: impl AsyncFnOnce(&Lab)) {
    Lab::with(Engine::Postgres, scenario);
}

#[path = "suite/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "the same suite for each engine")]
mod suite;
