//! What a scanner found, and the collector that bounds it.

use std::fmt;

/// At most this many findings of one rule and severity for one path; one more says how many were left out.
pub const PER_RULE: usize = 20;

/// Whether a finding stops the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The change is not approved while this holds.
    Blocker,
    /// Shown to the reviewer, who decides.
    Notice,
}

impl Severity {
    /// `blocker` or `notice`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocker => "blocker",
            Self::Notice => "notice",
        }
    }
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+) => {
        /// Which rule a finding is of. Its name is what an allow list of the policy says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Rule {
            /// Every rule, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The kebab-case name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

rules! {
    /// A credential in content, a commit message or a path.
    Secret => "secret",
    /// Bidirectional controls, tag characters, hidden data, zero-width characters.
    Invisible => "invisible",
    /// C0 and C1 controls, raw escape sequences, carriage returns that end no line.
    ControlCharacter => "control-character",
    /// A word that mixes Latin letters with letters of another script that look like them.
    Homoglyph => "homoglyph",
    /// An unresolved merge.
    ConflictMarker => "conflict-marker",
    /// A Git LFS pointer: the content it names is not in the change.
    LfsPointer => "lfs-pointer",
    /// A submodule: the commit it names is not in the change.
    Submodule => "submodule",
    /// A file mode that git itself never writes.
    OddMode => "odd-mode",
    /// Names that are one name on macOS or Windows.
    CaseCollision => "case-collision",
    /// A name that some system reads as another path, or not at all.
    HostilePath => "hostile-path",
    /// A symbolic link out of the tree or into `.git`.
    EscapingSymlink => "escaping-symlink",
    /// Policy, hooks, CI, allow lists, instructions of agents.
    ControlPlane => "control-plane",
    /// A file that is not known to be mere data, and whose content is not text.
    OpaqueExecutable => "opaque-executable",
    /// The reviewed baseline was changed by the change under review.
    BaselineEdited => "baseline-edited",
    /// A policy that cannot be read: on the remote it would refuse every later push, also the one that mends it.
    InvalidPolicy => "invalid-policy",
    /// Content that was to be scanned and was not given.
    Unseen => "unseen",
}

impl Rule {
    /// The rule of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.as_str() == name)
    }

    /// Whether an allow list may lift it: not what would let a change vouch for itself, nor what was not seen.
    pub const fn is_allowable(self) -> bool {
        !matches!(self, Self::BaselineEdited | Self::InvalidPolicy | Self::Unseen)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing found. Ordered by path, line, rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    /// Raw bytes of the path in the tree, or the label the caller gave a commit message.
    pub path: Vec<u8>,
    /// Counted from 1, lines ending in LF; `None` when it is about the path as a whole.
    pub line: Option<u64>,
    /// The rule.
    pub rule: Rule,
    /// Whether it blocks.
    pub severity: Severity,
    /// For a person; printable, and without the secret.
    pub message: String,
}

/// Collects the findings of one path, counting those over [`PER_RULE`] instead of keeping them.
pub(crate) struct Report<'a> {
    path: &'a [u8],
    findings: Vec<Finding>,
    counts: Vec<((Rule, Severity), usize)>,
}

impl<'a> Report<'a> {
    pub(crate) const fn new(path: &'a [u8]) -> Self {
        Self { path, findings: Vec::new(), counts: Vec::new() }
    }

    pub(crate) fn blocker(&mut self, rule: Rule, line: Option<u64>, message: impl Into<String>) {
        self.add(rule, Severity::Blocker, line, message);
    }

    pub(crate) fn notice(&mut self, rule: Rule, line: Option<u64>, message: impl Into<String>) {
        self.add(rule, Severity::Notice, line, message);
    }

    pub(crate) fn add(&mut self, rule: Rule, severity: Severity, line: Option<u64>, message: impl Into<String>) {
        if self.count(rule, severity) <= PER_RULE {
            self.findings.push(self.finding(rule, severity, line, message.into()));
        }
    }

    /// The findings in order, a last one for each rule that had more.
    pub(crate) fn finish(mut self) -> Vec<Finding> {
        for &((rule, severity), count) in &self.counts {
            if count > PER_RULE {
                let message = format!("and {} more of this kind in this file", count - PER_RULE);
                self.findings.push(self.finding(rule, severity, None, message));
            }
        }
        self.findings.sort();
        self.findings
    }

    fn count(&mut self, rule: Rule, severity: Severity) -> usize {
        let key = (rule, severity);
        let index = self.counts.iter().position(|(k, _)| *k == key).unwrap_or_else(|| {
            self.counts.push((key, 0));
            self.counts.len() - 1
        });
        self.counts[index].1 += 1;
        self.counts[index].1
    }

    fn finding(&self, rule: Rule, severity: Severity, line: Option<u64>, message: String) -> Finding {
        Finding { path: self.path.to_vec(), line, rule, severity, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rules_are_unique_and_found_again() {
        for &rule in Rule::ALL {
            assert_eq!(Rule::from_name(rule.as_str()), Some(rule));
        }
        assert_eq!(Rule::from_name("Secret"), None);
    }

    #[test]
    fn more_than_the_cap_is_counted_and_still_blocks() {
        let mut report = Report::new(b"f");
        for line in 1..=PER_RULE as u64 + 3 {
            report.blocker(Rule::Secret, Some(line), "x");
            report.notice(Rule::Secret, Some(line), "y");
        }
        let findings = report.finish();
        assert_eq!(findings.len(), 2 * (PER_RULE + 1));
        let more: Vec<_> =
            findings.iter().filter(|f| f.message.starts_with("and 3 more")).map(|f| f.severity).collect();
        assert_eq!(more, [Severity::Blocker, Severity::Notice]);
    }
}
