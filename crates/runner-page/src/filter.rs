//! Which jobs a list shows, and the query that says so.

use std::borrow::Cow;

use job::{Id, Status};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Deserializer};

/// Which jobs a list shows: those that have all that is said here. It is read from the query of `/`, where a form that was
/// sent without JavaScript names every field; an empty one says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// In this state.
    #[serde(deserialize_with = "none_where_empty")]
    pub status: Option<Status>,
    /// Of this repository.
    #[serde(deserialize_with = "none_where_empty")]
    pub repo_name: Option<String>,
    /// Of this kind.
    #[serde(deserialize_with = "none_where_empty")]
    pub job_type: Option<String>,
    /// Older than this one.
    #[serde(deserialize_with = "none_where_empty")]
    pub before: Option<Id>,
}

fn none_where_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    match Cow::<str>::deserialize(from)?.trim() {
        "" => Ok(None),
        text => T::deserialize(text.into_deserializer()).map(Some),
    }
}

impl Filter {
    /// The query of a URL, with its question mark; empty where every job is shown.
    pub fn query(&self) -> String {
        let fields = [
            ("status", self.status.map(Status::as_str)),
            ("repo_name", self.repo_name.as_deref()),
            ("job_type", self.job_type.as_deref()),
            ("before", self.before.as_ref().map(Id::as_str)),
        ];
        let pairs = fields.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encode(value?))));
        let query = pairs.collect::<Vec<_>>().join("&");
        if query.is_empty() { query } else { format!("?{query}") }
    }

    /// The same, from `before` on.
    pub(crate) fn from(&self, before: Option<&Id>) -> Self {
        Self { before: before.cloned(), ..self.clone() }
    }

    /// Whether it leaves jobs out, wherever the list begins.
    pub(crate) fn narrows(&self) -> bool {
        self.from(None) != Self::default()
    }
}

/// All but what RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `text` as a part of a URL: of a query, or between two slashes.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// A relative path as the end of a URL.
pub(crate) fn encode_path(path: &str) -> String {
    path.split('/').map(encode).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_as_its_form_sends_it() {
        let sent = r#"{"status":"running","repo_name":" a b ","job_type":"","before":""}"#;
        let filter: Filter = serde_json::from_str(sent).unwrap();
        let want = Filter { status: Some(Status::Running), repo_name: Some("a b".into()), ..Filter::default() };
        assert_eq!(filter, want);
        for wrong in [r#"{"status":"dancing"}"#, r#"{"before":"../x"}"#, r#"{"limit":"1"}"#] {
            assert!(serde_json::from_str::<Filter>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_query_is_percent_encoded() {
        assert_eq!(Filter::default().query(), "");
        let filter = Filter { repo_name: Some("a&b=c/é \"<".into()), ..Filter::default() };
        assert_eq!(filter.query(), "?repo_name=a%26b%3Dc%2F%C3%A9%20%22%3C");
        assert_eq!(encode_path("dir/a b#?.txt"), "dir/a%20b%23%3F.txt");
    }
}
