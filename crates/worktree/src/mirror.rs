//! Mirrors: one for each canonical URL, fetched only when a commit is missing.
//!
//! **Invariant:** a commit is handed out only if a branch that the allowlist names has it, as the mirror knows that branch.
//! **Invariant:** while a commit is in use its mirror is neither repacked nor removed; a fetch only adds to it.

use std::path::{Path, PathBuf};

use host::Host;
use repo::{Commit, Repo, RepoError, reached_from};
use review_bundle::escape;
use verdict::{Oid, Sha256};

use crate::branch;
use crate::error::WorktreeError;
use crate::fetch::{Remote, fetch, tip};
use crate::lock::{Hold, Lock, Patience};
use crate::pinned::{Admitted, Pinned};
use crate::proof;
use crate::template::{Format, Template, make_dir, mend_refs};

/// The mirrors of one state directory.
pub struct Mirrors<'a> {
    host: &'a dyn Host,
    dir: PathBuf,
    patience: Patience,
}

/// The files of one mirror.
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    /// Held by who changes the mirror: fetches, writes settings.
    pub(crate) change: PathBuf,
    /// Held, shared, by who reads it; alone by who takes objects away.
    pub(crate) in_use: PathBuf,
}

impl Place {
    pub(crate) fn of(mirrors: &Path, name: String) -> Self {
        let [change, in_use] = ["lock", "use"].map(|suffix| mirrors.join(format!("{name}.{suffix}")));
        Self { dir: mirrors.join(&name), change, in_use, name }
    }
}

/// The directory of a mirror: the first half of the URL's SHA-256, and the hash function where that is not SHA-1.
pub(crate) fn name(url: &str, format: Format) -> String {
    let digest = Sha256::of(url.as_bytes());
    let suffix = if format == Format::Sha1 { "" } else { "-sha256" };
    format!("{}{suffix}", &digest.as_str()[..32])
}

impl<'a> Mirrors<'a> {
    /// The mirrors in `state`.
    ///
    /// # Errors
    /// [`WorktreeError::Io`] when a relative path has nothing to be relative to.
    pub fn open(host: &'a dyn Host, state: &Path, patience: Patience) -> Result<Self, WorktreeError> {
        // git runs in the mirror and is told where it is.
        let state = std::path::absolute(state).map_err(WorktreeError::io(state))?;
        Ok(Self { host, dir: state.join("mirrors"), patience })
    }

    /// Finds the commit in the mirror of `remote`, and fetches once if it is not there or on no allowed branch yet.
    /// `branches` are short names in which `*` stands for a part of one component.
    ///
    /// # Errors
    /// [`WorktreeError::CommitUnknown`], [`WorktreeError::NotOnAllowedBranch`], those of the fetch;
    /// [`WorktreeError::ForeignMirror`].
    pub fn provide(&self, remote: &Remote<'_>, sha: &Oid, branches: &[String]) -> Result<Pinned, WorktreeError> {
        remote.protocol()?;
        let format = if sha.as_str().len() == 40 { Format::Sha1 } else { Format::Sha256 };
        make_dir(&self.dir)?;
        let place = Place::of(&self.dir, name(remote.url, format));
        let in_use = Lock::wait(&place.in_use, Hold::Shared, &self.patience)?;
        in_use.touch(self.host.now());
        self.prepare(remote, format, &place)?;
        let mut found = self.admit(&place.dir, remote, sha, branches);
        if found.as_ref().is_err_and(may_be_fetched) {
            let fetched = self.fetch(remote, format, &place);
            found = self.admit(&place.dir, remote, sha, branches);
            // A git that outlived its killed runner may have been faster.
            if found.is_err() {
                fetched?;
            }
        }
        let (repo, Admitted { commit, branch, tip }) = found.map_err(WorktreeError::in_mirror(&place.dir))?;
        self.pin(&place.dir, sha)?;
        let objects = repo.objects().clone();
        Ok(Pinned {
            commit: sha.clone(),
            tree: commit.tree(),
            branch,
            tip,
            mirror: place.name,
            objects,
            objects_dir: place.dir.join("objects"),
            mirror_dir: place.dir,
            _in_use: in_use,
        })
    }

    /// What a branch of `remote` holds now, as the remote says: no commit is fetched.
    ///
    /// # Errors
    /// [`WorktreeError::NoBranch`] when it has no such branch; those of git.
    pub fn tip(&self, remote: &Remote<'_>, branch: &str) -> Result<Oid, WorktreeError> {
        make_dir(&self.dir)?;
        let tip = tip(self.host, remote, &format!("refs/heads/{branch}"), &self.dir)?;
        tip.ok_or_else(|| WorktreeError::NoBranch { url: remote.shown(), branch: escape(branch.as_bytes()) })
    }

