//! Where the API is.
//!
//! **Invariant:** without TLS it is on this machine.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use outcome::Failure;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;

/// Where the API is when nobody says so and it has no socket here.
pub const DEFAULT: &str = "http://127.0.0.1:8000";

/// A name that every system has for loopback; whether its resolver knows that is not left to it.
pub(crate) const LOCALHOST: &str = "localhost";
/// What [`LOCALHOST`] is.
pub(crate) const LOOPBACK: [SocketAddr; 2] = [
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
    SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::LOCALHOST), 0),
];

/// What stands in a part of a path as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where the API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    url: Url,
    socket: Option<PathBuf>,
}

impl Base {
    /// `https://HOST`, `http://` and an address of loopback, or `unix:` and the path of a socket.
    ///
    /// # Errors
    /// Refused, class `insecure-api`, for `http://` to another machine; usage, class `bad-api`, for what is no such place.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let bad = |why: &str| {
            let next = "name it as https://HOST, http://127.0.0.1:PORT or unix:/PATH: --api or API_BASE";
            // Not the text: a password may be in it, however it is written.
            Failure::usage("bad-api", format!("the API's address: {why}"), next)
        };
        if let Some(path) = text.strip_prefix("unix:") {
            let socket = Path::new(path);
            let url = Url::parse("http://localhost").map_err(|error| bad(&error.to_string()))?;
            return if socket.is_absolute() {
                Ok(Self { url, socket: Some(socket.to_owned()) })
            } else {
                Err(bad("the path of a socket is absolute"))
            };
        }
        let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("a user is named by the token alone"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("there is something behind its path"));
        }
        match url.scheme() {
            "https" => Ok(Self { url, socket: None }),
            "http" if is_loopback(&url) => Ok(Self { url, socket: None }),
            "http" => {
                let reason = format!("{text} is another machine: a token would go there for all to read");
                Err(Failure::refused("insecure-api", reason, "name it as https://HOST, as `tailscale serve` serves it"))
            }
            _ => Err(bad("it is neither https nor http nor unix")),
        }
    }

    /// The one that was named; else the socket `own`, where there is one; else [`DEFAULT`].
    ///
    /// # Errors
    /// Those of [`Base::parse`].
    pub fn find(named: Option<&str>, own: Option<PathBuf>) -> Result<Self, Failure> {
        let base = Self::parse(named.unwrap_or(DEFAULT))?;
        Ok(match (named, own) {
            (None, Some(socket)) => Self { socket: Some(socket), ..base },
            _ => base,
        })
    }

    /// It is a socket.
    pub fn is_socket(&self) -> bool {
        self.socket.is_some()
    }

    /// It is on this machine: a port of loopback, or a socket.
    pub fn is_here(&self) -> bool {
        self.is_socket() || is_loopback(&self.url)
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    pub(crate) fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// The address of one operation.
    pub(crate) fn at(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.url.clone();
        let below = url.path().trim_end_matches('/').to_owned();
        let parts = path.iter().map(|part| format!("/{}", utf8_percent_encode(part, PLAIN)));
        url.set_path(&format!("{below}{}", parts.collect::<String>()));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    // An IPv6 address stands in brackets.
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == LOCALHOST || address.is_ok_and(|address| address.is_loopback())
}

/// As a person names it.
impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(socket) => write!(f, "unix:{}", socket.display()),
            None => f.write_str(self.url.as_str().trim_end_matches('/')),
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn the_socket_of_the_service_is_for_who_named_nothing_else() {
        let find = |named, own: Option<&str>| Base::find(named, own.map(PathBuf::from)).unwrap().to_string();
        let (port, own) = ("http://127.0.0.1:8000", Some("/state/api.sock"));
        assert_eq!((find(None, own).as_str(), find(None, None).as_str()), ("unix:/state/api.sock", DEFAULT));
        assert_eq!((find(Some(port), own).as_str(), find(Some("unix:/a"), own).as_str()), (port, "unix:/a"));
    }

    fn told(text: &str) -> String {
        match Base::parse(text) {
            Ok(base) => {
                let url = base.at(&["workers", "a/b c%", "drain"], &[("stream", "a&b".into())]);
                format!("{base} here: {} {url}", base.is_here())
            }
            Err(failure) => format!("{}: {}", failure.class, failure.reason),
        }
    }

    #[test]
    fn without_tls_it_is_on_this_machine() {
        let all: String = [
            "http://127.0.0.1:8000",
            "http://localhost:8000/",
            "http://[::1]:8000/runner/",
            "https://host.tailnet.ts.net/runner",
            "unix:/run/runner.sock",
            "http://10.0.0.1:8000",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://0.0.0.0:8000",
            "http://me:secret@127.0.0.1",
            "http://me:secret@10.0.0.1",
            "me:secret@127.0.0.1:8000",
            "//me:secret@127.0.0.1",
            "http://127.0.0.1/?a=b",
            "unix:run/runner.sock",
            "ftp://127.0.0.1",
            "127.0.0.1:8000",
            "",
        ]
        .map(|text| told(text) + "\n")
        .concat();
        assert!(!all.contains("secret"), "{all}");
        assert_snapshot!(all, @"
        http://127.0.0.1:8000 here: true http://127.0.0.1:8000/workers/a%2Fb%20c%25/drain?stream=a%26b
        http://localhost:8000 here: true http://localhost:8000/workers/a%2Fb%20c%25/drain?stream=a%26b
        http://[::1]:8000/runner here: true http://[::1]:8000/runner/workers/a%2Fb%20c%25/drain?stream=a%26b
        https://host.tailnet.ts.net/runner here: false https://host.tailnet.ts.net/runner/workers/a%2Fb%20c%25/drain?stream=a%26b
        unix:/run/runner.sock here: true http://localhost/workers/a%2Fb%20c%25/drain?stream=a%26b
        insecure-api: http://10.0.0.1:8000 is another machine: a token would go there for all to read
        insecure-api: http://localhost.example.com is another machine: a token would go there for all to read
        insecure-api: http://127.0.0.1.example.com is another machine: a token would go there for all to read
        insecure-api: http://0.0.0.0:8000 is another machine: a token would go there for all to read
        bad-api: the API's address: a user is named by the token alone
        bad-api: the API's address: a user is named by the token alone
        bad-api: the API's address: it is neither https nor http nor unix
        bad-api: the API's address: relative URL without a base
        bad-api: the API's address: there is something behind its path
        bad-api: the API's address: the path of a socket is absolute
        bad-api: the API's address: it is neither https nor http nor unix
        bad-api: the API's address: relative URL without a base
        bad-api: the API's address: relative URL without a base
        ");
    }
}
