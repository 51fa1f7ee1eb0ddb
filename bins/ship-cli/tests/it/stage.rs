//! A stage for one test: a work tree, its remote, a home, the programs and a model. Nothing of the machine's
//! configuration is seen.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use cli::testing::build_beside;
use fake_model::{Brain, FakeModel, Reply, Request};
use serde_json::Value;
use tempfile::TempDir;

/// The other programs of a ship, by package and by program.
const OTHERS: [&str; 5] = ["autoheal", "install-hooks", "push-gate", "review-auto", "review-finish"];

/// The first commit's date; every commit is a minute later than the one before.
const EPOCH: u64 = 1_700_000_000;

/// Longer than anything here takes: a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What [`defect`] leaves in the tree, and the model blocks.
pub(crate) const DEFECT: &str = "eval(";

/// The patch that removes [`DEFECT`].
pub(crate) const PATCH: &str = "*** Begin Patch
*** Update File: src/greet.py
@@
-    return eval('name')
+    return name
*** End Patch";

/// The policy of a stage, as far as tests differ.
pub(crate) struct Setup {
    /// The words of the one test step.
    pub(crate) test: Vec<String>,
    /// `review.timeout_sec`.
    pub(crate) timeout: u64,
    /// `heal.paths`.
    pub(crate) heal: Vec<&'static str>,
    /// `sha1` or `sha256`.
    pub(crate) format: &'static str,
    /// Other lines of `[review]`.
    pub(crate) review: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self { test: vec!["true".into()], timeout: 60, heal: vec!["src"], format: "sha1", review: "" }
    }
}

impl Setup {
    /// The test step is a shell script.
    pub(crate) fn testing(script: &str) -> Self {
        Self { test: vec!["sh".into(), "-c".into(), script.into()], ..Self::default() }
    }
}

/// What a program said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// The lines of `--json`.
    pub(crate) fn events(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// The last line of `--json`: how it ended.
    pub(crate) fn end(&self) -> Value {
        self.events().pop().unwrap_or_else(|| panic!("no output; stderr: {}", self.stderr))
    }

    /// Exit code, class, reason and what to do next, without what differs from run to run.
    pub(crate) fn text(&self, stage: &Stage) -> String {
        let end = self.end();
        let field = |name: &str| end[name].as_str().unwrap_or("-").to_owned();
        let code = self.code.map_or_else(|| "signal".to_owned(), |code| code.to_string());
        let text = match end["class"].as_str() {
            Some(class) => format!("exit {code} {class}: {}\nnext: {}", field("reason"), field("next")),
            None => format!("exit {code} {}", field("status")),
        };
        stage.redacted(&text)
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

pub(crate) struct Stage {
    dir: TempDir,
    pub(crate) model: FakeModel,
    commits: Cell<u64>,
}

/// A key that exists nowhere else.
pub(crate) fn key() -> String {
    ["sk-", "test", "-0123456789abcdef0123"].concat()
}

/// A model that approves what is not defective and mends what is.
pub(crate) fn mending() -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let brain = Brain::approving().blocking_on(DEFECT).healing_with(PATCH);
    move |request| brain.reply(request)
}

/// A model that must not be asked.
pub(crate) fn nobody() -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    |_| Reply::status(400)
}

