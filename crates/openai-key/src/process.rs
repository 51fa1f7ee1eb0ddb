//! How the key reaches one child, and that it stays out of everything else.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;

use host::Host;
use rustix::process::{Resource, getrlimit, setrlimit};
use zeroize::Zeroizing;

use crate::{CODEX_VARIABLE, Key, KeyError, VARIABLE};

/// Keeps the key out of core dumps, and on Linux out of reach of other processes of the same user, for the rest of
/// this process. Children inherit the limit on core dumps. Call it before the key is read.
///
/// # Errors
/// [`KeyError::CoreDumps`] if the operating system refuses.
pub fn no_core_dumps() -> Result<(), KeyError> {
    let mut limit = getrlimit(Resource::Core);
    limit.current = Some(0);
    setrlimit(Resource::Core, limit).map_err(|errno| KeyError::CoreDumps(errno.into()))?;
    not_dumpable().map_err(|errno| KeyError::CoreDumps(errno.into()))
}

/// With a pipe in `core_pattern` Linux dumps in spite of the limit, but never a process that is not dumpable.
#[cfg(target_os = "linux")]
fn not_dumpable() -> rustix::io::Result<()> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
}

#[cfg(not(target_os = "linux"))]
fn not_dumpable() -> rustix::io::Result<()> {
    Ok(())
}

/// The variables that ordinary commands must not inherit because they hold the key: none with `KEEP_OPENAI_KEY=1`.
/// Tests, heals and jobs are not ordinary commands: they never inherit them.
#[must_use]
pub fn withheld(host: &dyn Host) -> &'static [&'static str] {
    let keep = host.env("KEEP_OPENAI_KEY").is_some_and(|value| value == "1");
    if keep { &[] } else { &[VARIABLE, CODEX_VARIABLE] }
}

/// Becomes the program `argv[0]` with the key in `variable` of its environment. Comes back only if it fails.
#[must_use]
pub fn exec<S: AsRef<OsStr>>(host: &dyn Host, key: &Key, variable: &str, program: &S, args: &[S]) -> KeyError {
    let mut command = Command::new(program.as_ref());
    command.args(args);
    for name in withheld(host) {
        command.env_remove(name);
    }
    let source = command.env(variable, key.expose().as_str()).exec();
    KeyError::NotStarted { program: program.as_ref().to_string_lossy().into_owned(), source }
}

/// A line for `eval` in a POSIX shell that exports the key, quoted so that the shell sees nothing else in it.
#[must_use]
pub fn export_line(key: &Key) -> Zeroizing<String> {
    let whole = key.expose();
    // Room for every character quoted, so that no copy of the key is left behind by growing.
    let mut line = Zeroizing::new(String::with_capacity(whole.len() * 4 + VARIABLE.len() + 16));
    line.push_str("export ");
    line.push_str(VARIABLE);
    line.push_str("='");
    for c in whole.chars() {
        match c {
            '\'' => line.push_str("'\\''"),
            other => line.push(other),
        }
    }
    line.push_str("'\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::{Cmd, Fake, Local};
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use rustix::process::Rlimit;

    #[test]
    fn s02_commands_do_not_inherit_the_key_unless_asked() {
        assert_eq!(withheld(&Fake::new()), ["OPENAI_API_KEY", "CODEX_API_KEY"]);
        assert!(withheld(&Fake::new()).iter().all(|name| host::SECRETS.contains(name)));
        assert_eq!(withheld(&Fake::new().variable("KEEP_OPENAI_KEY", "1")), [""; 0]);
        assert_eq!(withheld(&Fake::new().variable("KEEP_OPENAI_KEY", "")).len(), 2);
    }

    #[test]
    fn k05_a_quote_in_the_key_stays_in_the_key() {
        let key = Key::parse(br"sk-'; touch /tmp/x; '".map(|b| if b == b' ' { b'_' } else { b }).as_slice()).unwrap();
        assert_snapshot!(*export_line(&key), @r"export OPENAI_API_KEY='sk-'\'';_touch_/tmp/x;_'\'''");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn k05_a_real_shell_reads_back_the_same_key(text in "[!-~]{16,64}") {
            let key = Key::parse(text.as_bytes()).unwrap();
            let script = format!("{}printf %s \"$OPENAI_API_KEY\"", *export_line(&key));
            let output = Local::new().run(&Cmd::new("sh").args(["-u", "-s"]).stdin(script)).unwrap();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
            prop_assert_eq!(output.stderr, b"");
        }
    }

    #[test]
    fn k01_a_process_with_the_key_leaves_no_core_dump() {
        let before = getrlimit(Resource::Core);
        setrlimit(Resource::Core, Rlimit { current: before.maximum, ..before }).unwrap();
        no_core_dumps().unwrap();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        #[cfg(target_os = "linux")]
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), rustix::process::DumpableBehavior::NotDumpable);
    }
}
