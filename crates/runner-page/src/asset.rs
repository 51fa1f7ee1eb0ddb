//! The files that pages link: part of the program, each under the hash of its content, to be kept for ever.
//!
//! **Invariant:** a URL names one content. A server answers `/ui/assets/{hash}/{name}` only where `hash` is that of
//! [`Asset::etag`].

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// A file that pages link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// Its last part in a URL.
    pub name: &'static str,
    /// The value of the `Content-Type` header.
    pub content_type: &'static str,
    /// The file.
    pub bytes: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

const ASSETS: [Asset; 4] = [
    Asset { name: "page.css", content_type: CSS, bytes: include_bytes!("../assets/page.css") },
    Asset { name: "page.js", content_type: JS, bytes: include_bytes!("../assets/page.js") },
    Asset { name: "htmx.min.js", content_type: JS, bytes: include_bytes!("../assets/htmx.min.js") },
    Asset { name: "favicon.svg", content_type: "image/svg+xml", bytes: include_bytes!("../assets/favicon.svg") },
];

static HASHES: LazyLock<[String; 4]> = LazyLock::new(|| ASSETS.map(|asset| hex(&Sha256::digest(asset.bytes)[..8])));

/// The file of that name.
pub fn asset(name: &str) -> Option<Asset> {
    ASSETS.into_iter().find(|asset| asset.name == name)
}

impl Asset {
    /// The hash in its URL: 16 hex digits.
    pub fn hash(&self) -> &'static str {
        let at = ASSETS.iter().position(|asset| asset.name == self.name);
        at.map_or("", |at| &HASHES[at])
    }

    /// The value of the `ETag` header, in its quotes.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.hash())
    }
}

/// Where a page finds the file of that name.
pub(crate) fn url(name: &str) -> String {
    let hash = asset(name).map_or("", |asset| asset.hash());
    format!("/ui/assets/{hash}/{name}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn htmx_is_the_release_that_its_note_names() {
        let note = include_str!("../assets/htmx.txt");
        let noted = note.lines().find_map(|line| line.strip_prefix("sha256")).unwrap().trim();
        assert_eq!(hex(&Sha256::digest(asset("htmx.min.js").unwrap().bytes)), noted);
    }

    #[test]
    fn a_url_names_one_content() {
        let css = asset("page.css").unwrap();
        assert_eq!(css.hash(), &hex(&Sha256::digest(css.bytes))[..16]);
        assert_eq!(url("page.css"), format!("/ui/assets/{}/page.css", css.hash()));
        assert_eq!(asset("../page.css"), None);
    }
}
