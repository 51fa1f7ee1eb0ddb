//! `configs/job_allowlist.toml` and `configs/repo_allowlist.toml`, schema 1, as one policy.
//!
//! ```toml
//! schema = 1
//!
//! [sandbox]
//! min_level = "L3"                    # L0, L1, L2, L3: a job below it is refused
//!
//! [jobs.orb_score_run]                # letters, digits, `._-`, at most 64; at most 100 jobs
//! argv = ["orb-score-run"]            # required; 1..=100 arguments of at most 4,096 bytes, never through a shell
//! timeout_sec = 1800                  # required; 1..=86,400
//! tree = "read_only"                  # or "capture": writing is recorded and thrown away
//! network = false
//! env = ["TZ"]                        # passed through from the runner; nothing that steers or names a secret
//! binds = ["/usr/local/go"]           # host paths, read-only, at the same place
//! repos = ["algo-nt8-orb"]            # default: every repository of the list
//!
//! [jobs.orb_score_run.limits]         # each with a default, see `limits`
//! memory_mib = 2048
//!
//! [jobs.orb_score_run.params.run_id]  # reaches the job as the variable RUN_ID; at most 16
//! pattern = "[A-Za-z0-9]{1,64}"       # required; over the whole value, which has at most 1,000 bytes
//! required = false
//! ```
//!
//! ```toml
//! schema = 1
//!
//! [repos.algo-nt8-orb]
//! url = "git@github.com:owner/name.git"      # required; see `git_url`
//! allowed_branches = ["main", "release/*"]   # required; `*` stays inside a component
//! default_branch = "main"                    # required; an allowed one
//! ssh_host_keys = ["ssh-ed25519 AAAA..."]    # the server's keys; without them nothing is fetched over SSH
//! ssh_identity = "/etc/ai-ops-runner/keys/deploy"
//! max_running = 4                            # jobs of it at one time; default: that of [queue]; 1..=1,000
//!
//! [queue]                                    # of all workers together; what is over it waits
//! max_running = 16                           # jobs at one time; 1..=1,000
//! max_running_per_repo = 2                   # of each repository; 1..=1,000
//! ```

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Serialize;

use crate::admit::{self, Admitted, Request};
use crate::git_url::Scheme;
use crate::hash;
use crate::job::Job;
use crate::problem::{File, Problems};
use crate::reading::Reading;
use crate::refusal::Refusals;
use crate::repo::Repo;
use crate::section::{MAX_ENTRIES, Section};

/// The number in each file's `schema`.
pub const SCHEMA: u64 = crate::reading::SCHEMA;
/// The longest file, in bytes.
pub const MAX_BYTES: usize = crate::reading::MAX_BYTES;
/// How many jobs may be let run at one time.
pub(crate) const RUNNING: RangeInclusive<u64> = 1..=1000;
/// How many do where nothing is said.
const MAX_RUNNING: u64 = 16;
const MAX_RUNNING_PER_REPO: u64 = 2;

/// Both lists, read whole and found consistent. Serializes to the effective policy: every default filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    schema: u64,
    min_level: Level,
    jobs: BTreeMap<String, Job>,
    repos: BTreeMap<String, Repo>,
    max_running: u64,
    #[serde(skip)]
    sha256: String,
}

/// How well a job is isolated; more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Level {
    /// A private copy, compared afterwards.
    L0,
    /// No namespaces, on a mount that is read-only for the runner too.
    L1,
    /// As [`Level::L3`], without a fresh `/proc`.
    L2,
    /// Namespaces, read-only mounts, no capabilities, Landlock, seccomp.
    L3,
}

impl Level {
    /// All levels, in ascending order.
    pub const ALL: [Self; 4] = [Self::L0, Self::L1, Self::L2, Self::L3];

    /// `L0` to `L3`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L0 => "L0",
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
        }
    }
}

impl Policy {
    /// Reads the two files.
    ///
    /// # Errors
    /// Every [`crate::Problem`] of both: syntax, unknown keys, wrong types, numbers out of bounds, values that cannot be meant,
    /// two repositories with one URL, jobs for repositories that are not there.
    pub fn parse(jobs: &[u8], repos: &[u8]) -> Result<Self, Problems> {
        let (repos, mut problems) = Reading::of(File::Repos, repos, read_repos);
        let names = repos.as_ref().map(|repos| repos.names.as_slice());
        let (jobs, of_jobs) = Reading::of(File::Jobs, jobs, |section| read_jobs(section, names));
        problems.extend(of_jobs);
        match (Problems::of(problems), jobs, repos) {
            (None, Some((min_level, jobs)), Some(repos)) => {
                let Repos { by_name: repos, max_running, .. } = repos;
                let policy = Self { schema: SCHEMA, min_level, jobs, repos, max_running, sha256: String::new() };
                Ok(Self { sha256: hash::of(&policy), ..policy })
            }
            (problems, ..) => Err(problems.expect("a file that was not read has a problem")),
        }
    }

