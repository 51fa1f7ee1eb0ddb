//! The programs of the service, running: the API, and workers in it and beside it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use outcome::Failure;
use real_parts::Postgres;
use rustix::process::{Pid, Signal, kill_process};

use super::super::scene;
use super::broken;
use super::client::Service;
use super::machine::{self, Memory};
use crate::workshop::{Workshop, unusable};

/// How long a program may take to begin or to end.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// Prints the time, so that it is known when it was begun. It does nothing else: no job does less.
pub(super) const STAMP: &str = "stamp";
/// Does not end by itself.
pub(super) const HOLD: &str = "hold";
/// The repository whose jobs are timed, and one that has one job at a time.
pub(super) const REPO: &str = "scene";
pub(super) const BUSY: &str = "busy";

/// Beside the built-in ones, which an installation has to read too.
const JOBS: &str = "
[jobs.stamp]
argv = [\"date\", \"+%s%N\"]
timeout_sec = 60
[jobs.hold]
argv = [\"sleep\", \"3600\"]
timeout_sec = 3600
";

/// Where the service keeps its queue.
pub(super) enum Engine {
    Sqlite,
    Postgres(Box<Postgres>),
}

impl Engine {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

/// A directory with a small repository, the allowlists and the programs.
pub(super) struct Place {
    pub(super) dir: PathBuf,
    pub(super) sha: String,
    programs: PathBuf,
    made: AtomicU32,
}

impl Place {
    /// Makes it in an empty directory.
    pub(super) fn new(workshop: &Workshop, dir: &Path, programs: PathBuf) -> Result<Self, Failure> {
        let repo = scene::Scene::new(workshop, dir.join(REPO))?;
        for file in 0..20 {
            repo.write(&format!("src/file_{file}.rs"), &format!("pub const NUMBER: u32 = {file};\n").repeat(50))?;
        }
        repo.commit()?;
        // No two names of the allowlist are for one repository.
        repo.git(&["clone", "--quiet", ".", &format!("../{BUSY}")])?;
        let head = workshop.tool("git").dir(&repo.dir).args(["rev-parse", "HEAD"]).answer();
        let sha = head.ok_or_else(|| broken("git does not know what it committed"))?;
        let allowed = |name: &str, most: u32| {
            let url = format!("file://{}", dir.join(name).display());
            format!(
                "[repos.{name}]\nurl = \"{url}\"\nallowed_branches = [\"main\"]\ndefault_branch = \"main\"\nmax_running = {most}\n"
            )
        };
        let repos = format!("schema = 1\n[queue]\nmax_running = 100\n{}{}", allowed(REPO, 50), allowed(BUSY, 1));
        let place = Self { dir: dir.to_owned(), sha, programs, made: AtomicU32::new(0) };
        fs::create_dir(place.configs()).map_err(|error| unusable(dir, &error))?;
        let built_in = workshop.root().join("configs/job_allowlist.toml");
        let built_in = fs::read_to_string(&built_in).map_err(|error| unusable(&built_in, &error))?;
        for (name, text) in [("job_allowlist.toml", built_in + JOBS), ("repo_allowlist.toml", repos)] {
            fs::write(place.configs().join(name), text).map_err(|error| unusable(dir, &error))?;
        }
        Ok(place)
    }

    fn configs(&self) -> PathBuf {
        self.dir.join("configs")
    }

    /// A name that was not given before.
    pub(super) fn name(&self) -> String {
        format!("state{}", self.made.fetch_add(1, Ordering::Relaxed))
    }

    /// A program on a state directory, with nothing of the user's configuration.
    pub(super) fn command(&self, program: &str, args: &[&str], state: &Path) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.dir).stdin(Stdio::null()).env_clear().env("HOME", &self.dir);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.args(args).arg("--configs").arg(self.configs()).arg("--state").arg(state);
        command
    }

    /// `runner run` of the job that does the least, to its end.
    pub(super) fn run(&self, state: &Path) -> io::Result<Vec<u8>> {
        let args = ["run", STAMP, "--repo", REPO, "--sha", &self.sha, "--json"];
        let output = self.command("runner", &args, state).output()?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(io::Error::other(String::from_utf8_lossy(&output.stderr)))
        }
    }
}

/// A service that runs, on a queue of its own. It is stopped when dropped.
pub(super) struct Stack {
    programs: Vec<Program>,
    pub(super) service: Service,
    pub(super) state: PathBuf,
}

impl Stack {
    /// The API and so many workers. With SQLite the first is in the API, as in an installation for one machine.
    pub(super) fn start(place: &Place, engine: &Engine, workers: u32) -> Result<Self, Failure> {
        let name = place.name();
        let state = place.dir.join(&name);
        let (store, within) = match engine {
            Engine::Sqlite => (format!("sqlite:{}", place.dir.join(format!("{name}.db")).display()), workers.min(1)),
            Engine::Postgres(server) => (server.database(&name).map_err(broken)?, 0),
        };
        let mut args = vec!["--store", &store, "--listen", "127.0.0.1:0", "--rate", "1000000", "--grace", "0"];
        args.extend((within > 0).then_some("--with-worker"));
        let mut programs = vec![Program::start(place, "runner-api", &args, &state)?];
        let url = programs[0].said("listens on http://")?;
        let address = url.parse().map_err(|_| broken(format!("{url} is no address")))?;
        for _ in within..workers {
            programs.push(Program::start(place, "runner-worker", &["--store", &store, "--grace", "0"], &state)?);
        }
        programs[usize::from(within == 0)..].iter().try_for_each(|program| program.said("runs jobs as ").map(drop))?;
        let token = fs::read_to_string(state.join("token")).map_err(|error| unusable(&state, &error))?;
        Ok(Self { programs, service: Service { address, token: token.trim().to_owned() }, state })
    }

    /// What all programs hold together.
    pub(super) fn memory(&self) -> Result<Memory, Failure> {
        let each = self.programs.iter().map(|program| machine::memory(program.child.id()));
        let sum = |sum: Memory, each: Memory| Memory { now: sum.now + each.now, peak: sum.peak + each.peak };
        each.collect::<io::Result<Vec<_>>>()
            .map_err(broken)?
            .into_iter()
            .reduce(sum)
            .ok_or_else(|| broken("no program"))
    }

    /// The API's process.
    pub(super) fn api(&self) -> u32 {
        self.programs[0].child.id()
    }
}

struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    fn start(place: &Place, name: &str, args: &[&str], state: &Path) -> Result<Self, Failure> {
        let log = place.dir.join(format!("{name}-{}.log", place.name()));
        let output = File::create(&log).map_err(|error| unusable(&log, &error))?;
        let child = place.command(name, args, state).stderr(output).stdout(Stdio::null()).spawn();
        Ok(Self { child: child.map_err(|error| unusable(name.as_ref(), &error))?, log })
    }

    /// What it said behind these words, once it did.
    fn said(&self, words: &str) -> Result<String, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = fs::read_to_string(&self.log).map_err(|error| unusable(&self.log, &error))?;
            let told =
                log.split_inclusive('\n').filter(|line| line.ends_with('\n')).find_map(|line| line.split_once(words));
            match told {
                Some((_, rest)) => return Ok(rest.trim().to_owned()),
                None if Instant::now() > deadline => {
                    return Err(broken(format!("a program did not begin; it said: {log}")));
                }
                None => sleep(PAUSE),
            }
        }
    }

    fn has_ended(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            sleep(PAUSE);
        }
        false
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to do.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if !self.has_ended() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
