//! Adding a repository to the operator's allowlist.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::thread::park_timeout;
use std::time::Duration;

use allowlist::{GitUrl, Policy, Repo};
use host::{Host, HostError, trusted};
use outcome::Failure;
use repo::{Head, Repo as WorkRepo};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::Serialize;

use crate::desk::private_dirs;
use crate::site::{BUILT_IN_JOBS, JOBS, REPOS, Site, bad_allowlist};

/// A new file of repositories.
const EMPTY: &str = "# The repositories that jobs may run on: runner allow DIR-OR-URL\nschema = 1\n";

/// How often a locked directory is tried, and how long after each other: a change of the allowlist takes milliseconds.
const TRIES: u32 = 500;
const TICK: Duration = Duration::from_millis(10);

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
    /// What cannot work or is weak about it.
    warnings: Vec<String>,
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, url, branches, file, added, warnings, .. } = self;
        let what = if *added { "is allowed" } else { "was allowed before" };
        write!(f, "{name} {what}: {url}, commits of {} ({file})", branches.join(", "))?;
        warnings.iter().try_for_each(|warning| write!(f, "\nwarning: {warning}"))
    }
}

/// Adds `wanted` to the site's allowlist of repositories, which is made if it is not there.
///
/// # Errors
/// Usage, class `bad-url`; refused, class `name-taken`, when the name stands for another repository, and
/// `allowed-otherwise`, when the repository has another name or other branches than are wanted; not ready, class
/// `configs-read-only`; busy, class `configs-locked`; those of [`Site::policy`] and of the machine. The file is as it was then.
pub fn allow(host: &dyn Host, site: &Site, wanted: &Wanted) -> Result<Allowed, Failure> {
    let place = Place::of(&wanted.place)?;
    let path = site.configs.join(REPOS);
    // What is read here is what is written over below.
    let _lock = locked(&site.configs)?;
    let before = trusted(host, &path)?.unwrap_or_else(|| EMPTY.into());
    let jobs = trusted(host, &site.configs.join(JOBS))?.unwrap_or_else(|| BUILT_IN_JOBS.into());
    let parse = |repos: &[u8]| Policy::parse(&jobs, repos);
    let policy = parse(&before).map_err(|problems| bad_allowlist(&site.configs, &problems.to_string()))?;
    if let Some((known, repo)) = policy.repos().iter().find(|(_, repo)| repo.url == place.url) {
        wanted.agrees(known, repo, &path)?;
        return Ok(Allowed::of(&policy, known, &path, false));
    }
    let name = wanted.name.clone().unwrap_or_else(|| place.name());
    if policy.repos().contains_key(&name) {
        let reason = format!("`{name}` is the name of another repository in {}", path.display());
        return Err(Failure::refused("name-taken", reason, "choose another: --name NAME"));
    }
    let branches = if wanted.branches.is_empty() { vec![place.branch] } else { wanted.branches.clone() };
    let mut after = before;
    after.extend_from_slice(entry(&name, &place.url, &branches).as_bytes());
    let policy = parse(&after)
        .map_err(|problems| Failure::usage("bad-repository", problems.to_string(), "mend what is named"))?;
    // Who could read it before still can.
    let mode = host.stat(&path)?.map_or(0o600, |stat| stat.mode);
    host.write_atomic(&path, &after, mode).map_err(|error| unwritable(&site.configs, error))?;
    Ok(Allowed::of(&policy, &name, &path, true))
}

impl Wanted {
    /// Whether a repository is allowed already as it is wanted.
    fn agrees(&self, known: &str, repo: &Repo, file: &Path) -> Result<(), Failure> {
        let same_name = self.name.as_ref().is_none_or(|name| name == known);
        if same_name && self.branches.iter().all(|branch| repo.allowed_branches.contains(branch)) {
            return Ok(());
        }
        let branches = repo.allowed_branches.join(", ");
        let reason = format!("it is allowed already, as `{known}` and with commits of {branches}");
        Err(Failure::refused("allowed-otherwise", reason, format!("edit {}", file.display())))
    }
}