    /// Decides a request.
    ///
    /// # Errors
    /// Every [`crate::Refusal`] that holds.
    pub fn admit(&self, request: &Request<'_>) -> Result<Admitted, Refusals> {
        admit::judge(self, request)
    }

    /// SHA-256 of the effective policy as JSON with sorted keys: the same for every way to write it.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The jobs by name.
    pub const fn jobs(&self) -> &BTreeMap<String, Job> {
        &self.jobs
    }

    /// The repositories by name.
    pub const fn repos(&self) -> &BTreeMap<String, Repo> {
        &self.repos
    }

    /// The least isolation a job runs with.
    pub const fn min_level(&self) -> Level {
        self.min_level
    }

    /// The most jobs that run at one time, on all workers together; what is over it waits.
    pub const fn max_running(&self) -> u64 {
        self.max_running
    }

    /// What is allowed but cannot work or is weak, one line each: a repository over SSH without the server's keys
    /// cannot be fetched, since none is accepted on first use; a job with the network, or a level below L3.
    pub fn warnings(&self) -> Vec<String> {
        let keyless =
            self.repos.iter().filter(|(_, repo)| repo.url.scheme() == Scheme::Ssh && repo.ssh_host_keys.is_empty());
        let keyless = keyless.map(|(name, _)| {
            format!("repos.{name}: has no ssh_host_keys: it cannot be fetched, no key is accepted on first use")
        });
        let open = self.jobs.iter().filter(|(_, job)| job.network);
        let open = open.map(|(name, _)| format!("jobs.{name}: has the host's network"));
        let weak = (self.min_level < Level::L3).then(|| {
            format!("sandbox.min_level: {} lets jobs run with less isolation than L3", self.min_level.as_str())
        });
        weak.into_iter().chain(open).chain(keyless).collect()
    }
}

/// The repositories that could be read, and the names of all.
struct Repos {
    names: Vec<String>,
    by_name: BTreeMap<String, Repo>,
    max_running: u64,
}

fn read_repos(section: &mut Section<'_, '_>) -> Repos {
    let (max_running, each) = read_queue(section.section("queue"));
    let (mut names, mut by_name) = (Vec::new(), BTreeMap::<String, Repo>::new());
    for (name, entry) in section.sections("repos", MAX_ENTRIES) {
        names.push(name.clone());
        let Some((place, repo)) = Repo::read(&name, entry, each) else { continue };
        match by_name.iter().find(|(_, other)| other.url == repo.url) {
            Some((other, _)) => section.problem(&place, same_url(&repo, other)),
            None => drop(by_name.insert(name, repo)),
        }
    }
    Repos { names, by_name, max_running }
}

/// The most jobs that run at one time, of all repositories and of each that does not say.
fn read_queue(section: Option<Section<'_, '_>>) -> (u64, u64) {
    let Some(mut section) = section else { return (MAX_RUNNING, MAX_RUNNING_PER_REPO) };
    let all = section.number("max_running", &RUNNING, Some(MAX_RUNNING));
    let each = section.number("max_running_per_repo", &RUNNING, Some(MAX_RUNNING_PER_REPO));
    section.finish();
    (all, each)
}

fn same_url(repo: &Repo, other: &str) -> String {
    format!("is the repository `{other}` again: both are {}", repo.url)
}

fn read_jobs(section: &mut Section<'_, '_>, repos: Option<&[String]>) -> (Level, BTreeMap<String, Job>) {
    let min_level = section.section("sandbox").map_or(Level::L3, |mut sandbox| {
        let level = sandbox.word("min_level", &Level::ALL.map(|level| (level.as_str(), level)), Level::L3);
        sandbox.finish();
        level
    });
    let jobs = section.sections("jobs", MAX_ENTRIES).into_iter();
    (min_level, jobs.map(|(name, section)| (name.clone(), Job::read(&name, section, repos))).collect())
}
