//! The path of a repository: each has one spelling.

use super::UrlError;
use crate::show;

/// Decoded segments, none of them empty, and whether the last one had a `.git` at its end.
pub(super) struct Path {
    segments: Vec<String>,
    dot_git: bool,
}

impl Path {
    /// Reads a percent-encoded path.
    pub(super) fn from_url(text: &str) -> Result<Self, UrlError> {
        Self::new(parts(text).map(decode).collect::<Result<_, _>>()?)
    }

    /// Reads a path that stands for itself.
    pub(super) fn from_scp(text: &str) -> Result<Self, UrlError> {
        Self::new(parts(text).map(String::from).collect())
    }

    fn new(mut segments: Vec<String>) -> Result<Self, UrlError> {
        segments.iter().try_for_each(|segment| check(segment))?;
        if segments.first().is_some_and(|first| first.starts_with('-')) {
            return Err(UrlError::LeadingDash("path"));
        }
        let last = segments.last_mut().ok_or(UrlError::NoPath)?;
        let Some(name) = last.strip_suffix(".git") else { return Ok(Self { segments, dot_git: false }) };
        if name.strip_suffix(".git").is_some() {
            return Err(UrlError::GitTwice);
        }
        check(name)?;
        *last = name.to_owned();
        Ok(Self { segments, dot_git: true })
    }

    /// Percent-encoded, without `.git`.
    pub(super) fn canonical(&self) -> String {
        let segments: Vec<String> = self.segments.iter().map(|segment| encode(segment)).collect();
        segments.join("/")
    }

    /// As it stands, with `.git` where it was written.
    pub(super) fn literal(&self) -> String {
        self.segments.join("/") + self.suffix()
    }

    /// `.git` where it was written.
    pub(super) const fn suffix(&self) -> &'static str {
        if self.dot_git { ".git" } else { "" }
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split('/').filter(|part| !part.is_empty())
}

fn check(segment: &str) -> Result<(), UrlError> {
    if let Some(hidden) = segment.chars().find(|char| show::is_hidden(*char)) {
        return Err(UrlError::Hidden(hidden.escape_unicode().to_string()));
    }
    if segment.contains('\\') {
        return Err(UrlError::Backslash);
    }
    if matches!(segment, "." | "..") {
        return Err(UrlError::DotSegment);
    }
    if segment.eq_ignore_ascii_case(".git") { Err(UrlError::GitDirectory) } else { Ok(()) }
}

fn decode(part: &str) -> Result<String, UrlError> {
    let mut pieces = part.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or(UrlError::BadPercent)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(UrlError::BadPercent);
        }
        match u8::from_str_radix(digits, 16).map_err(|_| UrlError::BadPercent)? {
            b'/' => return Err(UrlError::EncodedSlash),
            byte => bytes.push(byte),
        }
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| UrlError::NotUtf8)
}

/// What RFC 3986 lets stand in a segment (`pchar`) stands for itself, all else is encoded. Servers decode a path
/// before they look for it, so that an encoded `+` is the same as a plain one.
fn encode(segment: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
    let bytes =
        segment.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    bytes.collect()
}
