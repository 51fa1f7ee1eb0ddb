//! One repository: where it is fetched from, and which of its branches count.

use serde::{Serialize, Serializer};

use crate::git_url::{GitUrl, Scheme};
use crate::policy::RUNNING;
use crate::reading::Place;
use crate::section::{Entry, Section};
use crate::{branch, host_key, name, show};

/// `[repos.NAME]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repo {
    /// Where it is fetched from.
    #[serde(serialize_with = "both_forms")]
    pub url: GitUrl,
    /// Names or patterns of branches, sorted; a commit must be reachable from one. See [`Repo::allows_branch`].
    pub allowed_branches: Vec<String>,
    /// The branch that is meant where none is named; one of the allowed.
    pub default_branch: String,
    /// The server's keys as `known_hosts` has them, without the host, sorted. Empty with an SSH URL: see
    /// [`crate::Policy::warnings`].
    pub ssh_host_keys: Vec<String>,
    /// The absolute path of the private key.
    pub ssh_identity: Option<String>,
    /// The most jobs of it that run at one time, on all workers together.
    pub max_running: u64,
}

/// What is fetched is part of the policy, not only what it is compared by.
fn both_forms<S: Serializer>(url: &GitUrl, serializer: S) -> Result<S::Ok, S::Error> {
    [url.as_str(), url.fetch_str()].serialize(serializer)
}

impl Repo {
    /// True when the branch `name` (`main`, not `refs/heads/main`) is allowed.
    pub fn allows_branch(&self, name: &str) -> bool {
        self.allowed_branches.iter().any(|pattern| branch::matches(pattern, name))
    }

    /// Reads a repository. With a URL that is none, there is nothing to return; the problem is noted.
    pub(crate) fn read(name: &str, mut section: Section<'_, '_>, max_running: u64) -> Option<(Place, Self)> {
        if !name::is_name(name) {
            section.problem_here(format!("the name of a repository must be {}", name::RULE));
        }
        let url = read_url(&mut section);
        let allowed_branches = read_branches(&mut section);
        let default_branch = read_default_branch(&mut section, &allowed_branches);
        let over_ssh = url.as_ref().is_none_or(|url| url.value.scheme() == Scheme::Ssh);
        let ssh_host_keys = read_host_keys(&mut section, over_ssh);
        let ssh_identity = read_identity(&mut section, over_ssh);
        let max_running = section.number("max_running", &RUNNING, Some(max_running));
        section.finish();
        let Entry { value: url, place } = url?;
        let default_branch = default_branch?;
        Some((place, Self { url, allowed_branches, default_branch, ssh_host_keys, ssh_identity, max_running }))
    }
}

fn read_url(section: &mut Section<'_, '_>) -> Option<Entry<GitUrl>> {
    let Entry { value, place } = section.required_text("url")?;
    match GitUrl::parse(&value) {
        Ok(value) => Some(Entry { value, place }),
        Err(error) => {
            section.problem(&place, error.to_string());
            None
        }
    }
}

fn read_branches(section: &mut Section<'_, '_>) -> Vec<String> {
    section.require_list("allowed_branches");
    section.set("allowed_branches", branch::check)
}

fn read_default_branch(section: &mut Section<'_, '_>, allowed: &[String]) -> Option<String> {
    let Entry { value, place } = section.required_text("default_branch")?;
    if !branch::is_branch(&value) {
        section.problem(&place, format!("{} is not the name of a branch", show::value(&value)));
    } else if !allowed.is_empty() && !allowed.iter().any(|pattern| branch::matches(pattern, &value)) {
        section.problem(&place, format!("{} is not an allowed branch", show::value(&value)));
    }
    Some(value)
}

fn read_host_keys(section: &mut Section<'_, '_>, over_ssh: bool) -> Vec<String> {
    let place = section.place_of("ssh_host_keys");
    let keys = section.set("ssh_host_keys", host_key::check);
    if !over_ssh && !keys.is_empty() {
        section.problem(&place, "is for SSH URLs only");
    }
    keys
}

fn read_identity(section: &mut Section<'_, '_>, over_ssh: bool) -> Option<String> {
    let Entry { value, place } = section.text("ssh_identity")?;
    let absolute = value.starts_with('/') && value.len() <= 256 && show::is_line(&value);
    let plain = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-@+".contains(&byte));
    if !absolute || !plain || value.split('/').any(|part| matches!(part, "." | "..")) {
        let rule = "an absolute path of letters, digits and `/._-@+`, without `.` and `..`, of at most 256 bytes";
        section.problem(&place, format!("{} is not {rule}", show::value(&value)));
    }
    if !over_ssh {
        section.problem(&place, "is for SSH URLs only");
    }
    Some(value)
}
