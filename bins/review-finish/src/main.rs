//! `review-finish`: advance the baseline in an isolated commit and push.

fn main() {}
