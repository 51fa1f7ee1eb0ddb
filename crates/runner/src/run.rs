//! One job from request to artifact.json.
//!
//! **Invariant:** a job that was begun is finished: whatever fails on the way, artifact.json says so.
//! **Invariant:** the commit's URL and the argument vector are the allowlists' own; a request only names them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use allowlist::{Admitted, Policy, Request};
use host::{Cancel, Host, Stream};
use job::Artifact;
use outcome::{Failure, Refusal};
use rustix::fs::Mode;
use serde::{Serialize, Serializer};

use crate::attempt::Attempt;
use crate::begun::Begun;
use crate::desk::{Desk, sweep};
use crate::perform::{Performed, perform};
use crate::policies::Policies;
use crate::site::Site;

/// What is asked for: names, and nothing that is looked up yet.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The job.
    pub job: String,
    /// The repository.
    pub repo: String,
    /// The commit's full id.
    pub sha: String,
    /// Parameters by their keys.
    pub params: BTreeMap<String, String>,
}

/// A job that ended.
#[derive(Debug, Serialize)]
pub struct Finished {
    /// What artifact.json says.
    #[serde(flatten)]
    pub artifact: Artifact,
    /// The job's directory.
    #[serde(serialize_with = "shown")]
    pub artifact_dir: PathBuf,
    /// What a program exits with for it: the job's own code where it has one.
    #[serde(skip)]
    pub exit: u8,
}

/// A path may be no text; a job that ended is told all the same.
fn shown<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.display())
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Artifact { job_type, repo_name, sha, status, duration_ms, level, class, reason, next, warnings, .. } =
            &self.artifact;
        let level = level.map(|level| format!(" at {level:?}")).unwrap_or_default();
        writeln!(f, "{job_type} on {repo_name} {}: {} after {duration_ms} ms{level}", &sha[..12], status.as_str())?;
        if let (Some(class), Some(reason), Some(next)) = (class, reason, next) {
            writeln!(f, "{class}: {reason}\nnext: {next}")?;
        }
        warnings.iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))?;
        write!(f, "{}", self.artifact_dir.join(crate::desk::ARTIFACT).display())
    }
}

/// Runs jobs, one at a call.
#[derive(Clone, Copy)]
pub struct Runner<'a> {
    /// This machine.
    pub host: &'a dyn Host,
    /// Where everything is.
    pub site: &'a Site,
    /// What was allowed when that was last asked.
    pub policies: &'a Policies,
    /// A program that becomes the init of a sandbox; this project's programs are looked for beside it.
    pub program: &'a Path,
    /// How many trees are kept.
    pub trees: usize,
    /// Called with the job's output as it is written, secrets taken out.
    pub live: &'a (dyn Fn(Stream, &[u8]) + Sync),
    /// Ends the job.
    pub cancel: &'a Cancel,
}

impl Runner<'_> {
    /// Runs one job.
    ///
    /// # Errors
    /// Everything for which no job is begun: a request that is refused, allowlists that cannot be used, a directory that
    /// cannot be written. Of a job that was begun, only that its artifact.json could not be written.
    pub fn run(&self, asked: &Asked) -> Result<Finished, Failure> {
        self.begin(asked, || Begun::new(self.host))
    }

    /// Runs a job that a queue handed out, once for each epoch.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn attempt(&self, asked: &Asked, attempt: &Attempt, trace_id: &str) -> Result<Finished, Failure> {
        self.begin(asked, || Begun::attempt(self.host, attempt.clone(), trace_id.to_owned()))
    }

    fn begin(&self, asked: &Asked, begun: impl FnOnce() -> Result<Begun, Failure>) -> Result<Finished, Failure> {
        // What a job reads belongs to the runner, and the job may be another user. Others do not get into the state directory.
        rustix::process::umask(Mode::from_raw_mode(0o022));
        let policy = self.policies.now(self.host, self.site)?;
        let admitted = admit(&policy, asked, None)?;
        let site = Site { state: self.site.own_state(self.host)?, configs: self.site.configs.clone() };
        let runner = Runner { site: &site, ..*self };
        sweep(self.host, &site.state)?;
        let begun = begun()?;
        let (died, _) = begun.artifact(self.host, &admitted, Performed::failed(&interrupted()))?;
        let desk = Desk::open(&site.state, &begun.attempt, &begun.record(self.host, &admitted)?, &died)?;
        let performed = perform(&runner, &admitted, desk.dir());
        let (artifact, exit) = begun.artifact(self.host, &admitted, performed)?;
        let artifact_dir = desk.dir().to_owned();
        desk.close(self.host, &artifact)?;
        Ok(Finished { artifact, artifact_dir, exit })
    }
}

/// What the next run says of a job whose runner died.
fn interrupted() -> Failure {
    let reason = "the runner died while the job ran";
    Failure::infrastructure("interrupted", reason, "run it again")
}

/// What the allowlists say of a request. `remote_url` is where the caller believes the repository to be.
///
/// # Errors
/// Refused, with every reason.
pub fn admit(policy: &Policy, asked: &Asked, remote_url: Option<&str>) -> Result<Admitted, Failure> {
    let request = Request { job: &asked.job, repo: &asked.repo, sha: &asked.sha, remote_url, params: &asked.params };
    policy.admit(&request).map_err(|refusals| {
        let all = refusals.as_slice().iter();
        let all = all.map(|it| Refusal { class: it.class(), reason: it.to_string(), next: it.next().to_owned() });
        Failure { refusals: all.collect(), ..Failure::refused(refusals.class(), refusals.to_string(), refusals.next()) }
    })
}
