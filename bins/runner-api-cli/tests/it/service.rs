//! A stage for one test: a repository, the allowlists, and the real programs with a state directory of their own.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cli::testing::build_beside;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{Answer, Client, Live};

/// How long something may take that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// A job that ends well at once, one that fails, one that waits for a file of the gate, and one that ends when it is killed.
pub(crate) const JOBS: &str = r#"
[jobs.hello]
argv = ["echo", "hello"]
timeout_sec = 60
[jobs.fail]
argv = ["sh", "-c", "echo out; echo err >&2; exit 42"]
timeout_sec = 60
[jobs.gate]
argv = ["sh", "-c", "until [ -e {GATE}/open ]; do sleep 0.02; done"]
timeout_sec = 60
binds = ["{GATE}"]
[jobs.long]
argv = ["sleep", "{MARK}"]
timeout_sec = 60
"#;

/// Waits until something is there.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "never: {what}");
        sleep(PAUSE);
    }
}

/// Where programs find what they need.
pub(crate) struct Site {
    dir: TempDir,
    mark: String,
}

impl Site {
    /// A repository with a `README.md`, allowed by the name `project`, and the jobs of `jobs`: lines of TOML. In these
    /// `{GATE}` is a directory of this test, and `{MARK}` a number of seconds by which its processes are known.
    pub(crate) fn new(jobs: &str) -> Self {
        static MARK: AtomicU32 = AtomicU32::new(0);
        // A job has a `/tmp` and a `/var` of its own, in which nothing of this machine can be.
        let dir = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let dir = dir.unwrap();
        let mark = format!("3600.{}{:04}", std::process::id(), MARK.fetch_add(1, Ordering::Relaxed));
        let site = Self { dir, mark };
        for name in ["configs", "project", "gate", "home"] {
            fs::create_dir(site.path(name)).unwrap();
        }
        fs::write(site.path("project/README.md"), "read me\n").unwrap();
        site.git(&["init", "-q", "-b", "main"]);
        site.git(&["add", "--all"]);
        site.git(&["commit", "-q", "-m", "start"]);
        site.jobs(jobs);
        site.repos("");
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// The jobs that are allowed from here on.
    pub(crate) fn jobs(&self, jobs: &str) {
        let jobs = jobs.replace("{GATE}", self.path("gate").to_str().unwrap()).replace("{MARK}", &self.mark);
        self.config("job_allowlist.toml", &format!("schema = 1\n{jobs}"));
    }

    /// The repository `project` and the lines of `more` are the allowlist of repositories from here on.
    pub(crate) fn repos(&self, more: &str) {
        let url = format!("file://{}", self.path("project").display());
        let project =
            format!("[repos.project]\nurl = \"{url}\"\nallowed_branches = [\"main\"]\ndefault_branch = \"main\"\n");
        self.config("repo_allowlist.toml", &format!("schema = 1\n{project}{more}"));
    }

    /// A file of the configuration, in place of the one that was there at once.
    pub(crate) fn config(&self, name: &str, text: &str) {
        let new = self.path("configs").join(".new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path("configs").join(name)).unwrap();
    }

    /// Jobs that wait for the gate go on.
    pub(crate) fn open_gate(&self) {
        fs::write(self.path("gate/open"), "").unwrap();
    }

    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.git_in("project", args)
    }

    pub(crate) fn git_in(&self, repo: &str, args: &[&str]) -> String {
        let mut git = self.clean(Command::new("git"));
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.invalid"]).current_dir(self.path(repo));
        let output = git.args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What asks for a job at the newest commit.
    pub(crate) fn ask(&self, job: &str) -> Value {
        json!({ "repo_name": "project", "sha": self.head(), "job_type": job })
    }

    /// `runner-api` with the site's directories.
    pub(crate) fn api(&self, args: &[&str]) -> Command {
        self.on(Command::new(env!("CARGO_BIN_EXE_runner-api")), args)
    }

    /// `runner-worker` with the same.
    pub(crate) fn worker(&self, args: &[&str]) -> Command {
        self.on(Command::new(worker_program()), args)
    }

    /// Some program that takes the site's directories.
    pub(crate) fn on(&self, command: Command, args: &[&str]) -> Command {
        let mut command = self.clean(command);
        command.args(args).arg("--configs").arg(self.path("configs"));
        if !args.contains(&"--state") {
            command.arg("--state").arg(self.state());
        }
        command
    }

    fn clean(&self, mut command: Command) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", self.path("home")).stdin(Stdio::null());
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
    }

    /// The service with a worker, and a client that has the token of the state directory.
    pub(crate) fn serve(&self, args: &[&str]) -> Service {
        self.serve_alone(&[&["--with-worker"], args].concat())
    }

    /// The service without a worker.
    pub(crate) fn serve_alone(&self, args: &[&str]) -> Service {
        Service::start(self.api(&[&["--listen", "127.0.0.1:0"], args].concat()), &self.path("api.log"), &self.state())
    }

    /// A worker beside the service.
    pub(crate) fn work(&self, args: &[&str]) -> Program {
        self.work_as("worker", args)
    }

    /// The same with a log of its own.
    pub(crate) fn work_as(&self, name: &str, args: &[&str]) -> Program {
        let program = Program::start(self.worker(args), &self.path(&format!("{name}.log")));
        program.says("runs jobs as ");
        program
    }

    /// The processes of jobs of this site that have its mark.
    pub(crate) fn marked(&self) -> Vec<u32> {
        let has_mark = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&self.mark)
        };
        processes().into_iter().filter(has_mark).collect()
    }

    /// Waits until no process of its jobs is left.
    pub(crate) fn nothing_runs(&self) {
        eventually("no process of a job is left", || self.marked().is_empty().then_some(()));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["api.log", "worker.log", "one.log", "other.log"] {
                let log = fs::read_to_string(self.path(name)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                eprintln!("{name}:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
            }
        }
    }
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// `runner-worker`, beside `runner-api`.
pub(crate) fn worker_program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let dir = BUILT.get_or_init(|| build_beside(env!("CARGO_BIN_EXE_runner-api"), &["runner-worker"]));
    dir.join("runner-worker")
}