impl Allowed {
    /// What `policy` has of the repository `name`.
    fn of(policy: &Policy, name: &str, file: &Path, added: bool) -> Self {
        let repo = &policy.repos()[name];
        let about = format!("repos.{name}: ");
        let warnings = policy.warnings().into_iter().filter(|warning| warning.starts_with(&about));
        Self {
            schema: 1,
            status: outcome::Exit::Done.status(),
            name: name.to_owned(),
            url: repo.url.as_str().to_owned(),
            branches: repo.allowed_branches.clone(),
            file: file.display().to_string(),
            added,
            warnings: warnings.collect(),
        }
    }
}

/// The machine's own allowlists are found by everyone and root's to change.
fn unwritable(configs: &Path, error: HostError) -> Failure {
    match &error {
        HostError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            let next = format!("be who owns {}, or name a directory of yours: --configs DIR", configs.display());
            Failure::not_ready("configs-read-only", error.to_string(), next)
        }
        _ => error.into(),
    }
}

/// The directory, made where it is not there, locked against others that change what is in it.
fn locked(dir: &Path) -> Result<File, Failure> {
    private_dirs(dir)?;
    let lock = File::open(dir).map_err(HostError::io(dir))?;
    for _ in 0..TRIES {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(lock),
            Err(Errno::WOULDBLOCK | Errno::INTR) => park_timeout(TICK),
            Err(errno) => return Err(HostError::io(dir)(errno.into()).into()),
        }
    }
    let reason = format!("{} is locked by another program", dir.display());
    let next = format!("find out which one: fuser {}; then try again", dir.display());
    Err(Failure::busy("configs-locked", reason, next))
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
    /// A directory that is there, or a path that is plainly one, is of this machine; everything else is a URL.
    fn of(place: &str) -> Result<Self, Failure> {
        // The argument is not repeated: it may hold a password.
        let bad_url =
            |why: String| Failure::usage("bad-url", why, "name a repository's directory, or an ssh or https URL");
        let dir = match Path::new(place).canonicalize() {
            Err(error) if place.starts_with(['/', '.']) => {
                return Err(bad_url(format!("the path leads nowhere: {error}")));
            }
            Err(_) => {
                let url = GitUrl::parse(place).map_err(|error| bad_url(error.to_string()))?;
                return Ok(Self { url, branch: "main".into() });
            }
            Ok(dir) => dir,
        };
        let repo = WorkRepo::open(&dir)?;
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use host::Local;
    use tempfile::TempDir;

    use super::*;

    fn add(site: &Site, name: &str) -> Result<Allowed, Failure> {
        let place = format!("https://example.com/{name}");
        allow(&Local::new(), site, &Wanted { place, name: None, branches: Vec::new() })
    }

    #[test]
    fn what_two_allow_at_once_is_allowed() {
        let dir = TempDir::new().unwrap();
        let site = Site { configs: dir.path().join("configs"), state: dir.path().join("state") };
        std::thread::scope(|scope| {
            for number in 0..8 {
                let site = &site;
                scope.spawn(move || add(site, &format!("project-{number}")).unwrap());
            }
        });
        assert_eq!(site.policy(&Local::new()).unwrap().repos().len(), 8);
    }

    #[test]
    fn who_could_read_the_allowlist_still_can() {
        let dir = TempDir::new().unwrap();
        let site = Site { configs: dir.path().to_owned(), state: dir.path().join("state") };
        let mode = || fs::metadata(dir.path().join(REPOS)).unwrap().permissions().mode() & 0o777;
        add(&site, "first").unwrap();
        assert_eq!(mode(), 0o600);
        fs::set_permissions(dir.path().join(REPOS), fs::Permissions::from_mode(0o644)).unwrap();
        add(&site, "second").unwrap();
        assert_eq!(mode(), 0o644);
    }
}
