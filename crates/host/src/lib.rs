//! The only way to touch a machine: run a command, read, write atomically.
