//! What a run is about, looked at once: the repository, its remote, the range between them and the policy.

use std::path::PathBuf;

use hooks::{Site, installed_dir};
use host::Host;
use outcome::Failure;
use repo::{
    Commit, Git, Head, PolicySource, Repo, Tree, VerdictStore, is_ancestor, merge_base, policy_bytes, policy_for,
};
use review_bundle::escape;
use verdict::policy::RefClass;
use verdict::{Oid, Policy, Sha256};

use crate::machine::Remote;

/// How many paths of a dirty tree are named.
const NAMED: usize = 5;

/// A repository that can be shipped from, and where to.
pub(crate) struct Session<'a> {
    /// The machine.
    pub(crate) host: &'a dyn Host,
    /// The repository.
    pub(crate) repo: &'a Repo,
    /// The root of the work tree.
    pub(crate) root: PathBuf,
    /// The remote's name.
    pub(crate) remote: String,
    /// The full name of the ref on the remote, and of the local branch.
    pub(crate) target: String,
    /// What that ref holds; `None` when it does not exist.
    pub(crate) present: Option<Oid>,
    /// The commit that the range begins at: the one the ref holds, or for a new ref that the policy has open, where it
    /// left the remote's default branch. `None` when everything is new.
    pub(crate) since: Option<Oid>,
    /// The commit that is shipped.
    pub(crate) head: Oid,
    /// The policy that judges the range.
    pub(crate) policy: Policy,
    /// The remote has that policy.
    pub(crate) policy_at_remote: bool,
    /// The policy that was pinned when the gate was installed.
    pub(crate) pinned: Option<Vec<u8>>,
    /// The directory of the hooks, if the gate is among them.
    pub(crate) hooks: Option<PathBuf>,
    /// How the remote and the branch stand to each other.
    pub(crate) standing: Remote,
}

impl<'a> Session<'a> {
    /// Looks at the repository and asks the remote what it has.
    ///
    /// # Errors
    /// For everything that cannot be shipped: no commit, no branch, no remote, a dirty tree, a shallow clone, a remote
    /// that moved or has another history.
    pub(crate) fn open(host: &'a dyn Host, repo: &'a Repo, remote: Option<&str>) -> Result<Self, Failure> {
        let root = repo.work_dir().ok_or(repo::RepoError::Bare)?.to_owned();
        let git = Git::new(repo, host);
        let (target, head) = branch(repo)?;
        if repo.is_shallow()? {
            return Err(Failure::not_ready(
                "shallow",
                "this clone is shallow: ancestry cannot be proved",
                "git fetch --unshallow, then try again",
            ));
        }
        clean(&git, repo)?;
        let remote = choose_remote(&git, remote)?;
        let present = git.ls_remote(&remote, &target)?;
        if let Some(id) = &present {
            bring(&git, repo, id, (&remote, &target))?;
        }
        let standing = standing(&git, repo, present.as_ref(), &head, (&remote, &target))?;
        let site = Site::observe(host, &root)?;
        let pinned = host.read(&site.policy())?;
        let hooks = installed_dir(host, &site)?;
        let source = PolicySource { pinned: pinned.as_deref() };
        let since = match &present {
            Some(id) => Some(id.clone()),
            None => fork(&git, repo, source, &head, (&remote, &target))?,
        };
        let before = if standing == Remote::HasBaseline { Some(&head) } else { since.as_ref() };
        let policy = policy_for(repo.objects(), before, source, &target)?;
        let at_remote = before.map(|id| policy_bytes(repo.objects(), id)).transpose()?.flatten();
        let policy_at_remote = at_remote.is_some_and(|bytes| Sha256::of(&bytes) == *policy.sha256());
        Ok(Self {
            host,
            repo,
            root,
            remote,
            target,
            present,
            since,
            head,
            policy,
            policy_at_remote,
            pinned,
            hooks,
            standing,
        })
    }

    /// Where the range begins, zeros where everything is new.
    #[must_use]
    pub(crate) fn since_or_zero(&self) -> Oid {
        self.since.clone().unwrap_or_else(|| self.head.zero_like())
    }

    /// What the remote's ref holds, zeros where there is none.
    #[must_use]
    pub(crate) fn present_or_zero(&self) -> Oid {
        self.present.clone().unwrap_or_else(|| self.head.zero_like())
    }

