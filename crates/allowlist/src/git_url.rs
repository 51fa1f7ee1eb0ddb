//! Every spelling of a Git URL becomes one; what only looks like another is refused with its own reason.
//!
//! | spelling | canonical |
//! |---|---|
//! | `git@GitHub.com:o/r.git`, `ssh://git@github.com:22//o/r.git/` | `ssh://git@github.com/o/r` |
//! | `HTTPS://GitHub.com:443/o/%72.git` | `https://github.com/o/r` |
//! | `http://localhost:8080/r` (loopback only: elsewhere anyone on the way chooses what is fetched) | itself |
//! | `file:///srv/git/r.git` | `file:///srv/git/r` |
//!
//! The scheme and the host are in lower case, a default port, slashes too many and one `.git` at the end are gone, and
//! the path is decoded and encoded again, so that each path has one spelling; its letter case stays. A user is kept
//! (`ssh://host/r` and `ssh://git@host/r` are two), and none is invented. As forges have it, and unlike a plain
//! OpenSSH server, `host:r` and `ssh://host/r` are one; for a path in a home directory write `ssh://host/~/r`.
//!
//! **Invariant:** the canonical form is ASCII, begins with one of four schemes, and parses to itself.
//! **Invariant:** no message holds a user, a password or the whole text.
//!
//! The `url` crate follows browsers, and they mend: `\` is `/`, tabs are dropped, `０x7f.1` is 127.0.0.1, `ｇithub.com`
//! is github.com. A gate refuses what would have to be mended, and Git reads the rest (scp-like forms, remote helpers)
//! by rules of its own. Hence this parser.

mod error;
mod host;
mod path;

use std::fmt;

pub use error::UrlError;

use crate::show;
use host::Authority;
use path::Path;

/// The longest URL, as written and in canonical form, in bytes.
pub const MAX_BYTES: usize = 1_024;

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// `https`
    Https,
    /// `http`, on loopback only
    Http,
    /// `ssh`, also the scp-like form
    Ssh,
    /// `file`: a directory of this machine
    File,
}

impl Scheme {
    /// In lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }

    /// The port that is meant where none is written.
    pub const fn default_port(self) -> Option<u16> {
        match self {
            Self::Https => Some(443),
            Self::Http => Some(80),
            Self::Ssh => Some(22),
            Self::File => None,
        }
    }
}

/// The URL of a repository. Two are equal when their canonical forms are.
#[derive(Debug, Clone)]
pub struct GitUrl {
    scheme: Scheme,
    host: Option<String>,
    port: Option<u16>,
    canonical: String,
    fetch: String,
}

