//! A stage for one test: a repository, the allowlists, and a runner with a home and a state directory of its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// `nobody`, on every Linux.
const NOBODY: u32 = 65534;

/// Who runs the runner, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    /// Whoever runs the tests.
    Me,
    /// A user without rights; in place of whom the tests' own user stands where that is one.
    Nobody,
    /// The same where nobody may make a namespace, as in many containers.
    Confined,
}

pub(crate) struct Stage {
    dir: TempDir,
    by: As,
}

/// What a program said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Stage {
    /// A repository with a `README.md`, allowed by the name `project`, and the jobs of `jobs`: lines of TOML.
    pub(crate) fn new(jobs: &str) -> Self {
        Self::by(As::Me, jobs)
    }

    pub(crate) fn by(by: As, jobs: &str) -> Self {
        let dir = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
        let stage = Self { dir, by };
        for name in ["home", "configs", "project", "bin"] {
            fs::create_dir(stage.path(name)).unwrap();
        }
        fs::copy(env!("CARGO_BIN_EXE_runner"), stage.program()).unwrap();
        stage.write("README.md", "read me\n");
        stage.git(&["init", "-q", "-b", "main"]);
        stage.commit("start");
        stage.jobs(jobs);
        stage.own();
        let allowed = stage.runner(&["allow", "."]);
        assert_eq!(allowed.code, Some(0), "{}", allowed.stderr);
        stage
    }

    /// The jobs that are allowed from here on.
    pub(crate) fn jobs(&self, jobs: &str) {
        let text = if jobs.starts_with("[sandbox]") { jobs.to_owned() } else { format!("\n{jobs}") };
        fs::write(self.path("configs/job_allowlist.toml"), format!("schema = 1\n{text}")).unwrap();
    }

    /// A job that runs a script of the shell.
    pub(crate) fn script(script: &str) -> String {
        format!("[jobs.script]\nargv = [\"sh\", \"-c\", '''{script}''']\ntimeout_sec = 60\n")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.path("bin/runner")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path("project").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits all there is. Returns the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.own();
        self.head()
    }

    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let mut git = self.clean(Command::new("git"));
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.invalid", "-c", "safe.directory=*"]);
        let output = git.args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs `runner` with the stage's directories.
    pub(crate) fn runner(&self, args: &[&str]) -> Said {
        self.command(args).output().unwrap().into()
    }

    /// The same, to be changed or started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_at(&self.path("state"), args)
    }

    /// The same with another way to the state directory.
    pub(crate) fn command_at(&self, state: &Path, args: &[&str]) -> Command {
        let mut command = match self.by {
            As::Confined => {
                let mut unshare = Command::new("unshare");
                let confine = "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"";
                unshare.args(["--user", "--map-root-user", "sh", "-ec", confine, "sh"]).arg(self.program());
                unshare
            }
            As::Me | As::Nobody => Command::new(self.program()),
        };
        if self.by != As::Me && rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut command = self.clean(command);
        command.args(args).args(["--configs".as_ref(), self.path("configs").as_os_str()]);
        command.args(["--state".as_ref(), state.as_os_str()]);
        command
    }

    /// A program with the stage's home, and no other variable.
    pub(crate) fn clean(&self, mut command: Command) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", self.path("home")).current_dir(self.path("project"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").stdin(Stdio::null());
        command
    }

    /// Runs the job at the newest commit.
    pub(crate) fn job(&self, name: &str) -> Said {
        self.runner(&["run", name, "--repo", "project", "--sha", &self.head()])
    }

    /// Runs the job at the newest commit and returns what its artifact.json says.
    pub(crate) fn artifact(&self, name: &str) -> Value {
        let said = self.runner(&["run", name, "--repo", "project", "--sha", &self.head(), "--json"]);
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", said.stdout, said.stderr))
    }

    /// The directories of all jobs, the oldest first.
    pub(crate) fn job_dirs(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path("state/jobs")) else { return Vec::new() };
        let mut dirs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        dirs.sort();
        dirs
    }

    /// The newest job's artifact.json.
    pub(crate) fn newest(&self) -> Value {
        let dir = self.job_dirs().pop().unwrap();
        serde_json::from_slice(&fs::read(dir.join("artifact.json")).unwrap()).unwrap()
    }

    /// Everything belongs to who runs the runner.
    fn own(&self) {
        if self.by != As::Me && rustix::process::geteuid().is_root() {
            own(self.dir.path());
        }
    }
}

fn own(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap() {
            own(&entry.unwrap().path());
        }
    }
}

/// Why a job did not succeed, in a line.
pub(crate) fn told(artifact: &Value) -> String {
    let field = |name: &str| artifact[name].as_str().unwrap_or("-").to_owned();
    format!("{} {} {}: {}", field("status"), artifact["exit_code"], field("class"), field("reason"))
}
