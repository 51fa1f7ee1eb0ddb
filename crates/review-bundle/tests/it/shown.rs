//! The text that people and reviewers read.
