//! Why a request is not admitted: each reason with its class and what to do next.

use std::fmt;

use crate::git_url::UrlError;

/// What a name is looked up as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A job.
    Job,
    /// A repository.
    Repo,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Job => "job",
            Self::Repo => "repository",
        })
    }
}

/// One reason against a request. `Display` is what a person reads; [`Refusal::next`] is what they do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not even a name: a path, an option, something invisible.
    #[error("the {what} {shown} is not a name ({})", crate::name::RULE)]
    BadName {
        /// What was to be found.
        what: What,
        /// The name, safe to print.
        shown: String,
    },
    /// Not in the list.
    #[error("there is no {what} {shown}{}; known: {}", meant(.near.as_deref()), listed(.known))]
    Unknown {
        /// What was to be found.
        what: What,
        /// The name, safe to print.
        shown: String,
        /// All in the list.
        known: Vec<String>,
        /// The one that was probably meant.
        near: Option<String>,
    },
    /// The job runs for other repositories.
    #[error("the job `{job}` does not run for the repository `{repo}`; it runs for: {}", listed(.repos))]
    JobNotForRepo {
        /// The job.
        job: String,
        /// The repository.
        repo: String,
        /// What it runs for.
        repos: Vec<String>,
    },
    /// `remote_url` is no URL.
    #[error("remote_url: {0}")]
    BadRemoteUrl(UrlError),
    /// `remote_url` is another repository.
    #[error("remote_url is {given}, but the repository `{repo}` is {allowed}")]
    OtherRemoteUrl {
        /// The repository.
        repo: String,
        /// Canonical.
        given: String,
        /// Canonical.
        allowed: String,
    },
    /// `sha` is a name, an abbreviation or no id at all.
    #[error("sha {shown} {why}")]
    BadCommit {
        /// What was given, safe to print.
        shown: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The job does not have this parameter.
    #[error("the job `{job}` has no parameter {shown}{}; it has: {}", meant(.near.as_deref()), listed(.known))]
    UnknownParam {
        /// The job.
        job: String,
        /// The key, safe to print.
        shown: String,
        /// All it has.
        known: Vec<String>,
        /// The one that was probably meant.
        near: Option<String>,
    },
    /// A required parameter is not there.
    #[error("the job `{job}` needs the parameter `{key}`, which matches `{pattern}`")]
    MissingParam {
        /// The job.
        job: String,
        /// The key.
        key: String,
        /// What it must match.
        pattern: String,
    },
    /// A value that is not allowed.
    #[error("the parameter `{key}`: {shown} {why}")]
    BadParam {
        /// The key.
        key: String,
        /// The value, safe to print and cut, unless it looks like a key of a service.
        shown: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Refusal {
    /// A word that programs can match on.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::BadName { .. } => "bad-name",
            Self::Unknown { what: What::Job, .. } => "unknown-job",
            Self::Unknown { what: What::Repo, .. } => "unknown-repo",
            Self::JobNotForRepo { .. } => "job-not-for-repo",
            Self::BadRemoteUrl(_) => "bad-remote-url",
            Self::OtherRemoteUrl { .. } => "other-remote-url",
            Self::BadCommit { .. } => "bad-commit",
            Self::UnknownParam { .. } => "unknown-param",
            Self::MissingParam { .. } => "missing-param",
            Self::BadParam { .. } => "bad-param",
        }
    }

    /// What to do next.
    pub const fn next(&self) -> &'static str {
        match self {
            Self::BadName { .. } | Self::Unknown { .. } => "name one of the list, or have it added to the allowlist",
            Self::JobNotForRepo { .. } => "choose another job or repository, or have the allowlist changed",
            Self::BadRemoteUrl(_) | Self::OtherRemoteUrl { .. } => {
                "leave remote_url out: the URL of the allowlist is the one that is fetched"
            }
            Self::BadCommit { .. } => "give the full id: git rev-parse REF^{commit}",
            Self::UnknownParam { .. } => "leave it out",
            Self::MissingParam { .. } | Self::BadParam { .. } => "give a value that matches the whole pattern",
        }
    }
}

fn meant(near: Option<&str>) -> String {
    near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default()
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Every reason against a request, in the order of the request; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusals(Vec<Refusal>);

impl Refusals {
    /// `None` when there is none.
    pub(crate) fn of(refusals: Vec<Refusal>) -> Option<Self> {
        (!refusals.is_empty()).then_some(Self(refusals))
    }

    /// In the order of the request.
    pub fn as_slice(&self) -> &[Refusal] {
        &self.0
    }

    /// The class of the only reason, or `not-admitted` for several.
    pub fn class(&self) -> &'static str {
        match self.0.as_slice() {
            [only] => only.class(),
            _ => "not-admitted",
        }
    }

    /// What to do next.
    pub fn next(&self) -> &'static str {
        match self.0.as_slice() {
            [only] => only.next(),
            _ => "mend each of the reasons, then ask again",
        }
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Refusals {}