    fn prepare(&self, remote: &Remote<'_>, format: Format, place: &Place) -> Result<(), WorktreeError> {
        let template = Template { dir: &place.dir, url: remote.url, format, uid: self.host.uid() };
        if place.dir.is_dir() && template.check()? {
            return Ok(());
        }
        let _change = Lock::wait(&place.change, Hold::Exclusive, &self.patience)?;
        template.restore(self.host)
    }

    fn fetch(&self, remote: &Remote<'_>, format: Format, place: &Place) -> Result<(), WorktreeError> {
        let _change = Lock::wait(&place.change, Hold::Exclusive, &self.patience)?;
        let template = Template { dir: &place.dir, url: remote.url, format, uid: self.host.uid() };
        template.restore(self.host)?;
        mend_refs(&place.dir.join("refs"))?;
        let fetched = fetch(self.host, remote, &place.dir, &place.dir);
        // git leaves caches of its own there.
        template.restore(self.host)?;
        fetched
    }

    fn admit(
        &self,
        dir: &Path,
        remote: &Remote<'_>,
        sha: &Oid,
        branches: &[String],
    ) -> Result<(Repo, Admitted), WorktreeError> {
        let repo = Repo::open(dir)?;
        let unknown =
            |why: &str| WorktreeError::CommitUnknown { url: remote.shown(), sha: sha.clone(), why: why.to_owned() };
        let commit = match Commit::read(repo.objects(), sha) {
            Err(RepoError::Missing(_)) => return Err(unknown("it is on no branch and in no tag")),
            Err(error @ RepoError::WrongKind { .. }) => return Err(unknown(&error.to_string())),
            read => read?,
        };
        let (names, tips): (Vec<String>, Vec<Oid>) = allowed(&repo, branches)?.into_iter().unzip();
        if let Some(at) = proof::of(dir, sha, &tips) {
            return Ok((repo, Admitted { commit, branch: names[at].clone(), tip: tips[at].clone() }));
        }
        let Some(at) = reached_from(repo.objects(), sha, &tips)? else {
            let branches = escape(branches.join(", ").as_bytes());
            return Err(WorktreeError::NotOnAllowedBranch { url: remote.shown(), sha: sha.clone(), branches });
        };
        if tips[at] != *sha {
            proof::keep(self.host, dir, sha, &tips[at])?;
        }
        Ok((repo, Admitted { commit, branch: names[at].clone(), tip: tips[at].clone() }))
    }

    /// Keeps the commit when no branch has it any more. The ref's time is that of the last use.
    fn pin(&self, dir: &Path, sha: &Oid) -> Result<(), WorktreeError> {
        let path = dir.join("refs/pins").join(sha.as_str());
        let now = self.host.now();
        let touched = std::fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(now));
        let content = format!("{sha}\n");
        if touched.is_err() || std::fs::read(&path).ok().as_deref() != Some(content.as_bytes()) {
            make_dir(&dir.join("refs/pins"))?;
            proof::replace(self.host, &path, content.as_bytes())?;
        }
        Ok(())
    }
}

/// Whether a fetch may find what was not found.
const fn may_be_fetched(error: &WorktreeError) -> bool {
    use WorktreeError as E;
    matches!(error, E::CommitUnknown { .. } | E::NotOnAllowedBranch { .. } | E::Repo(RepoError::BadRef { .. }))
}

/// The branches of the mirror that are allowed, by short name, and their commits.
fn allowed(repo: &Repo, branches: &[String]) -> Result<Vec<(String, Oid)>, WorktreeError> {
    let mut found = Vec::new();
    for name in branches.iter().filter(|name| !name.contains('*')) {
        found.extend(repo.reference(&format!("refs/heads/{name}"))?.map(|id| (name.clone(), id)));
    }
    let patterns: Vec<&String> = branches.iter().filter(|name| name.contains('*')).collect();
    if !patterns.is_empty() {
        let all = repo.references("refs/heads/")?.into_iter();
        let short = all.filter_map(|(name, id)| Some((name.strip_prefix("refs/heads/")?.to_owned(), id)));
        found.extend(short.filter(|(name, _)| patterns.iter().any(|pattern| branch::matches(pattern, name))));
    }
    Ok(found)
}