    /// The branch is new to the remote, and has no commit that its default branch has not.
    #[must_use]
    pub(crate) fn is_new_name(&self) -> bool {
        self.present.is_none() && self.since.as_ref() == Some(&self.head)
    }

    /// Git in this repository.
    #[must_use]
    pub(crate) fn git(&self) -> Git<'a> {
        Git::new(self.repo, self.host)
    }

    /// The verdicts of this repository.
    #[must_use]
    pub(crate) fn store(&self) -> VerdictStore {
        VerdictStore::of(self.repo)
    }

    /// Where the policy comes from, for a person.
    #[must_use]
    pub(crate) fn policy_from(&self) -> &'static str {
        match (self.policy_at_remote, &self.pinned) {
            (true, _) => "as the remote has it",
            (false, Some(_)) => "as pinned",
            (false, None) => "built in",
        }
    }

    /// Whether a push needs a verdict, and the baseline advances with it.
    #[must_use]
    pub(crate) fn is_gated(&self) -> bool {
        self.policy.classify(&self.target) == RefClass::Protected
    }

    /// Why the push of `tip` failed: somebody else pushed meanwhile, or `failure`.
    pub(crate) fn unless_moved(&self, tip: &Oid, failure: repo::RepoError) -> Failure {
        match self.git().ls_remote(&self.remote, &self.target) {
            Ok(now) if now != self.present && now.as_ref() != Some(tip) => moved(&self.remote, &self.target),
            _ => failure.into(),
        }
    }

    /// The tree of the shipped commit.
    ///
    /// # Errors
    /// The repository's.
    pub(crate) fn head_tree(&self) -> Result<Oid, Failure> {
        Ok(Commit::read(self.repo.objects(), &self.head)?.tree())
    }

    /// The names in the root of the shipped tree.
    ///
    /// # Errors
    /// The repository's.
    pub(crate) fn root_names(&self) -> Result<Vec<Vec<u8>>, Failure> {
        let tree = Tree::at(self.repo.objects(), &self.head_tree()?)?;
        Ok(tree.entries().iter().map(|entry| entry.name.clone()).collect())
    }

    /// The work tree is clean and the branch is where it was.
    ///
    /// # Errors
    /// Refused otherwise.
    pub(crate) fn unchanged(&self) -> Result<(), Failure> {
        let (_, head) = branch(self.repo)?;
        if head != self.head {
            let next = "do not commit while a ship runs; ship again";
            return Err(Failure::refused("branch-moved", format!("{} moved to {head} meanwhile", self.target), next));
        }
        clean(&self.git(), self.repo)
    }
}

/// Where this program keeps what belongs to a repository: under the git directory that its worktrees share.
#[must_use]
pub(crate) fn state_dir(repo: &Repo) -> PathBuf {
    repo.common_dir().join("ai-ops-runner")
}

/// Where this program keeps what belongs to no repository and can be thrown away.
///
/// # Errors
/// Not ready without a home directory.
pub(crate) fn cache_dir(host: &dyn Host) -> Result<PathBuf, Failure> {
    let base = host::cache_dir(host).ok_or_else(|| {
        let reason = "neither XDG_CACHE_HOME nor HOME is an absolute path";
        Failure::not_ready("no-home", reason, "set HOME, then try again")
    })?;
    Ok(base.join("ai-ops-runner"))
}

fn branch(repo: &Repo) -> Result<(String, Oid), Failure> {
    match repo.head()? {
        Head::Branch { name, id } => Ok((name, id)),
        Head::Detached { id } => Err(Failure::refused(
            "detached-head",
            format!("HEAD is at {id} and on no branch"),
            "git switch BRANCH, or git switch --create BRANCH, then ship again",
        )),
        Head::Unborn { name } => Err(Failure::refused(
            "no-commit",
            format!("{} has no commit yet", escape(name.as_bytes())),
            "commit something, then ship again",
        )),
    }
}

