//! A script of the repository, run in an environment that holds what it needs and nothing else.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use host::{Cmd, Output, Status, says_full};
use outcome::Failure;

use crate::place::Place;

/// A script has no time limit of its own: the job's is shorter.
const DAY: Duration = Duration::from_hours(24);
/// What is kept of a script's output, in bytes: the end. The runner keeps more of it in the job's log.
const KEPT: usize = 4 << 20;
/// Both streams as one, in the order they were written. The words after it are arguments and never part of it.
const MERGED: &str = "exec bash \"$@\" 2>&1";

/// What a script needs of the job's environment beside `PATH`.
const NEEDED: [&str; 4] = ["HOME", "TMPDIR", "LANG", "ARTIFACT_DIR"];
/// Git's variables that a job may be given.
const GIT: [&str; 13] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CEILING_DIRECTORIES",
    "GIT_OPTIONAL_LOCKS",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_TERMINAL_PROMPT",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_COUNT",
];
/// How many pairs of configuration `GIT_CONFIG_COUNT` may announce.
const GIT_PAIRS: usize = 32;

/// Told every line of a script while it runs.
pub type Told = Box<dyn Fn(&str) + Send + Sync>;

/// A script of the repository.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    /// Below the root of the tree.
    pub(crate) path: &'static str,
    /// The parameters it gets as variables, where they are set.
    pub(crate) parameters: &'static [&'static str],
}

impl Script {
    /// Where the script is; `None` where the tree has none.
    ///
    /// # Errors
    /// Refused, class `script-outside`, for a link that leads out of the tree or to no file.
    pub(crate) fn find(self, place: &Place<'_>) -> Result<Option<PathBuf>, Failure> {
        let path = place.tree.join(self.path);
        match path.canonicalize() {
            Ok(found) if found.starts_with(&place.tree) && found.is_file() => Ok(Some(found)),
            Ok(_) => Err(self.outside()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                // A link to what is not there is no missing script, and nobody meant it to be one.
                if path.is_symlink() { Err(self.outside()) } else { Ok(None) }
            }
            Err(source) => Err(host::HostError::Io { path, source }.into()),
        }
    }

    fn outside(self) -> Failure {
        let reason = format!("{} is no file of the tree", self.path);
        Failure::refused("script-outside", reason, "commit the script itself, not a link out of the tree")
    }

    /// Runs the script that [`Script::find`] found. The end of its output comes back as standard output.
    ///
    /// # Errors
    /// When it cannot be started; that it failed is no error.
    pub(crate) fn run(self, place: &Place<'_>, found: PathBuf, args: &[&str], told: Told) -> Result<Output, Failure> {
        let pairs = (0..GIT_PAIRS).flat_map(|n| [format!("GIT_CONFIG_KEY_{n}"), format!("GIT_CONFIG_VALUE_{n}")]);
        let pairs: Vec<String> = pairs.collect();
        let named: Vec<&str> =
            NEEDED.iter().chain(&GIT).chain(self.parameters).copied().chain(pairs.iter().map(String::as_str)).collect();
        let cmd = Cmd::new("bash").args(["-c", MERGED, "bash"]).arg(found).args(args.iter().copied());
        let cmd = cmd.dir(&place.tree).inherit(&named).timeout(DAY).output_cap(KEPT);
        let output = place.host.run(&cmd.on_line(move |_, line| told(line)))?;
        match output.status {
            Status::Exited(_) | Status::Signaled(_) => Ok(output),
            Status::TimedOut | Status::Cancelled => Err(Failure::infrastructure(
                "interrupted",
                format!("{} was stopped ({})", self.path, output.status),
                "run it again",
            )),
        }
    }
}

/// The code of a script that ended: 128 and the signal's number where one ended it, as a shell has it.
pub(crate) fn code(status: Status) -> u8 {
    let code = match status {
        Status::Exited(code) => code,
        Status::Signaled(signal) => 128 + signal,
        Status::TimedOut | Status::Cancelled => 1,
    };
    u8::try_from(code).unwrap_or(1)
}

/// A script that failed. Where it found no room, that is the reason.
pub(crate) fn failed(script: Script, output: &Output) -> Failure {
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("(it said nothing)");
    let last: String = last.chars().take(300).collect();
    let reason = format!("{} failed ({}): {last}", script.path, output.status);
    if says_full(&last) {
        return host::disk_full(reason);
    }
    let next = "read what it said in the job's log";
    Failure::refused("script-failed", reason, next)
}
