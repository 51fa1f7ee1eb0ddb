//! `ship`: commit to push: test, review, heal, gate, push.

fn main() {}
