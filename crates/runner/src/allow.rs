//! Adding a repository to the operator's allowlist.

use std::fmt::{self, Write as _};
use std::path::Path;

use allowlist::{GitUrl, Policy};
use host::Host;
use outcome::Failure;
use repo::{Head, Repo};
use serde::Serialize;

use crate::site::{BUILT_IN_JOBS, JOBS, REPOS, Site, bad_allowlist, trusted};

/// A new file of repositories.
const EMPTY: &str = "# The repositories that jobs may run on: runner allow DIR-OR-URL\nschema = 1\n";

/// What is to be allowed.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// A Git URL, or the path of a repository on this machine.
    pub place: String,
    /// What requests call it; else the last part of its URL.
    pub name: Option<String>,
    /// The branches whose commits may be run on; else the one that a repository on this machine is on, or `main`.
    pub branches: Vec<String>,
}

/// What is allowed now.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Allowed {
    schema: u32,
    status: &'static str,
    /// What requests call it.
    pub name: String,
    url: String,
    branches: Vec<String>,
    file: String,
    /// `false` when it was allowed before.
    added: bool,
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, url, branches, file, added, .. } = self;
        let what = if *added { "is allowed" } else { "was allowed before" };
        write!(f, "{name} {what}: {url}, commits of {} ({file})", branches.join(", "))
    }
}

/// Adds `wanted` to the site's allowlist of repositories, which is made if it is not there.
///
/// # Errors
/// Usage, class `bad-url`; refused, class `name-taken`, when the name stands for another repository; those of
/// [`Site::policy`] and of the machine. The file is as it was then.
pub fn allow(host: &dyn Host, site: &Site, wanted: &Wanted) -> Result<Allowed, Failure> {
    let place = Place::of(&wanted.place)?;
    let name = wanted.name.clone().unwrap_or_else(|| place.name());
    let branches = if wanted.branches.is_empty() { vec![place.branch] } else { wanted.branches.clone() };
    let path = site.configs.join(REPOS);
    let before = trusted(host, &path)?.unwrap_or_else(|| EMPTY.into());
    let jobs = trusted(host, &site.configs.join(JOBS))?.unwrap_or_else(|| BUILT_IN_JOBS.into());
    let parse = |repos: &[u8]| Policy::parse(&jobs, repos);
    let policy = parse(&before).map_err(|problems| bad_allowlist(&site.configs, &problems.to_string()))?;
    let allowed = |name: &str, branches: &[String], added| Allowed {
        schema: 1,
        status: outcome::Exit::Done.status(),
        name: name.to_owned(),
        url: place.url.as_str().to_owned(),
        branches: branches.to_vec(),
        file: path.display().to_string(),
        added,
    };
    if let Some((known, repo)) = policy.repos().iter().find(|(_, repo)| repo.url == place.url) {
        return Ok(allowed(known, &repo.allowed_branches, false));
    }
    if policy.repos().contains_key(&name) {
        let reason = format!("`{name}` is the name of another repository in {}", path.display());
        return Err(Failure::refused("name-taken", reason, "choose another: --name NAME"));
    }
    let mut after = before;
    after.extend_from_slice(entry(&name, &place.url, &branches).as_bytes());
    parse(&after).map_err(|problems| Failure::usage("bad-repository", problems.to_string(), "mend what is named"))?;
    host.write_atomic(&path, &after, 0o600)?;
    Ok(allowed(&name, &branches, true))
}

/// The lines of one repository. JSON's strings are basic strings of TOML. A pattern is no default branch.
fn entry(name: &str, url: &GitUrl, branches: &[String]) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let default = branches.iter().find(|branch| !branch.contains('*')).unwrap_or(&branches[0]);
    let list: Vec<String> = branches.iter().map(|branch| quoted(branch)).collect();
    format!(
        "\n[repos.{}]\nurl = {}\nallowed_branches = [{}]\ndefault_branch = {}\n",
        quoted(name),
        // As it was written: not every server takes the canonical form.
        quoted(url.fetch_str()),
        list.join(", "),
        quoted(default),
    )
}

/// A repository somewhere.
struct Place {
    url: GitUrl,
    branch: String,
}

impl Place {
    /// A directory that is there is one of this machine; everything else is a URL.
    fn of(place: &str) -> Result<Self, Failure> {
        // The argument is not repeated: it may hold a password.
        let bad_url =
            |why: String| Failure::usage("bad-url", why, "name a repository's directory, or an ssh or https URL");
        let Ok(dir) = Path::new(place).canonicalize() else {
            let url = GitUrl::parse(place).map_err(|error| bad_url(error.to_string()))?;
            return Ok(Self { url, branch: "main".into() });
        };
        let repo = Repo::open(&dir)?;
        let root =
            repo.work_dir().unwrap_or(repo.git_dir()).canonicalize().map_err(|error| bad_url(error.to_string()))?;
        let text = root.to_str().ok_or_else(|| bad_url("its path is not UTF-8".into()))?;
        let url = GitUrl::parse(&file_url(text)).map_err(|error| bad_url(error.to_string()))?;
        let branch = match repo.head()? {
            Head::Branch { name, .. } | Head::Unborn { name } => {
                name.strip_prefix("refs/heads/").unwrap_or(&name).to_owned()
            }
            Head::Detached { .. } => "main".into(),
        };
        Ok(Self { url, branch })
    }

    /// The last part of the path, without `.git`.
    fn name(&self) -> String {
        let path = self.url.as_str().trim_end_matches('/');
        let last = path.rsplit('/').next().unwrap_or(path);
        last.strip_suffix(".git").unwrap_or(last).to_owned()
    }
}

/// The URL of an absolute path: RFC 3986's unreserved characters and slashes stay, the rest is encoded.
fn file_url(path: &str) -> String {
    path.bytes().fold("file://".to_owned(), |mut url, byte| {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let written = write!(url, "%{byte:02X}");
            debug_assert!(written.is_ok(), "a string takes every write");
        }
        url
    })
}
