//! `review-auto`: one review; unless --no-push, finish.

fn main() {}
