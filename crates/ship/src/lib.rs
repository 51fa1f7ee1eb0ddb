//! From a commit to a gated push: test, review, heal, gate, push.

pub mod machine;
