//! Whether the gate is in the way of a push, as it should be.

use std::path::Path;

use doctor::Check;
use host::{Host, Kind};
use repo::usable_policy;

use crate::install::checksums;
use crate::{HooksError, Origin, Site, script};

/// What was seen elsewhere.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The version of the Codex CLI, or why there is none.
    pub codex: Result<String, String>,
    /// The policy file of the branch's upstream, or why it was not seen.
    pub remote_policy: Result<Upstream, String>,
}

/// What the branch follows on the remote, when it was last fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// Nothing, or HEAD is on no branch.
    None,
    /// A commit with this policy file; `None` when it has no such file.
    Has(Option<Vec<u8>>),
}

const INSTALL: &str = "run install-hooks";

/// Every check of the repository's gate, in the order a push meets them.
#[must_use]
pub fn health(host: &dyn Host, site: &Site, facts: &Facts) -> Vec<Check> {
    vec![
        hooks_path(site),
        hook(host, site, "pre-push", &script::pre_push(&site.gate())),
        hook(host, site, "post-commit", &script::post_commit(&site.ship())),
        gate(host, site),
        pinned_policy(host, site, &facts.remote_policy),
        ship_policy(host, site),
        baseline(host, site),
        codex(facts),
    ]
}

/// G09: what counts is where git looks, whoever decided it.
fn hooks_path(site: &Site) -> Check {
    const NAME: &str = "hooks-path";
    let dir = &site.effective.dir;
    let (shown, by) = (dir.display(), decided_by(&site.effective.origin));
    if let Some(tree) = site.work_tree_of(dir) {
        let seen =
            format!("git runs hooks from {shown} ({by}), in the work tree {}: a branch can edit them", tree.display());
        return Check::fail(NAME, "hooks-in-work-tree", seen, INSTALL);
    }
    if let Some(include) = &site.by_branch {
        let seen = format!("git runs hooks from {shown} ({by}) now, maybe from elsewhere on another branch: {include}");
        return Check::fail(
            NAME,
            "hooks-path-by-branch",
            seen,
            "take that include out, or core.hooksPath out of its file",
        );
    }
    match &site.effective.origin {
        _ if *dir == site.default_dir() || *dir == site.own_dir() => Check::pass(NAME, format!("{shown} ({by})")),
        Origin::Environment { .. } => {
            let next = "unset GIT_CONFIG_* in this shell and what sets it";
            Check::fail(NAME, "hooks-path-environment", format!("git runs hooks from {shown} ({by})"), next)
        }
        _ => Check::fail(NAME, "hooks-elsewhere", format!("git runs hooks from {shown} ({by}), not ours"), INSTALL),
    }
}

fn decided_by(origin: &Origin) -> String {
    match origin {
        Origin::Default => "git's default".to_owned(),
        Origin::Config { scope, file, .. } => format!("core.hooksPath, {scope}, {file}"),
        Origin::Environment { origin } => format!("core.hooksPath, environment, {origin}"),
    }
}

fn hook(host: &dyn Host, site: &Site, name: &'static str, ours: &[u8]) -> Check {
    let path = site.effective.dir.join(name);
    let fail = |class, seen: &str| Check::fail(name, class, format!("{} {seen}", path.display()), INSTALL);
    match host.stat(&path) {
        Ok(None) => fail("hook-missing", "does not exist"),
        Ok(Some(stat)) if stat.kind != Kind::File => fail("hook-linked", "is not a regular file"),
        Ok(Some(stat)) if stat.mode & 0o100 == 0 => fail("hook-not-executable", "is not executable: git skips it"),
        Ok(Some(stat)) if stat.mode & 0o022 != 0 => fail("hook-writable", "can be changed by others"),
        Ok(Some(_)) => match host.read(&path) {
            Ok(Some(bytes)) if bytes == ours => Check::pass(name, path.display().to_string()),
            Ok(_) => fail("hook-not-ours", "is not the hook that install-hooks writes"),
            Err(error) => fail("hook-unseen", &error.to_string()),
        },
        Err(error) => fail("hook-unseen", &error.to_string()),
    }
}

fn gate(host: &dyn Host, site: &Site) -> Check {
    const NAME: &str = "gate";
    let gate = site.gate();
    let fail = |class, seen: &str| Check::fail(NAME, class, format!("{} {seen}", gate.display()), INSTALL);
    if let Some(tree) = site.work_tree_of(&site.gate_dir) {
        return fail("gate-in-work-tree", &format!("is in the work tree {}", tree.display()));
    }
    match host.stat(&gate) {
        Ok(Some(stat)) if stat.kind == Kind::File && stat.mode & 0o100 != 0 => match same_as_recorded(host, site) {
            Ok(true) => Check::pass(NAME, gate.display().to_string()),
            Ok(false) => fail("gate-changed", "or a file beside it is not what was installed (SHA256SUMS)"),
            Err(error) => fail("gate-unseen", &error.to_string()),
        },
        Ok(None) => fail("gate-missing", "does not exist"),
        Ok(Some(_)) => fail("gate-not-executable", "is not an executable file"),
        Err(error) => fail("gate-unseen", &error.to_string()),
    }
}

