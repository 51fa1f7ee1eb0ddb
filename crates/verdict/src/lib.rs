//! Verdict schema, policy, aggregation and the push gate as pure functions.