/// Waits until `condition` gives something.
pub(crate) fn until<T>(what: &str, condition: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

impl Stage {
    /// An empty repository with an empty remote.
    pub(crate) fn empty(setup: &Setup, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let stage = Self { dir, model: FakeModel::start(script).unwrap(), commits: Cell::new(0) };
        for name in ["home", "bin", "work"] {
            fs::create_dir(stage.path(name)).unwrap();
        }
        symlink(real_git(), stage.path("bin/git")).unwrap();
        let format = format!("--object-format={}", setup.format);
        stage.git(&["init", "--quiet", "--initial-branch=main", &format]);
        stage.git(&["init", "--quiet", "--initial-branch=main", &format, "--bare", "../remote.git"]);
        stage.git(&["remote", "add", "origin", &stage.path("remote.git").to_string_lossy()]);
        stage
    }

    /// A repository whose remote has one commit: a policy and a program.
    pub(crate) fn new(setup: &Setup, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let stage = Self::empty(setup, script);
        stage.start(setup);
        stage.git(&["push", "--quiet", "origin", "main"]);
        stage
    }

    /// The same, and the real codex is found.
    pub(crate) fn with_codex(setup: &Setup, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let stage = Self::new(setup, script);
        stage.provide_codex();
        stage
    }

    /// The first commit.
    pub(crate) fn start(&self, setup: &Setup) {
        self.write("configs/ship.toml", &self.policy(setup));
        self.write("src/greet.py", "def greet(name):\n    return name\n");
        self.commit("start");
    }

    fn policy(&self, setup: &Setup) -> String {
        let Setup { test, timeout, heal, review, .. } = setup;
        format!(
            "schema = 1\n[[tests.steps]]\nname = \"unit\"\nargv = {test:?}\n[review]\nmodel = \"gpt-5.5\"\nretries = 0\n\
             timeout_sec = {timeout}\nbase_url = \"{}\"\n{review}\n[heal]\npaths = {heal:?}\ntimeout_sec = 60\n",
            self.model.url()
        )
    }

    pub(crate) fn provide_codex(&self) {
        let codex = fake_model::codex_binary().unwrap_or_else(|missing| panic!("{missing}"));
        symlink(codex, self.path("bin/codex")).unwrap();
    }

    /// Installs the gate and its hooks.
    pub(crate) fn install(&self) {
        let said = run(self.program("install-hooks").arg("--json"));
        assert_eq!(said.code, Some(0), "{}", said.stderr);
    }

    /// A commit that the model approves.
    pub(crate) fn change(&self) -> String {
        self.write("src/more.py", "MORE = 1\n");
        self.commit("more")
    }

    /// A commit that the model blocks until it is mended.
    pub(crate) fn defect(&self) -> String {
        self.write("src/greet.py", "def greet(name):\n    # As told.\n    return eval('name')\n");
        self.commit("greet in another way")
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.path("work").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Commits everything in the work tree. Returns the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all", "--force", "--", ".", ":!review_packets"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.commits.set(self.commits.get() + 1);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git in the work tree, which must succeed. Returns its output without the last line feed.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = self.command("git").args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// What `main` of the remote is; empty when it has none.
    pub(crate) fn remote_main(&self) -> String {
        self.git(&["ls-remote", "../remote.git", "refs/heads/main"])
            .chars()
            .take_while(char::is_ascii_hexdigit)
            .collect()
    }

    /// The program with its own environment, in the work tree.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let date = format!("@{} +0000", EPOCH + 60 * self.commits.get());
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.path("work")).stdin(Stdio::null());
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        command.env("HOME", self.path("home")).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "agent").env(format!("GIT_{role}_EMAIL"), "agent@example.invalid");
            command.env(format!("GIT_{role}_DATE"), &date);
        }
        command
    }

    /// One of the programs, with a key.
    pub(crate) fn program(&self, name: &str) -> Command {
        let path = if name == "ship" { env!("CARGO_BIN_EXE_ship").into() } else { built(name) };
        let mut command = self.command(path);
        command.env("OPENAI_API_KEY", key());
        command
    }

    /// `ship --json` with these arguments.
    pub(crate) fn ship(&self, args: &[&str]) -> Said {
        run(self.program("ship").arg("--json").args(args))
    }

    /// `ship --json` that asks no reviewer.
    pub(crate) fn ship_simulated(&self) -> Said {
        run(self.program("ship").arg("--json").env("CODEX_SKIP", "1"))
    }

    /// `ship --json` that goes on beside the test.
    pub(crate) fn start_ship(&self, variables: &[(&str, &str)]) -> Child {
        let mut command = self.program("ship");
        command.arg("--json").envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// `text` without what differs from run to run.
    pub(crate) fn redacted(&self, text: &str) -> String {
        let text = text.replace(&*self.dir.path().canonicalize().unwrap().to_string_lossy(), "STAGE");
        let text = text.replace(&*self.dir.path().to_string_lossy(), "STAGE").replace(&self.model.url(), "MODEL");
        let mut redacted = String::new();
        for word in text.split_inclusive(|char: char| !char.is_ascii_hexdigit()) {
            let hex = word.trim_end_matches(|char: char| !char.is_ascii_hexdigit());
            redacted += &if hex.len() >= 12 { word.replace(hex, "ID") } else { word.to_owned() };
        }
        // Git pads what a remote says.
        redacted.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    /// A program that says it is here and waits to be let go: on a stage that [`Stage::hold`]s, else it does nothing.
    pub(crate) fn holder(&self) -> PathBuf {
        let (holder, base) = (self.path("bin/hold"), self.path("hold"));
        let base = base.display();
        let script = format!(
            "#!/bin/sh\n[ -e '{base}' ] || exit 0\necho $$ >'{base}.new'\nmv '{base}.new' '{base}.pid'\n\
             read -r answer <'{base}'\n[ \"$answer\" = go ]\n"
        );
        executable(&holder, &script);
        holder
    }

    /// From now on the holder holds.
    pub(crate) fn hold(&self) {
        assert!(self.command("mkfifo").arg(self.path("hold")).status().unwrap().success());
    }

    /// Waits until the holder holds. Returns its process.
    pub(crate) fn held(&self) -> i32 {
        let pid = self.path("hold.pid");
        until("the holder holds", || fs::read_to_string(&pid).ok()).trim().parse().unwrap()
    }

    /// From now on the holder holds nobody; one that holds is let go with this answer.
    pub(crate) fn release(&self, answer: &str) {
        let fifo = self.path("hold");
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
        let pipe = OpenOptions::new().write(true).custom_flags(nonblocking).open(&fifo);
        // Without a reader, whoever was held is gone, and nobody is to be told.
        drop(pipe.and_then(|mut pipe| writeln!(pipe, "{answer}")));
        fs::remove_file(fifo).unwrap();
    }

    /// A hook of the remote.
    pub(crate) fn remote_hook(&self, name: &str, script: &str) {
        executable(&self.path("remote.git/hooks").join(name), &format!("#!/bin/sh\n{script}\n"));
    }

    /// Every process that was started for this stage and still runs.
    pub(crate) fn processes(&self) -> Vec<String> {
        let listed = Command::new("ps").args(["-A", "-o", "pid=,args="]).output().unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let dir = self.dir.path().to_string_lossy().into_owned();
        listed.lines().filter(|line| line.contains(&dir)).map(str::to_owned).collect()
    }

    /// What a killed or interrupted run may have left: journal, heal copies, rooms of codex.
    pub(crate) fn left_over(&self) -> Vec<String> {
        let cache = self.path("home/.cache/ai-ops-runner");
        let mut found: Vec<String> = ["heal", "codex"]
            .iter()
            .flat_map(|name| fs::read_dir(cache.join(name)).into_iter().flatten())
            .map(|entry| entry.unwrap().path().strip_prefix(&cache).unwrap().display().to_string())
            .collect();
        found.extend(self.journal().map(|_| "journal".to_owned()));
        found
    }

    /// Where the run stands, as its journal says.
    pub(crate) fn journal(&self) -> Option<String> {
        let journal = fs::read(self.path("work/.git/ai-ops-runner/ship/journal.json")).ok()?;
        let journal: Value = serde_json::from_slice(&journal).unwrap();
        Some(journal["state"]["at"].as_str().unwrap().to_owned())
    }

    /// The subjects of the branch, newest first.
    pub(crate) fn log(&self, revision: &str) -> String {
        self.git(&["log", "--format=%s", revision])
    }

    /// The prompts of the model's requests that offer tools: heals.
    pub(crate) fn heals(&self) -> Vec<Request> {
        self.model.requests().into_iter().filter(|request| !request.tools().is_empty()).collect()
    }
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Said {
    command.output().unwrap().into()
}

/// Writes a program.
pub(crate) fn executable(path: &Path, script: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Where git is on this machine.
pub(crate) fn real_git() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|dir| dir.join("git"))
        .find(|git| git.is_file())
        .expect("install git 2.40 or later")
}

/// One of [`OTHERS`], built once beside the program under test.
fn built(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build_beside(env!("CARGO_BIN_EXE_ship"), &OTHERS)).join(name)
}
