//! `doctor-repo`: health of a repository's gate.

fn main() {}