fn clean(git: &Git<'_>, repo: &Repo) -> Result<(), Failure> {
    let dirty = git.status(repo)?;
    if dirty.is_clean() {
        return Ok(());
    }
    if let Some(hidden) = dirty.hidden.first() {
        let path = escape(hidden);
        return Err(Failure::refused(
            "hidden-changes",
            format!("git was told not to look for changes of {path}: what is tested may not be what is shipped"),
            format!(
                "git update-index --no-assume-unchanged {path} and --no-skip-worktree {path}, commit it or git restore \
                 {path}, then ship again"
            ),
        ));
    }
    let paths: Vec<_> = dirty.changed.iter().chain(&dirty.untracked).map(|path| escape(path)).collect();
    let more = paths.len().saturating_sub(NAMED);
    let named = paths[..paths.len() - more].join(", ");
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Err(Failure::refused(
        "dirty-tree",
        format!("not committed: {named}{more}"),
        "commit or ignore it, or git stash --include-untracked, then ship again",
    ))
}

/// The remote that was named, else `origin`, else the only one.
fn choose_remote(git: &Git<'_>, named: Option<&str>) -> Result<String, Failure> {
    let remotes = git.remotes()?;
    let known = |name: &str| remotes.iter().any(|remote| remote == name);
    match (named, remotes.as_slice()) {
        (Some(name), _) if known(name) => Ok(name.to_owned()),
        (Some(name), _) => Err(repo::RepoError::NoRemote(escape(name.as_bytes())).into()),
        (None, []) => Err(Failure::not_ready(
            "no-remote",
            "this repository has no remote",
            "git remote add origin URL, then ship again",
        )),
        (None, [only]) => Ok(only.clone()),
        (None, _) if known("origin") => Ok("origin".to_owned()),
        (None, _) => Err(Failure::usage(
            "which-remote",
            "there are several remotes and none is origin",
            "name one: --remote NAME",
        )),
    }
}

/// Where the range of a ref begins that the remote does not have: where `head` left the remote's default branch. `None`
/// when they share nothing, and for a ref that the pinned policy or that of the default branch protects: of it all is
/// to be seen.
fn fork(
    git: &Git<'_>,
    repo: &Repo,
    source: PolicySource<'_>,
    head: &Oid,
    (remote, target): (&str, &str),
) -> Result<Option<Oid>, Failure> {
    let is_open = |base| {
        let policy = policy_for(repo.objects(), base, source, target);
        policy.map(|policy| policy.classify(target) == RefClass::Open)
    };
    if !is_open(None)? {
        return Ok(None);
    }
    let Some(default) = git.ls_remote_head(remote)? else { return Ok(None) };
    bring(git, repo, &default, (remote, "HEAD"))?;
    match merge_base(repo.objects(), &default, head)? {
        Some(base) if is_open(Some(&base))? => Ok(Some(base)),
        _ => Ok(None),
    }
}

/// Sees to it that the remote's commit is here.
fn bring(git: &Git<'_>, repo: &Repo, id: &Oid, (remote, target): (&str, &str)) -> Result<(), Failure> {
    if repo.objects().contains(id)? {
        return Ok(());
    }
    git.fetch(remote, target)?;
    if repo.objects().contains(id)? { Ok(()) } else { Err(moved(remote, target)) }
}

fn standing(
    git: &Git<'_>,
    repo: &Repo,
    since: Option<&Oid>,
    head: &Oid,
    (remote, target): (&str, &str),
) -> Result<Remote, Failure> {
    let Some(since) = since else { return Ok(Remote::IsBehind) };
    let objects = repo.objects();
    if since == head {
        Ok(Remote::HasHead)
    } else if is_ancestor(objects, since, head)? {
        Ok(Remote::IsBehind)
    } else if git.baseline_commit(head)? == *since {
        Ok(Remote::HasBaseline)
    } else if merge_base(objects, since, head)?.is_some() {
        Err(moved(remote, target))
    } else {
        Err(Failure::refused(
            "unrelated-history",
            format!("{target} of {remote} and the local branch have no commit in common"),
            "check that this is the right remote; ship never forces",
        ))
    }
}

fn moved(remote: &str, target: &str) -> Failure {
    let branch = target.strip_prefix("refs/heads/").unwrap_or(target);
    Failure::refused(
        "remote-moved",
        format!("{target} of {remote} has commits that are not here"),
        format!("git pull --rebase {remote} {branch}, then ship again"),
    )
}
