//! `cargo xtask smoke`: a service of its own in a temporary directory, and `runner-smoke` against it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use outcome::Failure;

use crate::programs;
use crate::workshop::{Workshop, unusable};

const PROGRAMS: [&str; 6] =
    ["orb-doctor", "orb-review-bundle", "orb-score-run", "runner-api-cli", "runner-cli", "runner-smoke"];

/// # Errors
/// The failure of the first step that does not end as it should.
pub(crate) fn run(workshop: &Workshop) -> Result<(), Failure> {
    programs::build(workshop, &PROGRAMS)?;
    let base = workshop.target("smoke");
    fs::create_dir_all(&base).map_err(|error| unusable(&base, &error))?;
    let dir = tempfile::tempdir_in(&base).map_err(|error| unusable(&base, &error))?;
    let dir = dir.path();
    repository(workshop, &dir.join("project"))?;
    let allow = workshop.tool(programs::built(workshop, "runner")).args(["allow", "project"]).dir(dir);
    allow.args(PLACE).env("HOME", dir).run("smoke", "mend what runner names")?;
    let (service, address) = Service::start(workshop, dir)?;
    let token = dir.join("state/token");
    let token = fs::read_to_string(&token).map_err(|error| unusable(&token, &error))?;
    let smoke = workshop.tool(programs::built(workshop, "runner-smoke")).args(["--api", &address]).dir(dir);
    let smoked = smoke
        .args(PLACE)
        .env("HOME", dir)
        .env("RUNNER_TOKEN", token.trim())
        .run("smoke", "mend what runner-smoke names");
    let stopped = service.stop(workshop);
    smoked.and(stopped)
}

const PLACE: [&str; 4] = ["--configs", "configs", "--state", "state"];

fn repository(workshop: &Workshop, dir: &Path) -> Result<(), Failure> {
    fs::create_dir(dir).map_err(|error| unusable(dir, &error))?;
    let git = |args: &[&str]| {
        let git = workshop.tool("git").args(["-c", "user.name=a", "-c", "user.email=a@example.invalid"]).args(args);
        let git = git.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        git.dir(dir).run("smoke", "mend what git names")
    };
    git(&["init", "--quiet", "--initial-branch=main"])?;
    git(&["commit", "--quiet", "--allow-empty", "--message=start"])
}

/// A service; it is killed when it was not stopped.
struct Service(Child);

impl Service {
    /// Starts it at a port that is free, and says where.
    fn start(workshop: &Workshop, dir: &Path) -> Result<(Self, String), Failure> {
        let program = programs::built(workshop, "runner-api");
        let failed = |why: String| Failure::not_ready("smoke", why, "mend what the service says");
        let mut command = Command::new(&program);
        command.args(["--with-worker", "--listen", "127.0.0.1:0"]).args(PLACE).current_dir(dir).env("HOME", dir);
        let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut service = Self(child.map_err(|error| failed(format!("{}: {error}", program.display())))?);
        let mut lines =
            BufReader::new(service.0.stderr.take().expect("it was asked for")).lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix("listens on ").map(str::to_owned));
        let address = address.ok_or_else(|| failed("the service does not say where it listens".into()))?;
        // What it says later is for whoever looks; it must not wait for a reader.
        std::thread::spawn(move || lines.for_each(|line| eprintln!("{line}")));
        Ok((service, address))
    }

    /// Stops it as a service manager does.
    fn stop(mut self, workshop: &Workshop) -> Result<(), Failure> {
        let pid = self.0.id().to_string();
        workshop.tool("kill").args(["-TERM", &pid]).run("smoke", "see what became of the service")?;
        match self.0.wait() {
            Ok(status) if status.success() => Ok(()),
            ended => Err(Failure::refused("smoke", format!("the service ended with {ended:?}"), "see what it says")),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Of one that was stopped there is nothing left to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
