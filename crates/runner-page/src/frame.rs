//! What every page has around it.

use job::Time;

use crate::asset;
use crate::part::Ago;

/// Who looks at a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// What they are called.
    pub login: String,
    /// They may submit, cancel and rerun jobs.
    pub may_submit: bool,
    /// They may administer the service.
    pub may_admin: bool,
}

impl Viewer {
    pub(crate) const fn role(&self) -> &'static str {
        match (self.may_admin, self.may_submit) {
            (true, _) => "admin",
            (_, true) => "operator",
            _ => "reader",
        }
    }
}

/// Who looks, and when.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Who.
    pub viewer: &'a Viewer,
    /// When: times are told as they lie to it.
    pub now: Time,
}

impl Frame<'_> {
    pub(crate) const fn ago(&self, at: Time) -> Ago {
        Ago { at, now: self.now }
    }
}

/// The outer part of a page.
pub(crate) struct Shell<'a> {
    pub(crate) title: String,
    pub(crate) viewer: Option<&'a Viewer>,
    /// Where in the navigation the page is.
    here: &'static str,
}

impl<'a> Shell<'a> {
    pub(crate) fn new(title: impl Into<String>, viewer: Option<&'a Viewer>, here: &'static str) -> Self {
        Self { title: title.into(), viewer, here }
    }

    pub(crate) fn asset(name: &str) -> String {
        asset::url(name)
    }

    /// The pages of the navigation: where, and what they are called.
    pub(crate) const fn places() -> [(&'static str, &'static str); 3] {
        [("/", "Jobs"), ("/ui/queue", "Queue"), ("/ui/workers", "Workers")]
    }

    /// What `aria-current` says of the place at `path`: none where the page is elsewhere.
    pub(crate) fn current(&self, path: &str) -> Option<&'static str> {
        match self.here {
            here if here == path => Some("page"),
            // A job's page is below the list.
            crate::path::JOB if path == "/" => Some("true"),
            _ => None,
        }
    }
}
