//! What every program shares: `--json`, signals, how a failure is shown, and the exit code.
//!
//! A program's `main` is one call of [`main`]: it parses the arguments, hands them to `run` with a [`Context`] and
//! turns what comes back into text or JSON and an exit code.

#![allow(
    clippy::disallowed_methods,
    reason = "this crate is the shell around the core: it reads the process's own environment"
)]

mod console;
#[cfg(feature = "service")]
pub mod service;
#[cfg(feature = "testing")]
#[allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a program that cannot be built fails its test")]
pub mod testing;

pub use console::Console;

use std::ffi::OsString;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command, CommandFactory, Parser};
use host::{Cancel, Local};
use outcome::{Exit, Failure};

/// The repository a program works in. Flatten it into the program's own arguments.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// Work in the repository that this directory is in
    #[arg(short = 'C', long = "directory", value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
}

/// Where a program ships from and to. Flatten it into the program's own arguments.
#[derive(Debug, Clone, clap::Args)]
pub struct Route {
    #[command(flatten)]
    /// The repository.
    pub place: Place,
    /// Take this remote instead of origin or the only one
    #[arg(long)]
    pub remote: Option<String>,
}

/// What a program works with: this machine and the person or program in front of it.
pub struct Context {
    /// This machine. Ctrl-C and SIGTERM end its running command.
    pub host: Local,
    /// Set by Ctrl-C and SIGTERM.
    pub cancel: Cancel,
    /// Where output goes.
    pub console: Console,
}

/// Parses the arguments, `--json` among them, runs the program and gives its exit code.
///
/// A program ends with one of the shared exit codes ([`Exit`]), or with that of what it ran. Wrong arguments exit with
/// 2, class `arguments`, and a panic with 70; `--help` and `--version` with 0.
pub fn main<A: Parser, E: Into<ExitCode>>(run: impl FnOnce(A, &Context) -> Result<E, Failure>) -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let (args, json) = match parse(&words) {
        Ok(parsed) => parsed,
        Err(error) => return unparsed(&words, &error).into(),
    };
    let cancel = Cancel::default();
    let console = Console::new(json);
    let outcome = stop_on_signals(&cancel).and_then(|()| {
        let context =
            Context { host: Local::cancelled_by(cancel.clone()), cancel: cancel.clone(), console: console.clone() };
        caught(|| run(args, &context))
    });
    console.finish();
    outcome.map_or_else(
        |failure| {
            let failure = if cancel.is_cancelled() { interrupted(failure) } else { failure };
            console.failure(&failure);
            failure.exit.into()
        },
        Into::into,
    )
}

/// A program's arguments as they are parsed, with what every program has.
pub fn command<A: CommandFactory>() -> Command {
    let json = Arg::new("json").long("json").global(true).action(ArgAction::SetTrue).help("Print JSON instead of text");
    A::command().arg(json)
}

/// The program's own arguments, and whether `--json` is among them.
fn parse<A: Parser>(words: &[OsString]) -> Result<(A, bool), clap::Error> {
    let mut matches = command::<A>().try_get_matches_from(words)?;
    let json = matches.get_flag("json");
    Ok((A::from_arg_matches_mut(&mut matches)?, json))
}

/// Shows `--help`, `--version` and what is wrong with the arguments. Whether JSON is wanted has to be seen without
/// having parsed them; what follows `--` belongs to another program.
fn unparsed(words: &[OsString], error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        let _ = error.print();
        return Exit::Done;
    }
    if words.iter().take_while(|word| *word != "--").any(|word| word == "--json") {
        Console::new(true).failure(&wrong(error));
    } else {
        let _ = error.print();
    }
    Exit::Usage
}

/// What clap says, without how the program is used: that is in `--help`.
fn wrong(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let is_usage = |part: &&str| part.starts_with("Usage: ") || part.starts_with("For more information");
    let parts: Vec<&str> = text.split("\n\n").map(str::trim_end).take_while(|part| !is_usage(part)).collect();
    let reason = parts.join("\n");
    Failure::usage("arguments", reason.strip_prefix("error: ").unwrap_or(&reason), "see --help")
}

/// The first signal asks to stop, so that what runs can be cleaned up; a second one ends the process at once.
fn stop_on_signals(cancel: &Cancel) -> Result<(), Failure> {
    let register = |signal| {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, cancel.flag())?;
        signal_hook::flag::register(signal, cancel.flag())
    };
    [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM]
        .into_iter()
        .try_for_each(|signal| register(signal).map(drop))
        .map_err(|error| Failure::bug("signals", error.to_string(), "report this with the command you ran"))
}

/// After a signal a failure says what was broken off, not what went wrong.
fn interrupted(failure: Failure) -> Failure {
    const CLASS: &str = "interrupted";
    if failure.class == CLASS || failure.exit == Exit::Bug {
        return failure;
    }
    let reason = format!("stopped by a signal ({})", failure.class);
    Failure::infrastructure(CLASS, reason, "run it again: it goes on where it can")
}

fn caught<E>(run: impl FnOnce() -> Result<E, Failure>) -> Result<E, Failure> {
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        Err(Failure::bug(
            "panic",
            "this program has a bug; what it said is above",
            "report it with the command you ran",
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    #[derive(Parser)]
    #[command(name = "tool")]
    struct Args {
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10))]
        _count: u32,
    }

    #[test]
    fn wrong_arguments_are_a_failure_as_any_other() {
        let check = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let error = parse::<Args>(&words).err().unwrap();
            serde_json::to_string(&wrong(&error)).unwrap()
        };
        assert_snapshot!(check(&["tool", "--json"]), @r#"{"schema":1,"status":"usage","class":"arguments","reason":"the following required arguments were not provided:\n  --count <COUNT>","next":"see --help"}"#);
        assert_snapshot!(check(&["tool", "--count=11"]), @r#"{"schema":1,"status":"usage","class":"arguments","reason":"invalid value '11' for '--count <COUNT>': 11 is not in 1..=10","next":"see --help"}"#);
        assert_snapshot!(check(&["tool", "--count=1", "--cuont"]), @r#"{"schema":1,"status":"usage","class":"arguments","reason":"unexpected argument '--cuont' found\n  tip: a similar argument exists: '--count'","next":"see --help"}"#);
    }

    #[test]
    fn a_panic_is_a_bug_with_an_exit_code_of_its_own() {
        let failure = caught(|| -> Result<Exit, Failure> { panic!("broken") }).unwrap_err();
        assert_snapshot!(format!("{} {}", failure.exit.code(), failure.text()), @r"
        70 panic: this program has a bug; what it said is above
        next: report it with the command you ran
        ");
    }
}
