//! What the far end is told on its stdin, and what it says of the end.
//!
//! **Invariant:** nothing of a command is on the command line of ssh or of the shell that it starts: no argument, no
//! variable, no secret.
//! **Invariant:** a command that did not come whole is not begun.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::{Cmd, HostError, Status};

/// Runs what comes after it on stdin.
const SCRIPT: &str = include_str!("far.sh");

/// The `PATH` of a command: that of a login on Debian, root's.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the C library searches where there is no `PATH`.
const NO_PATH: &str = "/bin:/usr/bin";

/// A variable and its value, which may be a secret.
pub(super) type Variable = (OsString, Zeroizing<Vec<u8>>);

/// In what environment a command runs.
pub(super) enum Environment {
    /// What the login made of it.
    Login,
    /// These variables, the last one of a name, and no other.
    Only(Vec<Variable>),
}

/// The command line for the login shell, whichever it is: one line that means the same to all of them.
pub(super) fn call() -> String {
    format!("exec setsid -w /bin/sh -c 'eval \"$(head -c {})\"'", SCRIPT.len())
}

/// What the far end reads.
pub(super) fn input(cmd: &Cmd, environment: &Environment, nonce: &str) -> Result<Vec<u8>, HostError> {
    let text = text(cmd, environment)?;
    let kind = match environment {
        Environment::Login => "login",
        Environment::Only(_) => "clean",
    };
    let (limit, input) = (cmd.timeout.as_secs_f64(), cmd.stdin.as_slice());
    let line = format!("{nonce} {kind} {limit} {} {}\n", text.len(), input.len());
    Ok([SCRIPT.as_bytes(), line.as_bytes(), &text, input, b".\n"].concat())
}

/// The part of it that is evaluated there: quoted words, and no command but ours.
fn text(cmd: &Cmd, environment: &Environment) -> Result<Zeroizing<Vec<u8>>, HostError> {
    let bad = |why: &str| HostError::io(&cmd.program)(io::Error::new(io::ErrorKind::InvalidInput, why));
    if cmd.program.as_bytes().starts_with(b"-") {
        return Err(bad("a program's name that looks like an option"));
    }
    let mut text = Zeroizing::new(Vec::new());
    if let Some(dir) = &cmd.dir {
        text.extend(b"cd -- ");
        quote(&mut text, plain(dir).as_os_str().as_bytes());
        text.extend(b" 2>/dev/null || { echo nowhere >&5; exit 1; }\n");
    }
    text.extend(b"set --");
    for word in std::iter::once(&cmd.program).chain(&cmd.args) {
        text.push(b' ');
        quote(&mut text, word.as_bytes());
    }
    if let Environment::Only(variables) = environment {
        text.extend(format!("\nunset PWD OLDPWD SHLVL\nPATH={NO_PATH}").bytes());
        for (name, value) in variables {
            if !is_name(name) {
                return Err(bad("a variable whose name a shell does not take"));
            }
            text.extend([b"\nexport ", name.as_bytes(), b"="].concat());
            quote(&mut text, value);
        }
    }
    // The shell there loses newlines at the end.
    text.extend(b"\n:");
    if text.contains(&0) { Err(bad("a NUL byte in a word")) } else { Ok(text) }
}

/// One word of the shell, whatever its bytes: within these quotes only the quote itself has a meaning.
fn quote(text: &mut Vec<u8>, word: &[u8]) {
    text.push(b'\'');
    for byte in word {
        match byte {
            b'\'' => text.extend(br"'\''"),
            _ => text.push(*byte),
        }
    }
    text.push(b'\'');
}

pub(super) fn is_name(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let is_start = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    name.first().is_some_and(is_start) && name.iter().all(|byte| is_start(byte) || byte.is_ascii_digit())
}

/// The same path as no program takes it for an option or for its stdin.
pub(super) fn plain(path: &Path) -> PathBuf {
    Path::new(".").join(path)
}

/// How the far end says that a command ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, or at its time limit.
    Ran(Status),
    /// There is no such program.
    Missing,
    /// The program may not be run.
    Denied,
    /// The directory to run it in cannot be entered.
    Nowhere,
    /// None of these: its shell did not do as it should.
    Broken,
}

