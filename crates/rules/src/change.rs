//! One changed path: everything but its secrets is judged here.

use crate::control_plane::is_control_plane;
use crate::entry::{self, Kind};
use crate::finding::{Finding, Report, Rule};
use crate::text::{Line, added, is_text, lines_with};
use crate::{homoglyph, invisible, marker, name, secret};

/// A path in one of the two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side<'a> {
    /// As in the tree, e.g. `0o100644`.
    pub mode: u32,
    /// The blob's bytes, for a link its target; `None` for a submodule.
    pub content: Option<&'a [u8]>,
}

/// Judges one changed path from the first tree (`old`) to the last (`new`); `None` is absent. Hidden characters and
/// conflict markers count where the change added them. Returns the findings in order.
pub fn scan_change(path: &[u8], old: Option<Side<'_>>, new: Option<Side<'_>>) -> Vec<Finding> {
    let mut report = Report::new(path);
    entry::scan_baseline(&mut report, path);
    entry::scan_submodule(&mut report, old, new);
    if is_control_plane(path) {
        report.notice(Rule::ControlPlane, None, "policy, hook, CI, allow list or instructions of an agent");
    }
    if let Some(new) = new {
        scan_path(&mut report, path, old.is_none());
        entry::scan_mode(&mut report, old, new);
        scan_content(&mut report, path, old, new);
    }
    report.finish()
}

fn scan_path(report: &mut Report<'_>, path: &[u8], is_new: bool) {
    name::scan(report, path);
    if is_new {
        let line = Line { number: 0, bytes: path };
        secret::scan_path(report, path);
        if invisible::next_unusual(path, 0).is_some() {
            invisible::scan_line(report, line, Some("path"));
            homoglyph::scan_line(report, line, Some("path"));
        }
    }
}

fn scan_content(report: &mut Report<'_>, path: &[u8], old: Option<Side<'_>>, new: Side<'_>) {
    let kind = Kind::of(new.mode);
    if kind == Kind::Submodule {
        return;
    }
    let Some(content) = new.content else {
        return report.blocker(Rule::Unseen, None, "the content was not given to the scanners");
    };
    if kind == Kind::Link {
        entry::scan_link(report, path, content);
        invisible::scan_line(report, Line { number: 0, bytes: content }, Some("symbolic link's target"));
        return;
    }
    entry::scan_opaque(report, path, new, content);
    entry::scan_pointer(report, content);
    if is_text(content) {
        scan_text(report, same_kind_content(old, kind), content);
    }
}

/// What was there before, when it was a file too: a link's target is no earlier version of a file.
fn same_kind_content(old: Option<Side<'_>>, kind: Kind) -> &[u8] {
    old.filter(|o| Kind::of(o.mode) == kind).and_then(|o| o.content).unwrap_or_default()
}

fn scan_text(report: &mut Report<'_>, old: &[u8], new: &[u8]) {
    marker::scan(report, old, new);
    let unusual = lines_with(new, invisible::next_unusual);
    if unusual.is_empty() {
        return;
    }
    for line in added(&lines_with(old, invisible::next_unusual), unusual) {
        invisible::scan_line(report, line, None);
        homoglyph::scan_line(report, line, None);
    }
}
