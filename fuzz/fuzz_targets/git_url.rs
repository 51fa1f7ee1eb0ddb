//! A URL is refused, or canonical: ASCII, of a known scheme, no option, without a secret, and it parses to itself.

#![no_main]

use allowlist::{GitUrl, Scheme};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(url) = GitUrl::parse(text) else { return };
    let canonical = url.as_str();
    assert!(canonical.bytes().all(|byte| byte.is_ascii_graphic()), "{canonical}");
    assert!(!canonical.contains(['\\', '?', '#']) && !canonical.ends_with('/'), "{canonical}");
    let (scheme, rest) = canonical.split_once("://").expect("a scheme");
    assert_eq!(scheme, url.scheme().as_str());
    let (authority, path) = rest.split_once('/').expect("a path");
    assert!(path.split('/').all(|part| !matches!(part, "" | "." | ".." | ".git")), "{canonical}");
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    assert_eq!(url.host().is_none(), url.scheme() == Scheme::File);
    assert!(host.starts_with(url.host().unwrap_or_default()) && host == host.to_ascii_lowercase(), "{canonical}");
    for part in [authority, host, path, url.fetch_str()] {
        assert!(!part.starts_with('-'), "{canonical}");
    }
    for again in [canonical, url.fetch_str()] {
        let again = GitUrl::parse(again).expect("what was accepted is accepted again");
        assert_eq!(again.as_str(), canonical);
    }
});
