//! `install-hooks`: install the hooks and a copy of the gate outside the work tree.

fn main() {}
