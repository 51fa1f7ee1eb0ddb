//! `autoheal`: fix the blockers of the verdict for HEAD, inside the allowed paths.

fn main() {}
