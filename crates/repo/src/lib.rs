//! Reads of a Git repository by gix, verified by hash, and the few acts of git.
