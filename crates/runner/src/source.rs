//! Where a repository is, and which commit it has there now.

use allowlist::{GitUrl, Repo};
use host::{Host, HostError};
use outcome::Failure;
use worktree::Remote;

use crate::site::Site;

/// A repository at its remote.
#[derive(Debug, Clone)]
pub struct Source {
    url: GitUrl,
    /// The allowlist's own.
    known: Option<Repo>,
}

impl Source {
    /// The repository that the allowlist of `site` calls `name`; at `url` where one is named, with the keys that the
    /// allowlist has for it.
    ///
    /// # Errors
    /// Usage, class `bad-url`, for what is none; refused, class `unknown-repo`, where none is named and the allowlist
    /// has none; those of [`Site::policy`].
    pub fn find(host: &dyn Host, site: &Site, name: &str, url: Option<&str>) -> Result<Self, Failure> {
        let policy = site.policy(host);
        if let Some(text) = url {
            let url = GitUrl::parse(text);
            let url = url.map_err(|error| Failure::usage("bad-url", error.to_string(), "name a URL that git knows"))?;
            let known = policy.ok().and_then(|policy| policy.repos().values().find(|repo| repo.url == url).cloned());
            return Ok(Self { url, known });
        }
        let known = policy?.repos().get(name).cloned().ok_or_else(|| {
            let reason = format!("{} has no repository `{}`", site.configs.display(), outcome::printable(name));
            Failure::refused(
                "unknown-repo",
                reason,
                "allow it: runner allow DIR-OR-URL --name NAME; or name the commit",
            )
        })?;
        Ok(Self { url: known.url.clone(), known: Some(known) })
    }

    /// Its URL, in the one form that is compared.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The commit at the tip of its default branch: the allowlist's, else the remote's.
    ///
    /// # Errors
    /// Refused, class `commit-unknown`, when there is none; infrastructure, class `remote-unreachable`, and what else keeps
    /// a remote from being asked.
    pub fn tip(&self, host: &dyn Host) -> Result<String, Failure> {
        let scratch = tempfile::tempdir().map_err(HostError::io(std::env::temp_dir()))?;
        let remote = Remote {
            url: self.url.as_str(),
            fetch: self.url.fetch_str(),
            ssh_host_keys: self.known.as_ref().map_or(&[], |repo| &repo.ssh_host_keys),
            ssh_identity: self.known.as_ref().and_then(|repo| repo.ssh_identity.as_deref()),
        };
        let name = self.known.as_ref().map_or("HEAD".to_owned(), |repo| format!("refs/heads/{}", repo.default_branch));
        let tip = worktree::tip(host, &remote, &name, scratch.path())?;
        tip.map(|id| id.to_string()).ok_or_else(|| {
            let reason = format!("{} has no {name}", self.url);
            Failure::refused("commit-unknown", reason, "push a commit there, or name one: --sha ID")
        })
    }
}