impl GitUrl {
    /// Reads one URL.
    ///
    /// # Errors
    /// [`UrlError`] for all that is not plainly a repository's URL.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if let Some(helper) = remote_helper(text) {
            return Err(UrlError::RemoteHelper(show::clip(helper, 40)));
        }
        check_text(text)?;
        let url = match text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
            Some((scheme, rest)) => Self::from_url(scheme, rest),
            None => Self::from_scp(text),
        }?;
        if url.canonical.len() > MAX_BYTES { Err(UrlError::TooLong) } else { Ok(url) }
    }

    /// The canonical form: what is compared, hashed and recorded.
    pub fn as_str(&self) -> &str {
        &self.canonical
    }

    /// What git is to be given: the canonical form, but with `.git` at the end and in scp-like form where it was
    /// written so, since not every server takes one for the other.
    pub fn fetch_str(&self) -> &str {
        &self.fetch
    }

    /// How the repository is reached.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host in lower case, an IPv6 address in brackets; `None` with [`Scheme::File`].
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The port, where it is not the default one.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    fn from_url(scheme: &str, rest: &str) -> Result<Self, UrlError> {
        let scheme = known_scheme(scheme)?;
        let (authority, path) = rest.split_once('/').ok_or(UrlError::NoPath)?;
        if scheme == Scheme::File {
            if !authority.is_empty() {
                return Err(UrlError::FileHost);
            }
            let path = Path::from_url(path)?;
            return Ok(Self::new(scheme, None, &path));
        }
        let mut authority = Authority::with_port(authority)?;
        if authority.user.is_some() && scheme != Scheme::Ssh {
            return Err(UrlError::UserInHttp);
        }
        if scheme == Scheme::Http && !authority.is_loopback() {
            return Err(UrlError::PlainHttp);
        }
        authority.port = authority.port.filter(|port| Some(*port) != scheme.default_port());
        let path = Path::from_url(path)?;
        Ok(Self::new(scheme, Some(authority), &path))
    }

    /// `[user@]host:path`: git takes the path as it stands, without decoding it.
    fn from_scp(text: &str) -> Result<Self, UrlError> {
        let (authority, path) = split_scp(text).ok_or(UrlError::LocalPath)?;
        if SCHEMES_OF_GIT.contains(&authority.to_ascii_lowercase().as_str()) {
            return Err(UrlError::MissingSlashes(show::clip(authority, 40)));
        }
        if !authority.contains('@') && path.split('/').next().is_some_and(|first| first.contains('@')) {
            return Err(UrlError::Password);
        }
        let authority = Authority::without_port(authority)?;
        let (root, segments) = (if path.starts_with('/') { "/" } else { "" }, Path::from_scp(path)?);
        let fetch = format!("{authority}:{root}{}", segments.literal());
        Ok(Self { fetch, ..Self::new(Scheme::Ssh, Some(authority), &segments) })
    }

    fn new(scheme: Scheme, authority: Option<Authority>, path: &Path) -> Self {
        let shown = authority.as_ref().map(ToString::to_string).unwrap_or_default();
        let canonical = format!("{}://{shown}/{}", scheme.as_str(), path.canonical());
        let fetch = format!("{canonical}{}", path.suffix());
        let port = authority.as_ref().and_then(|authority| authority.port);
        Self { scheme, host: authority.map(|authority| authority.host), port, canonical, fetch }
    }
}

impl PartialEq for GitUrl {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl Eq for GitUrl {}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical)
    }
}

/// What git or a reader would take for the scheme of a URL whose slashes were forgotten.
const SCHEMES_OF_GIT: [&str; 10] =
    ["file", "ftp", "ftps", "git", "git+ssh", "http", "https", "rsync", "ssh", "ssh+git"];

fn check_text(text: &str) -> Result<(), UrlError> {
    if text.is_empty() {
        return Err(UrlError::Empty);
    }
    if text.len() > MAX_BYTES {
        return Err(UrlError::TooLong);
    }
    if text.starts_with('-') {
        return Err(UrlError::LeadingDash("URL"));
    }
    text.chars().try_for_each(|char| match char {
        char if char.is_whitespace() => Err(UrlError::WhiteSpace),
        char if show::is_hidden(char) => Err(UrlError::Hidden(char.escape_unicode().to_string())),
        '\\' => Err(UrlError::Backslash),
        '?' => Err(UrlError::Query),
        '#' => Err(UrlError::Fragment),
        _ => Ok(()),
    })
}

/// The `ext` of `ext::sh -c …`: git would run `git-remote-ext`.
fn remote_helper(text: &str) -> Option<&str> {
    let (name, _) = text.split_once("::")?;
    is_scheme(name).then_some(name)
}

fn is_scheme(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.bytes().all(plain)
}

fn known_scheme(text: &str) -> Result<Scheme, UrlError> {
    match text.to_ascii_lowercase().as_str() {
        "https" => Ok(Scheme::Https),
        "http" => Ok(Scheme::Http),
        "ssh" => Ok(Scheme::Ssh),
        "file" => Ok(Scheme::File),
        "git" => Err(UrlError::GitProtocol),
        other => Err(UrlError::OtherTransport(show::clip(other, 40))),
    }
}

/// At the first colon that is not within brackets, unless a slash comes before it.
fn split_scp(text: &str) -> Option<(&str, &str)> {
    let colon = text.find(':')?;
    let at = if text[..colon].contains('[') { text.find("]:")? + 1 } else { colon };
    let (authority, path) = (&text[..at], &text[at + 1..]);
    (!authority.contains('/')).then_some((authority, path))
}