impl End {
    pub(super) fn parse(said: &str) -> Self {
        let code = |code: &str| code.parse().ok();
        let status = match said.split_once(' ') {
            Some(("exit", said)) => code(said).map(Status::Exited),
            // A core dump is told by one more bit.
            Some(("signal", said)) => code(said).map(|code| Status::Signaled(code & 0x7f)),
            _ if said == "late" => Some(Status::TimedOut),
            _ => None,
        };
        match (status, said) {
            (Some(status), _) => Self::Ran(status),
            (None, "missing") => Self::Missing,
            (None, "denied") => Self::Denied,
            (None, "nowhere") => Self::Nowhere,
            (None, _) => Self::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Frames;
    use super::*;
    use crate::{Host as _, Local};

    fn check(cmd: &Cmd, variables: &[(&str, &str)]) -> String {
        let secret = |value: &str| Zeroizing::new(value.as_bytes().to_vec());
        let only = variables.iter().map(|(name, value)| (name.into(), secret(value))).collect();
        match input(cmd, &Environment::Only(only), "5eed") {
            Ok(input) => String::from_utf8(input[SCRIPT.len()..].to_vec()).unwrap(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_command_is_quoted_words_and_its_input_follows_it() {
        let cmd = Cmd::new("printf").args(["it's", "", "$(id)\n`id`"]).dir("-").stdin("in\nput");
        let cmd = cmd.timeout(Duration::from_millis(1500));
        insta::assert_snapshot!(check(&cmd, &[("A", "1"), ("A", "'")]), @r"
        5eed clean 1.5 171 6
        cd -- './-' 2>/dev/null || { echo nowhere >&5; exit 1; }
        set -- 'printf' 'it'\''s' '' '$(id)
        `id`'
        unset PWD OLDPWD SHLVL
        PATH=/bin:/usr/bin
        export A='1'
        export A=''\'''
        :in
        put.
        ");
    }

    #[test]
    fn what_a_shell_cannot_be_given_is_refused() {
        let none = &[][..];
        let said = [
            check(&Cmd::new("-a").arg("sh"), none),
            check(&Cmd::new("true").arg("a\0b"), none),
            check(&Cmd::new("true"), &[("A B", "")]),
            check(&Cmd::new("true"), &[("", "")]),
            check(&Cmd::new("true"), &[("1A", "")]),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        -a: a program's name that looks like an option
        true: a NUL byte in a word
        true: a variable whose name a shell does not take
        true: a variable whose name a shell does not take
        true: a variable whose name a shell does not take
        ");
    }

    /// What is sent for a command that writes the file `done` into `dir` once its stdin ends, also when it is to stop.
    fn sent(dir: &Path) -> Vec<u8> {
        let cmd = Cmd::new("/bin/sh").args(["-c", "trap '' TERM; cat && >done"]).dir(dir).stdin("half is none");
        let path = ("PATH".into(), Zeroizing::new(PATH.as_bytes().to_vec()));
        input(&cmd, &Environment::Only(vec![path]), "5eed").unwrap()
    }

    fn near(bytes: &[u8]) -> Cmd {
        Cmd::new("/bin/sh").args(["-c", &call()]).stdin(bytes)
    }

    #[test]
    fn j24_a_command_that_did_not_come_whole_is_not_begun_and_never_sees_the_end_of_half_an_input() {
        let dir = tempfile::tempdir().unwrap();
        let (sent, done) = (sent(dir.path()), dir.path().join("done"));
        Local::new().run_for(&near(&sent), Some(&Frames::new("5eed"))).unwrap();
        std::fs::remove_file(&done).unwrap();
        let text = sent.len() - "half is none.\n".len();
        for len in (1..SCRIPT.len()).step_by(97).chain((SCRIPT.len()..text).step_by(7)).chain([text - 1]) {
            let output = Local::new().run(&near(&sent[..len])).unwrap();
            assert!(!done.exists() && output.elapsed < Duration::from_secs(2), "{len} of {} bytes", sent.len());
        }
        std::thread::scope(|scope| {
            for len in [text, text + 1, text + 11, text + 12, text + 13] {
                let (sent, done) = (&sent, &done);
                scope.spawn(move || {
                    Local::new().run(&near(&sent[..len])).unwrap();
                    assert!(!done.exists(), "{len} of {} bytes", sent.len());
                });
            }
        });
    }

    #[test]
    fn what_is_no_known_end_is_none() {
        assert_eq!(End::parse("exit 255"), End::Ran(Status::Exited(255)));
        assert_eq!(End::parse("signal 139"), End::Ran(Status::Signaled(11)));
        assert_eq!(End::parse("late"), End::Ran(Status::TimedOut));
        for said in ["", "exit", "exit ", "exit 0x", "signal", "late 0", "gone", "broken"] {
            assert_eq!(End::parse(said), End::Broken, "{said}");
        }
    }
}
