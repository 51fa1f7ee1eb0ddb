//! The command line. What the program does is proved with the other programs of a ship, in `ship-cli`.

use insta::assert_snapshot;

#[test]
#[allow(clippy::disallowed_methods, reason = "the test runs the program")]
fn help() {
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_review-auto")).arg("--help").env_clear().output().unwrap();
    assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}
