//! `[user@]host[:port]`: ASCII, in lower case, with one spelling of each address.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::UrlError;
use crate::show;

const MAX_USER: usize = 64;
/// The longest name of DNS, in bytes (RFC 1035, section 2.3.4, without the length bytes).
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

pub(super) struct Authority {
    pub(super) user: Option<String>,
    /// In lower case; an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Authority {
    pub(super) fn with_port(text: &str) -> Result<Self, UrlError> {
        let (user, rest) = split_user(text)?;
        let (host, port) = split_port(rest)?;
        Ok(Self { user, host: read_host(host)?, port: port.map(read_port).transpose()? })
    }

    pub(super) fn without_port(text: &str) -> Result<Self, UrlError> {
        let (user, host) = split_user(text)?;
        Ok(Self { user, host: read_host(host)?, port: None })
    }

    pub(super) fn is_loopback(&self) -> bool {
        let ipv4 = || self.host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
        self.host == "localhost" || self.host == "[::1]" || ipv4()
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn split_user(text: &str) -> Result<(Option<String>, &str), UrlError> {
    let Some((user, host)) = text.rsplit_once('@') else { return Ok((None, text)) };
    if user.contains(':') {
        return Err(UrlError::Password);
    }
    if user.contains('@') {
        return Err(UrlError::SecondAt);
    }
    if user.starts_with('-') {
        return Err(UrlError::LeadingDash("user"));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if user.is_empty() || user.len() > MAX_USER || !user.bytes().all(plain) {
        return Err(UrlError::BadUser);
    }
    Ok((Some(user.into()), host))
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), UrlError> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(UrlError::OpenBracket)?;
        let (host, rest) = text.split_at(end + 1);
        return match rest.strip_prefix(':') {
            None if rest.is_empty() => Ok((host, None)),
            None => Err(UrlError::BadPort(show::ascii(rest, 40))),
            Some(port) => Ok((host, Some(port))),
        };
    }
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((_, port)) if port.contains(':') => Err(UrlError::BareIpv6),
        Some((host, port)) => Ok((host, Some(port))),
    }
}

fn read_port(text: &str) -> Result<u16, UrlError> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let port = text.parse().ok().filter(|_| plain);
    port.ok_or_else(|| UrlError::BadPort(show::ascii(text, 40)))
}

fn read_host(text: &str) -> Result<String, UrlError> {
    if text.is_empty() {
        return Err(UrlError::NoHost);
    }
    if !text.is_ascii() {
        return Err(UrlError::ForeignHost(show::ascii(text, 80)));
    }
    if text.contains('%') {
        return Err(UrlError::EncodedHost);
    }
    if text.starts_with('-') {
        return Err(UrlError::LeadingDash("host"));
    }
    if let Some(address) = text.strip_prefix('[') {
        return read_ipv6(address.strip_suffix(']').unwrap_or(address));
    }
    if text.ends_with('.') {
        return Err(UrlError::TrailingDot);
    }
    let host = text.to_ascii_lowercase();
    if host.len() > MAX_HOST || !host.split('.').all(is_label) {
        return Err(UrlError::BadHost(show::clip(&host, 80)));
    }
    if host.rsplit('.').next().is_some_and(is_number) && host.parse::<Ipv4Addr>().is_err() {
        return Err(UrlError::OddIpv4(show::clip(&host, 80)));
    }
    Ok(host)
}

fn read_ipv6(text: &str) -> Result<String, UrlError> {
    let address: Ipv6Addr = text.parse().map_err(|_| UrlError::BadIpv6(show::ascii(text, 80)))?;
    match address.to_ipv4_mapped() {
        Some(_) => Err(UrlError::MappedIpv4),
        None => Ok(format!("[{address}]")),
    }
}

fn is_label(label: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// What a resolver may take for a part of an address (WHATWG URL, "ends in a number").
fn is_number(label: &str) -> bool {
    label.bytes().all(|byte| byte.is_ascii_digit())
        || label.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
