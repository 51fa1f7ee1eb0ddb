//! Changes of a machine as data.
//!
//! A [`Plan`] holds every path, byte and argument before the first effect, so that what was read is what runs. Its
//! [`Plan::rollback`] is a list of its own that is run forwards: undoing steps one by one in reverse would pass through
//! states that nobody looked at. [`Plan::checked`] gives the right to run it.
//!
//! **Invariant:** only a plan that broke no rule is applied: [`apply()`] takes a [`Checked`], which nothing else makes.
//! **Invariant:** the rollback is right after any number of the plan's steps, also none and also one that failed halfway.

mod apply;
mod lint;

pub use apply::{Broken, apply, reasons, restore};
pub use lint::{Checked, Rule, Violation};

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use host::Cmd;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest file that is shown line by line.
const SHOWN: usize = 20;

/// What will be done to a machine, and what puts it back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// In this order; the first that fails ends it.
    pub steps: Vec<Step>,
    /// In this order, all of them, whatever of the steps was done.
    pub rollback: Vec<Step>,
}

/// One effect and why it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// A kebab-case name, for messages.
    pub name: String,
    /// Why it is there and why here, for a person.
    pub reason: String,
    /// What is done.
    pub effect: Effect,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Effect {
    /// Makes the file hold exactly this, atomically.
    Write {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// All of it.
        text: String,
    },
    /// Removes the file; that nothing is there is fine.
    Remove {
        /// Which file.
        path: PathBuf,
    },
    /// Runs a program to its end.
    Run {
        /// The program and its arguments.
        argv: Vec<String>,
        /// How long it may take, in seconds.
        within_s: u64,
        /// What it takes to have worked, beside exit code 0.
        expect: Expect,
    },
}

/// What a program has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase", deny_unknown_fields)]
pub enum Expect {
    /// Whatever it likes.
    Anything,
    /// Of the lines of its output that start so, exactly these, in any order and number.
    Lines {
        /// What they start with.
        starting: BTreeSet<String>,
        /// The lines.
        exactly: BTreeSet<String>,
    },
}

impl Step {
    /// A step.
    pub fn new(name: impl Into<String>, effect: Effect, reason: impl Into<String>) -> Self {
        Self { name: name.into(), reason: reason.into(), effect }
    }
}

impl Effect {
    /// Makes the file hold exactly this.
    pub fn write(path: impl Into<PathBuf>, mode: u32, text: impl Into<String>) -> Self {
        Self::Write { path: path.into(), mode, text: text.into() }
    }

    /// Removes the file.
    pub fn remove(path: impl Into<PathBuf>) -> Self {
        Self::Remove { path: path.into() }
    }

    /// Runs a program that has a minute and may say what it likes.
    pub fn run<W: Into<String>>(argv: impl IntoIterator<Item = W>) -> Self {
        Self::Run { argv: argv.into_iter().map(Into::into).collect(), within_s: 60, expect: Expect::Anything }
    }

    /// The same, which has to say these of the lines that start so.
    #[must_use]
    pub fn saying(self, starting: &[&str], exactly: &[&str]) -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Self::Run { argv, within_s, .. } => {
                let expect = Expect::Lines { starting: words(starting), exactly: words(exactly) };
                Self::Run { argv, within_s, expect }
            }
            other => other,
        }
    }

    /// The program call, where it is one.
    pub(crate) fn command(&self) -> Option<Cmd> {
        let Self::Run { argv, within_s, .. } = self else { return None };
        let (program, args) = argv.split_first()?;
        Some(Cmd::new(program).args(args).env("LC_ALL", "C").timeout(Duration::from_secs(*within_s)))
    }

    /// The program's file name and its arguments; nothing of an effect that runs none.
    pub fn words(&self) -> Vec<&str> {
        let Self::Run { argv, .. } = self else { return Vec::new() };
        let mut words: Vec<&str> = argv.iter().map(String::as_str).collect();
        if let Some(program) = words.first_mut() {
            *program = program.rsplit('/').next().unwrap_or(program);
        }
        words
    }
}

impl Plan {
    /// There is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What names exactly this plan, of all bytes of its steps and its rollback, as lower-case hex.
    pub fn sha256(&self) -> String {
        let bytes = serde_json::to_vec(self).expect("strings and numbers are JSON");
        sha256(bytes)
    }
}

fn sha256(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The plan as a runbook: what a person reads before it runs. Of long files it names the bytes; as JSON it is told whole.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        listed(f, "", &self.steps)?;
        if !self.rollback.is_empty() {
            writeln!(f, "rollback:")?;
            listed(f, "r", &self.rollback)?;
        }
        write!(f, "plan sha256: {}", self.sha256())
    }
}

fn listed(f: &mut fmt::Formatter<'_>, prefix: &str, steps: &[Step]) -> fmt::Result {
    steps.iter().zip(1..).try_for_each(|(step, number)| writeln!(f, "{prefix}{number}. {step}"))
}

/// `name: reason`, and the effect below it.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = self.effect.to_string();
        write!(f, "{}: {}", self.name, self.reason)?;
        effect.lines().try_for_each(|line| write!(f, "\n     {line}"))
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { path, mode, text } => {
                write!(f, "write {} {mode:04o}", path.display())?;
                match text.lines().count() {
                    0..=SHOWN => text.lines().try_for_each(|line| write!(f, "\n| {line}")),
                    lines => write!(f, ", {lines} lines of sha256 {}", sha256(text)),
                }
            }
            Self::Remove { path } => write!(f, "remove {}", path.display()),
            Self::Run { expect, .. } => {
                f.write_str("run")?;
                self.command().iter().try_for_each(|command| write!(f, " {command}"))?;
                let Expect::Lines { exactly, .. } = expect else { return Ok(()) };
                f.write_str("\nmust say")?;
                exactly.iter().enumerate().try_for_each(|(at, line)| {
                    f.write_str(if at == 0 { " " } else { ", " })?;
                    f.write_char('`').and_then(|()| f.write_str(line)).and_then(|()| f.write_char('`'))
                })
            }
        }
    }
}
