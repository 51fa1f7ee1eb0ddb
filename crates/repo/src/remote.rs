//! Talking to a remote: reading a ref, fetching it, pushing what the gate let pass.

use std::path::Path;
use std::time::Duration;

use host::{Cmd, Output};
use review_bundle::{escape, escape_text};
use verdict::Oid;
use verdict::gate::{Approved, Pass};

use crate::error::RepoError;
use crate::git::{Git, call, failed};
use crate::history::is_ancestor;

const READ_TIME: Duration = Duration::from_secs(60);
const TRANSFER_TIME: Duration = Duration::from_secs(900);

/// What came of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Each ref, and what the remote says it holds now; zeros when it has no such ref.
    pub refs: Vec<(String, Oid)>,
}

impl Git<'_> {
    /// The names of the configured remotes.
    ///
    /// # Errors
    /// Those of git.
    pub fn remotes(&self) -> Result<Vec<String>, RepoError> {
        let output = self.run(&self.local(&["remote"]), false)?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    /// What a ref of `remote` holds now; `None` when the remote has no such ref. `name` is the full name.
    ///
    /// # Errors
    /// [`RepoError::NoRemote`]; those of git.
    pub fn ls_remote(&self, remote: &str, name: &str) -> Result<Option<Oid>, RepoError> {
        self.listed(remote, &["--refs"], name)
    }

    /// What `HEAD` of `remote` holds now: its default branch; `None` when that has no commit.
    ///
    /// # Errors
    /// [`RepoError::NoRemote`]; those of git.
    pub fn ls_remote_head(&self, remote: &str) -> Result<Option<Oid>, RepoError> {
        self.listed(remote, &[], "HEAD")
    }

    fn listed(&self, remote: &str, more: &[&str], name: &str) -> Result<Option<Oid>, RepoError> {
        self.check_remote(remote)?;
        let args = [&["ls-remote", "--quiet"], more, &["--upload-pack=git-upload-pack", "--", remote, name]].concat();
        let cmd = self.network(READ_TIME, &args);
        let output = self.run(&cmd, true)?;
        let answer = |why: &str| RepoError::Answer { call: call(&cmd), why: why.to_owned() };
        let mut found = None;
        for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line = std::str::from_utf8(line).map_err(|_| answer("a line that is not UTF-8"))?;
            let (id, found_name) = line.split_once('\t').ok_or_else(|| answer("a line without a name"))?;
            // The pattern also matches the end of longer names.
            if found_name == name {
                let id: Oid = id.parse().map_err(|_| answer("a line without an id"))?;
                self.objects.parse(&id)?;
                found = Some(id);
            }
        }
        Ok(found)
    }

    /// Brings the objects of one ref of `remote` here. No ref and no `FETCH_HEAD` is written.
    ///
    /// # Errors
    /// [`RepoError::NoRemote`]; those of git.
    pub fn fetch(&self, remote: &str, name: &str) -> Result<(), RepoError> {
        self.check_remote(remote)?;
        let cmd = self.network(
            TRANSFER_TIME,
            &[
                "-c",
                "fetch.writeCommitGraph=false",
                "-c",
                "transfer.bundleURI=false",
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-prune",
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--no-recurse-submodules",
                "--refmap=",
                "--upload-pack=git-upload-pack",
                "--",
                remote,
                name,
            ],
        );
        self.run(&cmd, true).map(drop)
    }

    /// Pushes exactly what `pass` names, then reads each ref back from the remote.
    ///
    /// Each ref must still hold there what the gate judged from, wherever the configuration makes the push go: a
    /// `pushurl` or `pushInsteadOf` may lead to another repository than the one that was asked. Nothing is forced: such a
    /// lease lets git do that, so what is no fast-forward of it is refused before.
    ///
    /// The hooks of `hooks` run, and no other; with `None` none.
    ///
    /// # Errors
    /// [`RepoError::Moved`] when an update is no fast-forward, or a ref does not hold afterwards what was pushed;
    /// [`RepoError::Declined`]; [`RepoError::Hook`]; those of git.
    pub fn push(&self, remote: &str, pass: Pass, hooks: Option<&Path>) -> Result<Pushed, RepoError> {
        self.check_remote(remote)?;
        let updates = pass.updates();
        if !updates.is_empty() {
            updates.iter().try_for_each(|update| self.check_fast_forward(update))?;
            let cmd = self.push_command(remote, updates, hooks)?;
            let output = self.host.run(&cmd).map_err(|error| self.explain(error))?;
            if !output.success() {
                let refused = declined(&output).or_else(|| hooks.and_then(|_| refused_by_hook(&output)));
                let stderr = [&output.stdout[..], &output.stderr].concat();
                return Err(refused.unwrap_or_else(|| failed(&cmd, &Output { stderr, ..output }, true)));
            }
        }
        let mut refs = Vec::with_capacity(updates.len());
        for update in updates {
            let is = self.ls_remote(remote, update.remote_ref())?.unwrap_or_else(|| self.objects.zero());
            if is != *update.new_id() {
                let name = escape(update.remote_ref().as_bytes());
                return Err(RepoError::Moved { name, expected: update.new_id().to_string(), is: is.to_string() });
            }
            refs.push((update.remote_ref().to_owned(), is));
        }
        drop(pass);
        Ok(Pushed { refs })
    }

    fn push_command(&self, remote: &str, updates: &[Approved], hooks: Option<&Path>) -> Result<Cmd, RepoError> {
        let mut hooks_path = std::ffi::OsString::from("core.hooksPath=");
        match hooks {
            Some(dir) => hooks_path.push(dir.canonicalize().map_err(RepoError::io(dir))?),
            None => hooks_path.push("/dev/null"),
        }
        let id = |id: &Oid| if id.is_zero() { String::new() } else { id.to_string() };
        let lease =
            |update: &Approved| format!("--force-with-lease={}:{}", update.remote_ref(), id(update.expected_old()));
        let refspec = |update: &Approved| format!("{}:{}", id(update.new_id()), update.remote_ref());
        let cmd = self.network(TRANSFER_TIME, &[]).arg("-c").arg(hooks_path).args([
            "-c",
            "push.gpgSign=false",
            "-c",
            "push.pushOption=",
            "push",
            "--quiet",
            "--porcelain",
            "--no-follow-tags",
            "--no-signed",
            "--recurse-submodules=no",
            "--receive-pack=git-receive-pack",
        ]);
        Ok(cmd.args(updates.iter().map(lease)).args(["--", remote]).args(updates.iter().map(refspec)))
    }

    fn check_fast_forward(&self, update: &Approved) -> Result<(), RepoError> {
        let (old, new) = (update.expected_old(), update.new_id());
        if old.is_zero() || new.is_zero() || is_ancestor(self.objects, old, new)? {
            return Ok(());
        }
        let name = escape(update.remote_ref().as_bytes());
        Err(RepoError::Moved { name, expected: new.to_string(), is: old.to_string() })
    }

    /// A remote is one that is configured: never a URL or an option that somebody slipped in.
    fn check_remote(&self, remote: &str) -> Result<(), RepoError> {
        let cmd = self.local(&["config", "--null", "--get-all", &format!("remote.{remote}.url")]);
        let is_name = !remote.is_empty() && !remote.starts_with('-');
        let output = self.host.run(&cmd)?;
        match output.status {
            host::Status::Exited(0) if is_name => Ok(()),
            host::Status::Exited(0 | 1) => Err(RepoError::NoRemote(escape(remote.as_bytes()))),
            _ => Err(failed(&cmd, &output, false)),
        }
    }
}

