//! `push-gate`: the decision on a push.

fn main() {}
