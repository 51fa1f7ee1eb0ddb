//! `review-bundle`: the bundle of a range, or its packets.

fn main() {}
