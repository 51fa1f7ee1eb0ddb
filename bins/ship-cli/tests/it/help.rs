//! The command line.

use insta::assert_snapshot;

#[test]
fn help() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ship")).arg("--help").env_clear().output().unwrap();
    assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}
