//! The other processes of these tests.
