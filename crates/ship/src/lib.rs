//! Test, review, heal, gate, push: a pure state machine and its driver.
