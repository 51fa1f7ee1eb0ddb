//! The acts of git: argument vectors in a cleaned environment, with hooks, filters and helpers off.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use host::{Cmd, Host, HostError, Output, says_full};
use review_bundle::{escape, escape_text};
use rustix::fs::statvfs;
use verdict::Oid;

use crate::commit::Commit;
use crate::error::RepoError;
use crate::head::Head;
use crate::object::Objects;
use crate::open::Repo;
use crate::tree::{DIRECTORY, Tree};

/// Who makes the commits of this program, in the form of `GIT_AUTHOR_NAME` and `GIT_AUTHOR_EMAIL`.
const IDENTITY: (&str, &str) = ("ai-ops-runner", "ai-ops-runner@localhost");

/// What of the parent's environment an act over the network may need: where credentials and proxies are. No key of a
/// model is among them.
const NETWORK: &[&str] = &[
    "ALL_PROXY",
    "DBUS_SESSION_BUS_ADDRESS",
    "GH_CONFIG_DIR",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "GIT_ASKPASS",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSL_CAINFO",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LOGNAME",
    "NO_PROXY",
    "SSH_AGENT_PID",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "USER",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// More output than any act has.
const OUTPUT: usize = 64 << 20;
const LOCAL_TIME: Duration = Duration::from_secs(120);

/// Git in one repository.
pub struct Git<'a> {
    pub(crate) host: &'a dyn Host,
    pub(crate) objects: &'a Objects,
    dir: PathBuf,
    metadata: PathBuf,
    common: PathBuf,
    work_dir: Option<PathBuf>,
}

/// One path to be changed in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Raw bytes, components joined by `/`.
    pub path: Vec<u8>,
    /// Mode and content; `None` takes the path away.
    pub file: Option<(u32, Vec<u8>)>,
}

impl<'a> Git<'a> {
    /// Git in `repo`, run by `host`.
    pub fn new(repo: &'a Repo, host: &'a dyn Host) -> Self {
        let absolute = |path: &std::path::Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let git_dir = absolute(repo.git_dir());
        let work_dir = repo.work_dir().map(absolute);
        let dir = work_dir.clone().unwrap_or_else(|| git_dir.clone());
        Self { host, objects: repo.objects(), dir, metadata: git_dir, common: repo.common_dir(), work_dir }
    }

    /// A call that touches this machine alone: no configuration but the repository's.
    pub(crate) fn local(&self, args: &[&str]) -> Cmd {
        self.command()
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .args(args.iter().copied())
            .timeout(LOCAL_TIME)
    }

    /// A call that talks to a remote: with the user's configuration and credentials.
    pub(crate) fn network(&self, time: Duration, args: &[&str]) -> Cmd {
        self.command()
            .inherit(NETWORK)
            .args(["-c", "protocol.ext.allow=never"])
            .args(args.iter().copied())
            .timeout(time)
    }

    fn command(&self) -> Cmd {
        let off = [
            "core.hooksPath=/dev/null",
            "core.fsmonitor=false",
            "gc.auto=0",
            "maintenance.auto=false",
            // Git says so whenever the graft file is named, also when that switches grafts off.
            "advice.graftFileDeprecated=false",
        ];
        let cmd = Cmd::new("git")
            .dir(&self.dir)
            .env("GIT_DIR", &self.metadata)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_GRAFT_FILE", "/dev/null")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
            .output_cap(OUTPUT)
            .args(["--no-pager", "--literal-pathspecs"])
            .args(off.iter().flat_map(|setting| ["-c", setting]));
        match &self.work_dir {
            Some(work_dir) => cmd.env("GIT_WORK_TREE", work_dir),
            None => cmd,
        }
    }

    /// Runs to success, with all of the output.
    pub(crate) fn run(&self, cmd: &Cmd, network: bool) -> Result<Output, RepoError> {
        let output = self.host.run(cmd).map_err(|error| self.explain(error))?;
        if !output.success() {
            return Err(failed(cmd, &output, network));
        }
        if output.cut {
            return Err(RepoError::Answer { call: call(cmd), why: format!("more than {OUTPUT} bytes") });
        }
        Ok(output)
    }

    pub(crate) fn explain(&self, error: HostError) -> RepoError {
        match error {
            HostError::Io { path, source } if path == self.dir => RepoError::Io { path, source },
            error => error.into(),
        }
    }

    /// Runs a local act that answers one id.
    fn id(&self, cmd: &Cmd) -> Result<Oid, RepoError> {
        let output = self.run(cmd, false)?;
        let answer = |why: String| RepoError::Answer { call: call(cmd), why };
        let id: Oid = output.stdout_text().parse().map_err(|error| answer(format!("{error}")))?;
        self.objects.parse(&id)?;
        Ok(id)
    }

    /// What Git's revision syntax stands for; `None` when nothing, or not one thing.
    pub(crate) fn rev_parse(&self, revision: &str) -> Result<Option<Oid>, RepoError> {
        if revision.is_empty() || revision.contains(['\0', '\n']) {
            return Ok(None);
        }
        let named = format!("{revision}^{{commit}}");
        let cmd = self.local(&["rev-parse", "--verify", "--quiet", "--end-of-options", &named]);
        let output = self.host.run(&cmd)?;
        Ok(if output.success() { output.stdout_text().parse().ok() } else { None })
    }