/// What the remote did not take, by git's report: `! <from>:<to> [remote rejected] (<why>)`, separated by tabs
/// (git-push(1), OUTPUT).
fn declined(output: &Output) -> Option<RepoError> {
    let declined = |line: &[u8]| {
        let mut fields = line.strip_prefix(b"!\t")?.splitn(2, |byte| *byte == b'\t');
        let name = fields.next()?.rsplit(|byte| *byte == b':').next()?;
        let why = fields.next()?.strip_prefix(b"[remote rejected] ")?;
        Some(format!("{} {}", escape(name), escape(why)))
    };
    let updates: Vec<_> = output.stdout.split(|byte| *byte == b'\n').filter_map(declined).collect();
    let said = escape_text(output.stderr_text().as_bytes());
    (!updates.is_empty()).then(|| RepoError::Declined { updates: updates.join(", "), said })
}

/// What was said of a push that a pre-push hook refused. Git has reached the remote by then: it exits with 1, not with
/// the 128 of a remote that it cannot reach, and reports no ref that was rejected (`transport_push` in its transport.c).
fn refused_by_hook(output: &Output) -> Option<RepoError> {
    let rejected = output.stdout.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"!\t"));
    let said = [output.stdout_text(), output.stderr_text()].join("\n");
    let is_refusal = output.status == host::Status::Exited(1) && !rejected;
    is_refusal.then(|| RepoError::Hook { said: escape_text(said.trim().as_bytes()) })
}
