//! A service for one test: the real program with a worker, on the directories of a stage.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use cli::testing::build_beside;
use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::stage::{Said, Stage};

const PROGRAMS: [&str; 4] = ["orb-doctor", "orb-review-bundle", "orb-score-run", "runner-api-cli"];

/// The directory of the programs, all of them built.
pub(crate) fn beside() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build_beside(env!("CARGO_BIN_EXE_runner"), &PROGRAMS))
}

/// A service; it is killed with the test.
pub(crate) struct Serving {
    child: Child,
    /// Where it listens.
    pub(crate) api: String,
}

impl Serving {
    /// `command` is the program with its directories.
    pub(crate) fn start(mut command: Command, listen: &str) -> Self {
        command.args(["--with-worker", "--listen", listen]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let api = lines.find_map(|line| line.strip_prefix("listens on ").map(str::to_owned)).unwrap();
        // It never waits for somebody who reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, api }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::take(&mut self.api)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stage whose jobs a service runs.
pub(crate) struct Served {
    pub(crate) stage: Stage,
    pub(crate) service: Option<Serving>,
    pub(crate) api: String,
}

impl Served {
    pub(crate) fn new(jobs: &str) -> Self {
        let stage = Stage::new(jobs);
        let mut served = Self { stage, service: None, api: String::new() };
        served.restart("127.0.0.1:0");
        served
    }

    /// A script that is allowed as `script`.
    pub(crate) fn script(script: &str) -> Self {
        Self::new(&Stage::script(script))
    }

    fn restart(&mut self, listen: &str) {
        let mut command = self.stage.clean(Command::new(beside().join("runner-api")));
        command.args(["--configs".as_ref(), self.stage.path("configs").as_os_str()]);
        command.args(["--state".as_ref(), self.stage.path("state").as_os_str()]);
        command.args(["--socket".as_ref(), self.stage.path("api.sock").as_os_str()]);
        let service = Serving::start(command, listen);
        self.api.clone_from(&service.api);
        self.service = Some(service);
    }

    /// Kills the service and starts it again at the same place.
    pub(crate) fn kill_and_restart(&mut self) {
        let api = self.service.take().unwrap().kill();
        self.restart(api.strip_prefix("http://").unwrap());
    }

    /// `runner` for this service, at its port.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let token = fs::read_to_string(self.stage.path("state/token")).unwrap();
        let mut command = self.here(args);
        command.env("API_BASE", &self.api).env("RUNNER_TOKEN", token.trim());
        command
    }

    /// `runner` for the service of this state directory.
    pub(crate) fn here(&self, args: &[&str]) -> Command {
        let mut command = self.stage.clean(Command::new(beside().join("runner")));
        command.args(args);
        command.args(["--state".as_ref(), self.stage.path("state").as_os_str()]);
        command
    }

    pub(crate) fn runner(&self, args: &[&str]) -> Said {
        self.command(args).output().unwrap().into()
    }

    /// Submits `script`, with more arguments.
    pub(crate) fn submit(&self, more: &[&str]) -> Said {
        let head = self.stage.head();
        self.runner(&[&["submit", "script", "--repo", "project", "--sha", &head], more].concat())
    }

    /// Submits `script`. Returns the job.
    pub(crate) fn job(&self) -> String {
        let said = self.submit(&[]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        said.stdout.trim().to_owned()
    }

    /// Submits `script` and waits for its end. Returns the job.
    pub(crate) fn ended(&self) -> String {
        let id = self.job();
        self.runner(&["watch", &id]);
        id
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let said = self.runner(&[args, &["--json"]].concat());
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", said.stdout, said.stderr))
    }
}

/// Starts a command, and returns it when it has said `line` on its stdout, with the rest of what it says there.
pub(crate) fn until(mut command: Command, line: &str) -> (Child, impl Iterator<Item = String>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|said| said == line), "{:?}", Said::from(child.wait_with_output().unwrap()).stderr);
    (child, lines)
}

pub(crate) fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

/// What a command said, with all in it that is another each time replaced.
pub(crate) fn told(said: &Said) -> String {
    let code = said.code.unwrap();
    normal(&format!("exit {code}\n{}---\n{}", said.stdout, said.stderr))
}

pub(crate) fn normal(text: &str) -> String {
    [
        (r"\d{8}T\d{9}Z-[0-9a-f]{16}", "JOB"),
        (r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z", "TIME"),
        (r"\b[0-9a-f]{40}\b", "COMMIT"),
        (r"\b[0-9a-f]{32}\b", "TRACE"),
        (r"\b[0-9a-f]{12}\b", "COMMI"),
        (r"\b\d+ ms\b", "N ms"),
        (r#""duration_ms":\d+"#, r#""duration_ms":N"#),
        (r"http://127.0.0.1:\d+", "API"),
        (r"\b(on|of) \S+/\d+\b", "$1 WORKER"),
        (r#""worker":"[^"]*""#, r#""worker":"WORKER""#),
        (r"/tmp/\.tmp[A-Za-z0-9]+", "STAGE"),
        // How wide a column is depends on what is in it.
        (r"  +", "  "),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (what, with)| Regex::new(what).unwrap().replace_all(&text, with).into_owned())
}
