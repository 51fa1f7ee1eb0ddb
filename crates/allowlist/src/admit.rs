//! The decision on a request: [`Admitted`], or every reason against it.
//!
//! **Invariant:** what is admitted comes from the policy (the URL that is fetched, the argv, the limits) or matches it
//! (the commit's form, the parameters); nothing of the request becomes part of a command line.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::git_url::GitUrl;
use crate::job::Job;
use crate::param::Param;
use crate::policy::{Level, Policy};
use crate::refusal::{Refusal, Refusals, What};
use crate::repo::Repo;
use crate::{hash, name, show};

/// What someone asks for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The name of a job.
    pub job: &'a str,
    /// The name of a repository.
    pub repo: &'a str,
    /// The commit's full id.
    pub sha: &'a str,
    /// Where the caller believes the repository to be; compared, never fetched.
    pub remote_url: Option<&'a str>,
    /// Values of the job's parameters.
    pub params: &'a BTreeMap<String, String>,
}

/// The right to run one job once, for a commit whose reachability is still to be checked. Only [`Policy::admit`]
/// makes one; not `Clone`: it is spent by the run.
#[derive(Debug, PartialEq, Eq)]
pub struct Admitted {
    job_name: String,
    job: Job,
    repo_name: String,
    repo: Repo,
    sha: String,
    params: BTreeMap<String, String>,
    min_level: Level,
    policy_sha256: String,
}

impl Admitted {
    /// The job's name.
    pub fn job_name(&self) -> &str {
        &self.job_name
    }

    /// The job, as the policy has it.
    pub const fn job(&self) -> &Job {
        &self.job
    }

    /// The repository's name.
    pub fn repo_name(&self) -> &str {
        &self.repo_name
    }

    /// The repository, as the policy has it.
    pub const fn repo(&self) -> &Repo {
        &self.repo
    }

    /// The commit's id: 40 or 64 lower-case hex digits.
    pub fn sha(&self) -> &str {
        &self.sha
    }

    /// The parameters given, each matched by its pattern.
    pub const fn params(&self) -> &BTreeMap<String, String> {
        &self.params
    }

    /// The parameters as variables: `since_sha` is `SINCE_SHA`. One that was not given has none.
    pub fn environment(&self) -> BTreeMap<String, String> {
        self.params.iter().map(|(key, value)| (Param::variable(key), value.clone())).collect()
    }

    /// The least isolation it runs with.
    pub const fn min_level(&self) -> Level {
        self.min_level
    }

    /// [`Policy::sha256`] of the policy that admitted it.
    pub fn policy_sha256(&self) -> &str {
        &self.policy_sha256
    }

    /// SHA-256 of job, repository, canonical URL, commit and parameters as JSON with sorted keys.
    pub fn input_hash(&self) -> String {
        hash::of(&Input {
            job: &self.job_name,
            params: &self.params,
            repo: &self.repo_name,
            sha: &self.sha,
            url: self.repo.url.as_str(),
        })
    }
}

#[derive(Serialize)]
struct Input<'a> {
    job: &'a str,
    params: &'a BTreeMap<String, String>,
    repo: &'a str,
    sha: &'a str,
    url: &'a str,
}

pub(crate) fn judge(policy: &Policy, request: &Request<'_>) -> Result<Admitted, Refusals> {
    let mut refusals = Vec::new();
    let job = keep(find(What::Job, request.job, policy.jobs()), &mut refusals);
    let repo = keep(find(What::Repo, request.repo, policy.repos()), &mut refusals);
    refusals.extend(job.filter(|_| repo.is_some()).and_then(|job| not_for_repo(job, request)));
    refusals.extend(other_remote(repo, request));
    refusals.extend(bad_commit(request.sha));
    refusals.extend(job.map(|job| bad_params(job, request)).unwrap_or_default());
    match (Refusals::of(refusals), job, repo) {
        (None, Some(job), Some(repo)) => Ok(Admitted {
            job_name: request.job.into(),
            job: job.clone(),
            repo_name: request.repo.into(),
            repo: repo.clone(),
            sha: request.sha.into(),
            params: request.params.clone(),
            min_level: policy.min_level(),
            policy_sha256: policy.sha256().into(),
        }),
        (refusals, ..) => Err(refusals.expect("what was not found is refused")),
    }
}

fn keep<T>(found: Result<T, Refusal>, refusals: &mut Vec<Refusal>) -> Option<T> {
    found.map_err(|refusal| refusals.push(refusal)).ok()
}

fn find<'p, T>(what: What, asked: &str, list: &'p BTreeMap<String, T>) -> Result<&'p T, Refusal> {
    let shown = show::value(asked);
    if !name::is_name(asked) {
        return Err(Refusal::BadName { what, shown });
    }
    list.get(asked).ok_or_else(|| {
        let near = name::near(asked, list.keys().map(String::as_str)).map(String::from);
        Refusal::Unknown { what, shown, known: list.keys().cloned().collect(), near }
    })
}

fn not_for_repo(job: &Job, request: &Request<'_>) -> Option<Refusal> {
    let repos = job.repos.as_ref().filter(|repos| !repos.iter().any(|repo| repo == request.repo))?;
    Some(Refusal::JobNotForRepo { job: request.job.into(), repo: request.repo.into(), repos: repos.clone() })
}

fn other_remote(repo: Option<&Repo>, request: &Request<'_>) -> Option<Refusal> {
    let given = match GitUrl::parse(request.remote_url?) {
        Ok(given) => given,
        Err(error) => return Some(Refusal::BadRemoteUrl(error)),
    };
    let repo = repo.filter(|repo| repo.url != given)?;
    let (given, allowed) = (given.as_str().into(), repo.url.as_str().into());
    Some(Refusal::OtherRemoteUrl { repo: request.repo.into(), given, allowed })
}

fn bad_commit(sha: &str) -> Option<Refusal> {
    let is_hex = !sha.is_empty() && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_lower = !sha.bytes().any(|byte| byte.is_ascii_uppercase());
    let why = match sha.len() {
        _ if !is_hex => "is a name, not an id: 40 or 64 lower-case hex digits",
        40 | 64 if !is_lower => "has upper-case digits: an id is written in lower case",
        40 | 64 if sha.bytes().all(|byte| byte == b'0') => "stands for no commit",
        40 | 64 => return None,
        _ => "is not a full id: 40 or 64 lower-case hex digits",
    };
    Some(Refusal::BadCommit { shown: show::value(sha), why })
}

fn bad_params(job: &Job, request: &Request<'_>) -> Vec<Refusal> {
    let name = || request.job.to_owned();
    let given = request.params.iter().filter_map(|(key, value)| match job.params.get(key) {
        None => Some(Refusal::UnknownParam {
            job: name(),
            shown: show::value(key),
            known: job.params.keys().cloned().collect(),
            near: name::near(key, job.params.keys().map(String::as_str)).map(String::from),
        }),
        Some(param) => {
            let why = param.check(value).err()?;
            Some(Refusal::BadParam { key: key.clone(), shown: show::value(value), why })
        }
    });
    let missing = job.params.iter().filter(|(key, param)| param.required() && !request.params.contains_key(*key));
    let missing = missing.map(|(key, param)| Refusal::MissingParam {
        job: name(),
        key: key.clone(),
        pattern: param.pattern().into(),
    });
    given.chain(missing).collect()
}
