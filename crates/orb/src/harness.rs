//! A script whose output is the result: the repository's doctor, and its score harness.

use std::fmt;

use outcome::Failure;
use serde::Serialize;

use crate::place::Place;
use crate::script::{Script, Told, code, failed};

/// A script whose output is the result.
#[derive(Debug, Clone, Copy)]
pub struct Harness {
    script: Script,
    /// The file that gets what it says.
    output: &'static str,
    /// The class when the tree has none, and the word for that in the file.
    missing: (&'static str, &'static str),
}

/// A script that ended, and its output kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ran {
    schema: u32,
    status: &'static str,
    script: &'static str,
    output: &'static str,
    exit_code: u8,
    /// The beginning of what it said is not in the file.
    cut: bool,
    #[serde(skip)]
    failure: Option<Failure>,
}

impl Ran {
    /// The script's exit code, where it is not 0: the program's too.
    pub fn failed_with(&self) -> Option<u8> {
        self.failure.as_ref().map(|_| self.exit_code)
    }

    /// The result of a script that succeeded.
    ///
    /// # Errors
    /// What is told of one that failed.
    pub fn into_result(self) -> Result<Self, Failure> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self),
        }
    }
}

impl Harness {
    /// `ops/doctor_repo.sh`: the health of the repository.
    pub const DOCTOR: Self = Self {
        script: Script { path: "ops/doctor_repo.sh", parameters: &[] },
        output: "DOCTOR_OUTPUT.txt",
        missing: ("script-not-found", "SCRIPT_NOT_FOUND"),
    };

    /// `ops/score_run.sh`: scores a run of a day's logs. It reads `LOGS_DAY` and `RUN_ID`, where they are given, and
    /// writes what it wants to keep below `ARTIFACT_DIR`.
    pub const SCORE: Self = Self {
        script: Script { path: "ops/score_run.sh", parameters: &["LOGS_DAY", "RUN_ID"] },
        output: "SCORE_OUTPUT.txt",
        missing: ("harness-not-found", "HARNESS_NOT_FOUND"),
    };

    /// Runs the script. What it says, both streams in order, is the output file.
    ///
    /// A script that failed is no error: its exit code is the result's.
    ///
    /// # Errors
    /// Refused when the tree has no such script, which the output file says too. When a parameter is none, the script
    /// cannot be run or the file cannot be written.
    pub fn run(self, place: &Place<'_>, told: Told) -> Result<Ran, Failure> {
        self.check_parameters(place)?;
        let Some(found) = self.script.find(place)? else {
            let (class, word) = self.missing;
            let reason = format!("the tree has no {}", self.script.path);
            place.outputs.write(self.output, |out| writeln!(out, "{word}: {reason}"))?;
            return Err(Failure::refused(class, reason, "name a commit that has it, or another job"));
        };
        let output = self.script.run(place, found, &[], told)?;
        place.outputs.write(self.output, |out| {
            if output.cut {
                writeln!(out, "[ai-ops-runner: what it said before is left out; the job's log has more]")?;
            }
            out.write_all(&output.stdout)
        })?;
        let exit_code = code(output.status);
        let failure = (exit_code != 0).then(|| failed(self.script, &output));
        let (script, output, cut) = (self.script.path, self.output, output.cut);
        Ok(Ran { schema: 1, status: "done", script, output, exit_code, cut, failure })
    }

    fn check_parameters(self, place: &Place<'_>) -> Result<(), Failure> {
        for name in self.script.parameters {
            match *name {
                "LOGS_DAY" => place.parameter(name, "a day such as 2026-01-31", is_day)?,
                _ => place.parameter(name, "1 to 64 letters, digits, dots, dashes and underscores", is_run)?,
            };
        }
        Ok(())
    }
}

fn is_day(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok_and(|day| day.to_string() == text)
}

fn is_run(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let begins_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    begins_plain && text.len() <= 64 && text.bytes().all(plain)
}

/// As a person reads it.
impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: exit {}, its output is in {}", self.script, self.exit_code, self.output)
    }
}
