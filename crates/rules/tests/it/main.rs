//! The scanners from outside.

mod change;
mod secrets;
