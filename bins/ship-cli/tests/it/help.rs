//! The command line.

use insta::assert_snapshot;

#[test]
fn help() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ship")).arg("--help").env_clear().output().unwrap();
    assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

/// Exit code, stdout and whether something was said on stderr.
fn check(args: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ship")).args(args).env_clear().output().unwrap();
    let code = output.status.code().unwrap();
    format!("exit {code} {}{}", String::from_utf8(output.stdout).unwrap(), !output.stderr.is_empty())
}

#[test]
fn wrong_arguments_are_json_where_json_is_asked_for() {
    assert_snapshot!(check(&["--max-attempts", "many", "--json"]), @r#"
    exit 2 {"schema":1,"status":"usage","class":"arguments","reason":"invalid value 'many' for '--max-attempts <MAX_ATTEMPTS>': invalid digit found in string","next":"see --help"}
    true
    "#);
    assert_snapshot!(check(&["--json", "--nonsense"]), @r#"
    exit 2 {"schema":1,"status":"usage","class":"arguments","reason":"unexpected argument '--nonsense' found","next":"see --help"}
    true
    "#);
    assert_snapshot!(check(&["--nonsense"]), @"exit 2 true");
    assert_snapshot!(check(&["--nonsense", "--", "--json"]), @"exit 2 true");
}