    /// The full name of the ref that `branch`, a full name too, follows; `None` when it follows none.
    ///
    /// # Errors
    /// Those of git.
    pub fn upstream(&self, branch: &str) -> Result<Option<String>, RepoError> {
        let output = self.run(&self.local(&["for-each-ref", "--format=%(upstream)", branch]), false)?;
        Ok(Some(output.stdout_text()).filter(|name| !name.is_empty()))
    }

    /// Environment that switches every filter of the repository's configuration off. Their names come from files, so
    /// they are listed first; listing runs nothing.
    pub(crate) fn without_filters(&self, cmd: Cmd) -> Result<Cmd, RepoError> {
        let list = self.local(&["config", "--null", "--name-only", "--get-regexp", r"^filter\."]);
        let output = self.host.run(&list)?;
        let names: Vec<&[u8]> = match output.status {
            host::Status::Exited(0) if !output.cut => output.stdout.split(|byte| *byte == 0).collect(),
            host::Status::Exited(1) => Vec::new(),
            _ => return Err(failed(&list, &output, false)),
        };
        let mut drivers: Vec<&[u8]> =
            names.iter().filter_map(|name| name.rsplitn(2, |byte| *byte == b'.').nth(1)).collect();
        drivers.sort_unstable();
        drivers.dedup();
        let settings = drivers.iter().flat_map(|driver| {
            [("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")].map(|(key, value)| {
                (OsStr::from_bytes(&[driver, &b"."[..], key.as_bytes()].concat()).to_owned(), value)
            })
        });
        Ok(configured(cmd, settings))
    }

    /// Whether attributes are set that no commit has, in `info/attributes`.
    pub(crate) fn attributes_of_its_own(&self) -> bool {
        self.common.join("info/attributes").symlink_metadata().is_ok()
    }

    /// Makes a tree out of `base` and the edits. Objects are written, nothing else.
    ///
    /// # Errors
    /// [`RepoError::Hostile`] for an edit below something that is no directory; those of git.
    pub fn edit_tree(&self, base: &Oid, edits: &[Edit]) -> Result<Oid, RepoError> {
        let mut edits: Vec<(&[u8], &Edit)> = edits.iter().map(|edit| (&edit.path[..], edit)).collect();
        let names = |path: &'_ [u8]| path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
        edits.sort_by_cached_key(|(path, _)| names(path));
        let base = Tree::read(self.objects, &self.objects.parse(base)?)?;
        Ok(self.edited(&base, &edits)?.unwrap_or_else(|| self.objects.empty_tree()))
    }

    /// The id of the edited directory; `None` when nothing is left in it.
    fn edited(&self, base: &Tree, edits: &[(&[u8], &Edit)]) -> Result<Option<Oid>, RepoError> {
        let mut entries: Vec<(u32, Vec<u8>, Oid)> =
            base.0.iter().map(|entry| (entry.mode, entry.name.clone(), entry.id())).collect();
        for group in edits.chunk_by(|(a, _), (b, _)| first(a) == first(b)) {
            let name = first(group[0].0);
            entries.retain(|(_, known, _)| known != name);
            entries.extend(self.edited_entry(base, name, group)?);
        }
        if entries.is_empty() { Ok(None) } else { self.mktree(&entries).map(Some) }
    }

    fn edited_entry(
        &self,
        base: &Tree,
        name: &[u8],
        group: &[(&[u8], &Edit)],
    ) -> Result<Option<(u32, Vec<u8>, Oid)>, RepoError> {
        let (own, below): (Vec<_>, Vec<_>) = group.iter().partition(|(path, _)| *path == name);
        let own = own.first().map(|(_, edit)| &edit.file);
        let adds = below.iter().any(|(_, edit)| edit.file.is_some());
        if let Some(Some((mode, content))) = own {
            return if adds {
                Err(RepoError::hostile(name, "is to be a file and a directory"))
            } else {
                Ok(Some((*mode, name.to_vec(), self.write_blob(content)?)))
            };
        }
        let tree = match base.find(name) {
            Some(entry) if entry.is_tree() => Tree::read(self.objects, &entry.id)?,
            Some(_) if own.is_none() && adds => return Err(RepoError::hostile(name, "is not a directory")),
            Some(entry) if own.is_none() => return Ok(Some((entry.mode, name.to_vec(), entry.id()))),
            _ => Tree::default(),
        };
        let below: Vec<_> = below.iter().map(|(path, edit)| (&path[name.len() + 1..], *edit)).collect();
        Ok(self.edited(&tree, &below)?.map(|id| (DIRECTORY, name.to_vec(), id)))
    }

    fn write_blob(&self, content: &[u8]) -> Result<Oid, RepoError> {
        self.id(&self.local(&["hash-object", "-w", "--stdin", "--no-filters"]).stdin(content))
    }

