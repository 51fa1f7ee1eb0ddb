//! Fetching a mirror by git, and asking a remote what it has: one protocol, no configuration but ours, no hook, every object checked that comes in a pack.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use host::{Cmd, Host, Output, Status, says_full};
use review_bundle::{escape, escape_text};
use rustix::fs::statvfs;
use verdict::Oid;

use crate::error::WorktreeError;
use crate::known_hosts;

/// How long a whole fetch may take.
const TIME: Duration = Duration::from_secs(900);
/// How long a remote may take to say what a ref holds.
const ASK_TIME: Duration = Duration::from_secs(60);
/// How long a connection may take, in seconds.
const CONNECT_SECONDS: u32 = 20;

/// What an access over the network may need of the program's environment: where the certificates, the proxy, the
/// passwords of `.netrc` and the agent are.
const NETWORK: [&str; 14] = [
    "ALL_PROXY",
    "GIT_SSL_CAINFO",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// A repository as the allowlist has it.
#[derive(Debug, Clone, Copy)]
pub struct Remote<'a> {
    /// The canonical URL: https, http, ssh, or file, whichever of them the allowlist takes.
    pub url: &'a str,
    /// The same as git is given it, since not every server takes the canonical form.
    pub fetch: &'a str,
    /// The public keys of an SSH server: `TYPE BASE64`.
    pub ssh_host_keys: &'a [String],
    /// The file of the private key for SSH; without it the agent's keys and the user's own.
    pub ssh_identity: Option<&'a str>,
}

impl Remote<'_> {
    pub(crate) fn shown(&self) -> String {
        escape(self.url.as_bytes())
    }

    pub(crate) fn protocol(&self) -> Result<&'static str, WorktreeError> {
        let known = ["https", "http", "ssh", "file"].into_iter();
        let mut named = known.filter(|name| self.url.strip_prefix(name).is_some_and(|rest| rest.starts_with("://")));
        let is_plain = [self.url, self.fetch].iter().all(|url| url.bytes().all(|byte| byte.is_ascii_graphic()));
        named.next().filter(|_| is_plain).ok_or_else(|| WorktreeError::Protocol { url: self.shown() })
    }
}

/// Brings all branches and tags of `remote` to the mirror in `dir`, and takes away those that the remote no longer has.
/// `beside` is the path of files of ours for git and ssh.
pub(crate) fn fetch(host: &dyn Host, remote: &Remote<'_>, dir: &Path, beside: &Path) -> Result<(), WorktreeError> {
    let fetch = [
        "fetch",
        "--quiet",
        "--force",
        "--prune",
        "--no-tags",
        "--no-write-fetch-head",
        "--no-recurse-submodules",
        "--no-auto-maintenance",
        "--no-show-forced-updates",
        "--upload-pack=git-upload-pack",
    ];
    let cmd = command(host, remote, dir, beside)?.timeout(TIME).args(fetch);
    let cmd = cmd.args(["--", remote.fetch, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]);
    let output = host.run(&cmd)?;
    if output.success() { Ok(()) } else { Err(explain(remote, dir, &output)) }
}

/// What a ref of `remote` holds now, by its full name; `HEAD` is its default branch. `None` when it has no such ref.
/// `scratch` is a directory for files of ours.
///
/// # Errors
/// [`WorktreeError::Fetch`] and what else keeps a remote from being asked.
pub fn tip(host: &dyn Host, remote: &Remote<'_>, name: &str, scratch: &Path) -> Result<Option<Oid>, WorktreeError> {
    let ask = ["ls-remote", "--quiet", "--upload-pack=git-upload-pack", "--", remote.fetch, name];
    let cmd = command(host, remote, scratch, &scratch.join("remote"))?.timeout(ASK_TIME).args(ask);
    let output = host.run(&cmd)?;
    if !output.success() {
        return Err(explain(remote, scratch, &output));
    }
    let text = output.stdout_text();
    // The pattern also matches the end of longer names.
    let found = text.lines().filter_map(|line| line.split_once('\t')).find(|(_, found)| *found == name);
    let id = found.map(|(id, _)| id.parse().map_err(|_| explain(remote, scratch, &output)));
    id.transpose()
}