fn same_as_recorded(host: &dyn Host, site: &Site) -> Result<bool, HooksError> {
    let now = checksums(host, site)?;
    Ok(host.read(&site.checksums())?.is_some_and(|recorded| recorded == now.as_bytes()))
}

fn pinned_policy(host: &dyn Host, site: &Site, remote: &Result<Upstream, String>) -> Check {
    const NAME: &str = "pinned-policy";
    match (parsed(host, &site.policy()), remote) {
        (Some(Ok(_)), Ok(Upstream::None)) => {
            let seen =
                "the branch has no upstream that was fetched: whether the pinned policy is out of date is not known";
            Check::warn(NAME, "no-upstream", seen, "git fetch, git branch --set-upstream-to REMOTE/BRANCH")
        }
        (Some(Ok(pinned)), Ok(Upstream::Has(Some(remote)))) if *remote != pinned => {
            let seen = "the pinned policy is another than the branch's upstream had when it was last fetched";
            let next =
                "git fetch, read what differs; to pin the remote's: install-hooks --repin in an up-to-date branch";
            Check::warn(NAME, "policy-outdated", seen, next)
        }
        (Some(Ok(_)), Ok(_)) => Check::pass(NAME, site.policy().display().to_string()),
        (Some(Ok(_)), Err(why)) => {
            Check::warn(NAME, "policy-unseen", format!("the policy of the branch's upstream: {why}"), "git fetch")
        }
        (Some(Err(why)), _) => Check::fail(NAME, "policy-invalid", why, "run install-hooks --repin"),
        (None, _) => {
            let seen = "no policy is pinned: a first push is judged by the built-in one";
            Check::warn(NAME, "policy-not-pinned", seen, "commit configs/ship.toml, then run install-hooks")
        }
    }
}

fn ship_policy(host: &dyn Host, site: &Site) -> Check {
    const NAME: &str = "ship-policy";
    let path = site.top.as_deref().unwrap_or(&site.common).join("configs/ship.toml");
    match parsed(host, &path) {
        Some(Ok(_)) => Check::pass(NAME, "configs/ship.toml is valid"),
        Some(Err(why)) => Check::fail(NAME, "policy-invalid", why, "mend configs/ship.toml"),
        None => {
            let seen = "there is no configs/ship.toml: the built-in policy is used";
            Check::warn(NAME, "no-policy", seen, "write one if the defaults do not fit")
        }
    }
}

/// The bytes of a policy that can be used.
fn parsed(host: &dyn Host, path: &Path) -> Option<Result<Vec<u8>, String>> {
    let bytes = host.read(path).map_err(|error| error.to_string()).transpose()?;
    let valid = |bytes: Vec<u8>| usable_policy(&bytes).map(|_| bytes);
    Some(bytes.and_then(valid).map_err(|why| format!("{}: {why}", path.display())))
}

fn baseline(host: &dyn Host, site: &Site) -> Check {
    const NAME: &str = "baseline";
    const FILE: &str = "docs/LAST_REVIEWED_SHA.txt";
    let next = "run ship: the first one writes it";
    match host.read(&site.top.as_deref().unwrap_or(&site.common).join(FILE)) {
        Ok(Some(bytes)) if is_id(&bytes) => Check::pass(NAME, String::from_utf8_lossy(&bytes).trim_end()),
        Ok(Some(_)) => {
            Check::fail(NAME, "baseline-invalid", format!("{FILE} is not one commit id"), "restore it from git")
        }
        Ok(None) => Check::warn(NAME, "no-baseline", format!("there is no {FILE}: nothing was reviewed yet"), next),
        Err(error) => Check::fail(NAME, "baseline-unseen", error.to_string(), next),
    }
}

/// `<40 or 64 hex digits>\n`.
fn is_id(bytes: &[u8]) -> bool {
    let id = bytes.strip_suffix(b"\n").unwrap_or_default();
    [40, 64].contains(&id.len()) && id.iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b))
}

fn codex(facts: &Facts) -> Check {
    match &facts.codex {
        Ok(version) => Check::pass("codex", version.clone()),
        Err(why) => Check::fail("codex", "codex-missing", why.clone(), "npm install --global @openai/codex@0.169.0"),
    }
}