    fn mktree(&self, entries: &[(u32, Vec<u8>, Oid)]) -> Result<Oid, RepoError> {
        let mut input = Vec::new();
        for (mode, name, id) in entries {
            let kind = match mode & crate::tree::TYPE {
                DIRECTORY => "tree",
                crate::tree::SUBMODULE => "commit",
                _ => "blob",
            };
            input.extend_from_slice(format!("{mode:06o} {kind} {id}\t").as_bytes());
            input.extend_from_slice(name);
            input.push(0);
        }
        self.id(&self.local(&["mktree", "-z", "--missing"]).stdin(input))
    }

    /// Writes a commit of `tree` on `parent`: by this program, dated as the parent, so that the same call gives the
    /// same id. No ref is touched.
    ///
    /// # Errors
    /// Those of git.
    pub fn commit(&self, parent: &Oid, tree: &Oid, message: &str) -> Result<Oid, RepoError> {
        let date = format!("{} +0000", Commit::read(self.objects, parent)?.time().max(0));
        let (name, mail) = IDENTITY;
        let args = ["-c", "commit.gpgSign=false", "-c", "i18n.commitEncoding=UTF-8"];
        let commit = ["commit-tree", "--no-gpg-sign", "-p", parent.as_str(), "-F", "-", tree.as_str()];
        let mut cmd = self.local(&[&args[..], &commit].concat()).stdin(message.as_bytes());
        for (role, date) in [("AUTHOR", &date), ("COMMITTER", &date)] {
            cmd = cmd
                .env(format!("GIT_{role}_NAME"), name)
                .env(format!("GIT_{role}_EMAIL"), mail)
                .env(format!("GIT_{role}_DATE"), format!("@{date}"));
        }
        self.id(&cmd)
    }

    /// Takes the branch that `repo` is on, and its work tree, from `expected` forward to `new`.
    ///
    /// # Errors
    /// [`RepoError::Moved`] when the branch is elsewhere; [`RepoError::BadRef`] on no branch; those of git, such as a
    /// changed file that would be overwritten: then nothing was changed.
    pub fn fast_forward(&self, repo: &Repo, expected: &Oid, new: &Oid) -> Result<(), RepoError> {
        let head = repo.head()?;
        let Head::Branch { name, id } = head else {
            return Err(RepoError::BadRef { name: "HEAD".into(), why: "is on no branch".into() });
        };
        if id == *new {
            return Ok(());
        }
        if id != *expected {
            let [expected, is] = [expected, &id].map(ToString::to_string);
            return Err(RepoError::Moved { name, expected, is });
        }
        let cmd = match self.work_dir {
            Some(_) => self.without_filters(self.local(&[
                "-c",
                "merge.verifySignatures=false",
                "-c",
                "submodule.recurse=false",
                "merge",
                "--ff-only",
                "--quiet",
                "--no-stat",
                "--no-autostash",
                new.as_str(),
            ]))?,
            None => self.local(&["update-ref", &name, new.as_str(), expected.as_str()]),
        };
        self.run(&cmd, false)?;
        match repo.reference(&name)? {
            Some(is) if is == *new => Ok(()),
            is => {
                let is = is.map_or_else(|| "gone".to_owned(), |id| id.to_string());
                Err(RepoError::Moved { name, expected: new.to_string(), is })
            }
        }
    }
}

fn first(path: &[u8]) -> &[u8] {
    path.split(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Sets configuration by the environment, where names may hold any character.
fn configured(cmd: Cmd, settings: impl Iterator<Item = (OsString, &'static str)>) -> Cmd {
    let mut count = 0;
    let mut cmd = cmd;
    for (name, value) in settings {
        cmd = cmd.env(format!("GIT_CONFIG_KEY_{count}"), name).env(format!("GIT_CONFIG_VALUE_{count}"), value);
        count += 1;
    }
    cmd.env("GIT_CONFIG_COUNT", count.to_string())
}

pub(crate) fn failed(cmd: &Cmd, output: &Output, network: bool) -> RepoError {
    let said = output.stderr_text();
    let (call, status, stderr) = (call(cmd), output.status.to_string(), escape_text(said.as_bytes()));
    // What the remote lacks is the remote's.
    let ours = said.lines().filter(|line| !line.starts_with("remote:")).any(says_full);
    if ours || !network && cmd.variable("GIT_DIR").is_some_and(is_full) {
        return RepoError::Full { call, status, stderr };
    }
    RepoError::Git { call, status, stderr, network }
}

/// Git does not always say why it could not write a file.
fn is_full(dir: &OsStr) -> bool {
    statvfs(dir).is_ok_and(|disk| disk.f_blocks > 0 && disk.f_bavail == 0)
}

/// The call without its settings, as a person would read it.
pub(crate) fn call(cmd: &Cmd) -> String {
    let mut text = String::from("git");
    let mut args = cmd.arguments().iter().skip_while(|arg| arg.as_bytes().starts_with(b"--"));
    while let Some(arg) = args.next() {
        if arg == "-c" {
            args.next();
        } else {
            _ = write!(text, " {}", escape(arg.as_bytes()));
        }
    }
    text
}
