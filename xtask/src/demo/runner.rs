//! A job in its sandbox, and jobs that try to get out of it.
//!
//! What runs are the real program and the real sandbox, on a repository and a listener of the demo's own. Each attack
//! says so itself when it succeeds: by its exit code, or by what it leaves.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use outcome::Failure;
use serde_json::Value;

use super::{say, tool, write};
use crate::programs;
use crate::workshop::{Tool, Workshop, unusable};

/// The attacks: what each shows, its name, its script, and how the job has to end. A script exits with 0 when it got
/// what it wanted, and with 7 when everything it tried was refused.
const ATTACKS: [Attack; 5] = [
    Attack {
        shows: "A job that changes the tree: there is nothing to write on",
        name: "write",
        script: "echo changed >> README.md && exit 0\nchmod u+w README.md && exit 0\nrm README.md && exit 0\nexit 7\n",
        ends: "failure",
    },
    Attack {
        shows: "A job that commits and pushes: its git directory is read-only, has no remote and the mirror is not there",
        name: "push",
        script: "git -c user.name=a -c user.email=a@b commit --allow-empty -m evil && exit 0\ngit push \"$(cat where)\" HEAD:refs/heads/evil && exit 0\nexit 7\n",
        ends: "failure",
    },
    Attack {
        shows: "A job that looks for secrets: the operator's files, the environment and other jobs are not there",
        name: "secrets",
        script: "cat \"$(cat secret)\" && exit 0\ncat /etc/shadow && exit 0\nenv | grep demo-secret && exit 0\ncat /proc/1/environ && exit 0\nexit 7\n",
        ends: "failure",
    },
    Attack {
        shows: "A job that reaches for the network: it is alone there",
        name: "network",
        script: "bash -c \"exec 3<>/dev/tcp/127.0.0.1/$(cat port)\" && exit 0\nbash -c 'exec 3<>/dev/tcp/1.1.1.1/443' && exit 0\nexit 7\n",
        ends: "failure",
    },
    Attack {
        shows: "A job that outlives its limit: a daemon in a session of its own that ignores TERM ends with it",
        name: "outlive",
        script: "trap '' TERM\nsetsid sh -c \"trap '' TERM; exec sleep $(cat marker)\" &\nsleep 600\n",
        ends: "timeout",
    },
];

struct Attack {
    shows: &'static str,
    name: &'static str,
    script: &'static str,
    ends: &'static str,
}

/// Runs the demo in `dir`.
///
/// # Errors
/// The failure of the first step that does not end as it should.
pub(super) fn run(workshop: &Workshop, dir: &Path) -> Result<(), Failure> {
    programs::build(workshop, &["runner-cli"])?;
    let listener = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|error| Failure::not_ready("loopback", error.to_string(), "allow listening on 127.0.0.1"))?;
    // A number that no other process on this machine sleeps for.
    let marker = format!("6{:05}", std::process::id() % 100_000);
    Demo { workshop, dir, listener, marker }.run()
}

struct Demo<'a> {
    workshop: &'a Workshop,
    dir: &'a Path,
    listener: TcpListener,
    marker: String,
}