/// A program that goes on until it is told to stop. It ends with this.
pub(crate) struct Program {
    child: Child,
    log: PathBuf,
    /// How long its log was when it was started.
    before: usize,
}

impl Program {
    /// Starts it with its words in the file `log`, after what is there.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        command.stdout(file);
        Self::start_with_stdout(command, log)
    }

    /// The same for one whose standard output goes elsewhere.
    pub(crate) fn start_with_stdout(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let before = usize::try_from(file.metadata().unwrap().len()).unwrap();
        let child = command.stderr(file).spawn().unwrap();
        Self { child, log: log.to_owned(), before }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()[self.before..]).into_owned()
    }

    /// Waits for a line that begins with `start`. Returns the rest of it.
    pub(crate) fn says(&self, start: &str) -> String {
        eventually(start, || {
            let log = self.log();
            let (whole, _) = log.rsplit_once('\n')?;
            whole.lines().find_map(|line| line.strip_prefix(start)).map(str::to_owned)
        })
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the program ends", || self.child.try_wait().unwrap())
    }

    /// Tells it to stop. Returns how long that took.
    pub(crate) fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        self.signal(Signal::TERM);
        assert_eq!(self.wait().code(), Some(0), "{}", self.log());
        begun.elapsed()
    }

    /// A number of `/proc/PID/status`, in KiB where it is a size.
    pub(crate) fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `runner-api` and who asks it.
pub(crate) struct Service {
    pub(crate) program: Program,
    pub(crate) client: Client,
}

impl Service {
    /// Starts it and waits until it listens.
    pub(crate) fn start(command: Command, log: &Path, state: &Path) -> Self {
        let program = Program::start(command, log);
        let address = program.says("listens on http://").parse().unwrap();
        let token = fs::read_to_string(state.join("token")).unwrap();
        Self { program, client: Client::tcp(address).with_token(token.trim()) }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.client.get(path)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.client.post(path, body)
    }

    /// Submits a job. Returns its id.
    pub(crate) fn submit(&self, asked: &Value) -> String {
        let answer = self.post("/jobs", asked);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["job_id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn job(&self, id: &str) -> Value {
        let answer = self.get(&format!("/jobs/{id}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Waits until the job is in that state.
    pub(crate) fn becomes(&self, id: &str, status: &str) -> Value {
        self.until(id, |job| job["status"] == status)
    }

    /// Waits for its end.
    pub(crate) fn ended(&self, id: &str) -> Value {
        self.until(id, |job| job["status"] != "queued" && job["status"] != "running")
    }

    /// Waits for its end, which is a good one.
    pub(crate) fn succeeds(&self, id: &str) -> Value {
        let job = self.ended(id);
        assert_eq!(job["status"], "success", "{}", told(&job));
        job
    }

    pub(crate) fn until(&self, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            last = self.job(id);
            if holds(&last) {
                return last;
            }
            sleep(PAUSE);
        }
        panic!("never; at last: {last}");
    }

    /// A job's timeline, a line each, with `WORKER` for the name of a worker.
    pub(crate) fn timeline(&self, id: &str) -> String {
        let events = self.get(&format!("/jobs/{id}/events")).json();
        let line = |event: &Value| {
            let text = event["text"].as_str().unwrap();
            let words = text.split(' ').map(|word| if word.contains('/') { "WORKER" } else { word });
            format!("{}: {}\n", event["kind"].as_str().unwrap(), words.collect::<Vec<_>>().join(" "))
        };
        events["events"].as_array().unwrap().iter().map(line).collect()
    }

    pub(crate) fn cancel(&self, id: &str, why: &str) -> Answer {
        self.post(&format!("/jobs/{id}/cancel"), &json!({ "why": why }))
    }

    /// Both logs as they are written.
    pub(crate) fn live(&self, id: &str) -> Live {
        self.client.live(&format!("/jobs/{id}/logs/stream"), &[])
    }

    /// The names of checks that are not good.
    pub(crate) fn unready(&self) -> Vec<String> {
        let ready = self.get("/readyz");
        let checks = ready.json();
        let bad = checks["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false);
        let bad: Vec<String> = bad.map(|check| check["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ready.status, if bad.is_empty() { 200 } else { 503 }, "{checks}");
        bad
    }
}

/// Why a job did not succeed, in a line.
pub(crate) fn told(job: &Value) -> String {
    let field = |name: &str| job[name].as_str().unwrap_or("-").to_owned();
    format!("{} {} {}: {}", field("status"), job["exit_code"], field("class"), field("reason"))
}
