//! The init of a sandbox, and nothing else: for the tests of this crate.

fn main() {
    sandbox::init_if_asked();
}