/// Git that may reach `remote` and nothing else.
fn command(host: &dyn Host, remote: &Remote<'_>, dir: &Path, beside: &Path) -> Result<Cmd, WorktreeError> {
    let protocol = remote.protocol()?;
    let settings = [
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        // The allowlist says which server is asked, not the server.
        "http.followRedirects=false",
        // A server that says nothing for so long, in seconds, is gone.
        "http.lowSpeedLimit=1",
        "http.lowSpeedTime=60",
        "protocol.allow=never",
        &format!("protocol.{protocol}.allow=always"),
        "fetch.fsckObjects=true",
        "transfer.fsckObjects=true",
        "transfer.bundleURI=false",
        "fetch.writeCommitGraph=false",
        "gc.auto=0",
        "maintenance.auto=false",
    ];
    let cmd = git(dir, &settings).inherit(&NETWORK).env("GIT_TERMINAL_PROMPT", "0");
    match protocol {
        "ssh" => {
            let known = beside.with_extension("known_hosts");
            host.write_atomic(&known, pinned(remote)?.as_bytes(), 0o600)?;
            Ok(cmd.env("GIT_SSH_COMMAND", ssh(&known, remote.ssh_identity)).env("GIT_SSH_VARIANT", "ssh"))
        }
        "file" => {
            let config = beside.with_extension("gitconfig");
            host.write_atomic(&config, &safe_directory(remote.url), 0o600)?;
            Ok(cmd.env("GIT_CONFIG_GLOBAL", config))
        }
        _ => Ok(cmd),
    }
}

/// Git in a mirror, with no configuration but the mirror's and `settings`.
pub(crate) fn git(dir: &Path, settings: &[&str]) -> Cmd {
    Cmd::new("git")
        .dir(dir)
        .env("GIT_DIR", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_GRAFT_FILE", "/dev/null")
        .env("LC_ALL", "C")
        // Git says so whenever the graft file is named, also when that switches grafts off.
        .args(["--no-pager", "-c", "advice.graftFileDeprecated=false"])
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
}

fn pinned(remote: &Remote<'_>) -> Result<String, WorktreeError> {
    let url = remote.shown();
    if remote.ssh_host_keys.is_empty() {
        return Err(WorktreeError::HostKeyMissing { url });
    }
    known_hosts::lines(remote.url, remote.ssh_host_keys).ok_or(WorktreeError::HostKeyMalformed { url })
}

/// The command as the shell reads it, by which git runs it.
fn ssh(known: &Path, identity: Option<&str>) -> String {
    let mut command = format!(
        "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile={} \
         -o GlobalKnownHostsFile=/dev/null -o UpdateHostKeys=no -o VerifyHostKeyDNS=no -o ForwardAgent=no \
         -o ForwardX11=no -o PermitLocalCommand=no -o ConnectTimeout={CONNECT_SECONDS} \
         -o ServerAliveInterval=20 -o ServerAliveCountMax=3",
        quoted(&value(&known.display().to_string())),
    );
    if let Some(identity) = identity {
        _ = write!(command, " -o IdentitiesOnly=yes -o IdentityFile={}", quoted(&value(identity)));
    }
    command
}

/// A path as ssh itself reads it, which splits at blanks that are not quoted and takes `%` for the beginning of a token.
fn value(path: &str) -> String {
    format!("\"{}\"", path.replace('%', "%%"))
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// git serves a repository of another owner only if the user's configuration says so, by the path that the URL is of.
fn safe_directory(url: &str) -> Vec<u8> {
    let path: Vec<u8> = decoded(url.strip_prefix("file://").unwrap_or(url)).into_iter().flat_map(in_quotes).collect();
    let each = ["", "/.git", ".git"].map(|end| [b"\tdirectory = \"", &path[..], end.as_bytes(), b"\"\n"].concat());
    [&b"[safe]\n"[..], &each.concat()].concat()
}

/// A byte as it stands between the quotes of git's configuration.
fn in_quotes(byte: u8) -> Vec<u8> {
    match byte {
        b'\n' => b"\\n".to_vec(),
        b'"' | b'\\' => vec![b'\\', byte],
        _ => vec![byte],
    }
}

/// The bytes that a part of a URL stands for.
fn decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => bytes.extend([&[byte], &part.as_bytes()[2..]].concat()),
            None => bytes.extend([b"%", part.as_bytes()].concat()),
        }
    }
    bytes
}

fn explain(remote: &Remote<'_>, dir: &Path, output: &Output) -> WorktreeError {
    let text = output.stderr_text();
    let (url, said) = (remote.shown(), escape_text(text.as_bytes()));
    let has = |words: &[&str]| words.iter().any(|words| text.contains(words));
    // What the remote lacks is the remote's.
    let ours = text.lines().filter(|line| !line.starts_with("remote:")).any(says_full);
    if output.status == Status::Cancelled {
        WorktreeError::Cancelled
    } else if ours || statvfs(dir).is_ok_and(|disk| disk.f_blocks > 0 && disk.f_bavail == 0) {
        WorktreeError::Full(said)
    } else if has(&["Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
        WorktreeError::HostKeyMismatch { url, said }
    } else if has(&[
        "Permission denied (",
        "Authentication failed",
        "could not read Username",
        "could not read Password",
    ]) {
        WorktreeError::Denied { url, said }
    } else if has(&["fsck error", "fsckObjects", "pack has bad object", "is malformed", "malformed object"]) {
        WorktreeError::BadObjects { url, said }
    } else {
        WorktreeError::Fetch { url, status: output.status.to_string(), said }
    }
}