impl Demo<'_> {
    fn run(&self) -> Result<(), Failure> {
        say("A repository, and a runner that may run jobs on it");
        self.prepare()?;
        let sha = self.head()?;

        say("1. A job: its log as it is written, then what it was and what it ran in");
        self.job("local_echo", &sha, "success")?;
        for (number, attack) in ATTACKS.iter().enumerate() {
            say(&format!("{}. {}", number + 2, attack.shows));
            self.job(attack.name, &sha, attack.ends)?;
        }
        self.nothing_got_out()
    }

    fn prepare(&self) -> Result<(), Failure> {
        for dir in ["home", "configs", "project/attacks"] {
            fs::create_dir_all(self.path(dir)).map_err(|error| unusable(&self.path(dir), &error))?;
        }
        let secret = self.path("home/secret");
        write(&secret, "demo-secret\n")?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).map_err(|error| unusable(&secret, &error))?;
        let port = self.listener.local_addr().map_err(|error| unusable(Path::new("listener"), &error))?.port();
        let (project, secret) = (self.path("project").display().to_string(), secret.display().to_string());
        let facts =
            [("where", project), ("secret", secret), ("port", port.to_string()), ("marker", self.marker.clone())];
        for (name, text) in facts {
            write(&self.path("project").join(name), &text)?;
        }
        write(&self.path("project/README.md"), "read me\n")?;
        for attack in &ATTACKS {
            write(&self.path("project/attacks").join(attack.name), attack.script)?;
        }
        self.git(&["init", "--quiet", "--initial-branch=main"])?;
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", "start"])?;
        write(&self.path("configs/job_allowlist.toml"), &jobs())?;
        self.runner(&["allow", "."]).run("demo", "see above")
    }

    fn head(&self) -> Result<String, Failure> {
        self.tool("git")
            .args(["rev-parse", "HEAD"])
            .answer()
            .ok_or_else(|| Failure::bug("demo", "the repository has no commit", "report this with the output above"))
    }

    /// Runs a job and shows what its artifact.json says.
    fn job(&self, name: &str, sha: &str, ends: &str) -> Result<(), Failure> {
        println!("$ runner run {name} --repo project --sha {sha}");
        self.runner(&["run", name, "--repo", "project", "--sha", sha]).exit_code()?;
        let artifact = self.newest_artifact()?;
        println!("artifact.json:");
        for field in ["job_type", "status", "exit_code", "class", "reason", "level", "invariants", "evidence"] {
            if let Some(value) = artifact.get(field).filter(|value| !value.is_null()) {
                println!("  {field}: {value}");
            }
        }
        let is = |field: &str, value: &Value| artifact.get(field) == Some(value);
        if is("job_type", &name.into())
            && is("status", &ends.into())
            && (ends != "failure" || is("exit_code", &7.into()))
        {
            return Ok(());
        }
        Err(Failure::bug("demo", format!("{name} did not end as {ends}"), "report this with the output above"))
    }

    fn newest_artifact(&self) -> Result<Value, Failure> {
        let jobs = self.path("state/jobs");
        let entries = fs::read_dir(&jobs).map_err(|error| unusable(&jobs, &error))?;
        let newest = entries.filter_map(|entry| Some(entry.ok()?.path())).max();
        let path = newest.unwrap_or(jobs).join("artifact.json");
        let bytes = fs::read(&path).map_err(|error| unusable(&path, &error))?;
        serde_json::from_slice(&bytes).map_err(|error| Failure::bug("demo", error.to_string(), "report this"))
    }

    /// Looks from outside, without asking any job.
    fn nothing_got_out(&self) -> Result<(), Failure> {
        say("From outside: nobody connected, nothing was pushed, no process is left, the secret is in no log");
        let is_quiet = matches!(self.listener.accept(), Err(error) if error.kind() == ErrorKind::WouldBlock);
        let branches = self.tool("git").args(["for-each-ref", "--format=%(refname)"]).answer();
        let logs = self.workshop.tool("grep").args(["--recursive", "--fixed-strings", "demo-secret"]);
        let told = logs.args([self.path("state/jobs")]).answer();
        let holds = is_quiet
            && branches.as_deref() == Some("refs/heads/main")
            && !is_running(&["sleep", &self.marker])?
            && told.is_none();
        if holds {
            return Ok(());
        }
        Err(Failure::bug("demo", "something got out of a sandbox", "report this with the output above"))
    }

    fn runner(&self, args: &[&str]) -> Tool {
        let tool = self.tool(programs::built(self.workshop, "runner")).args(args);
        tool.args(["--configs"]).args([self.path("configs")]).args(["--state"]).args([self.path("state")])
    }

    fn git(&self, args: &[&str]) -> Result<(), Failure> {
        self.tool("git").args(args).run("demo", "see above")
    }

    /// A tool in the project, with a home and a git configuration of the demo's own, and a secret in its environment.
    fn tool(&self, program: impl AsRef<std::ffi::OsStr>) -> Tool {
        tool(self.workshop, program, &self.path("project"), &self.path("home")).env("SECRET", "demo-secret")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Whether any process of this machine has these arguments.
fn is_running(argv: &[&str]) -> Result<bool, Failure> {
    let proc = Path::new("/proc");
    let wanted: Vec<u8> = argv.iter().flat_map(|arg| [arg.as_bytes(), b"\0"].concat()).collect();
    let processes = fs::read_dir(proc).map_err(|error| unusable(proc, &error))?;
    // A process that is gone by now has no such file.
    let lines = processes.filter_map(|process| fs::read(process.ok()?.path().join("cmdline")).ok());
    Ok(lines.into_iter().any(|line| line == wanted))
}

/// The jobs that are allowed here.
fn jobs() -> String {
    let attack = |attack: &Attack| {
        let Attack { name, .. } = attack;
        format!(
            "\n[jobs.{name}]\nargv = [\"sh\", \"attacks/{name}\"]\ntimeout_sec = 2\n[jobs.{name}.limits]\ngrace_sec = 1\n"
        )
    };
    let echo = "schema = 1\n\n[jobs.local_echo]\nargv = [\"sh\", \"-c\", \"echo hello from a job; git log --oneline\"]\ntimeout_sec = 30\n";
    [echo.to_owned()].into_iter().chain(ATTACKS.iter().map(attack)).collect()
}
