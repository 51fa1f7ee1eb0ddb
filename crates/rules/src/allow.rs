//! The allow list of the policy: which findings are known and accepted, and why.

use crate::{Finding, Rule, Severity};
use globset::{Candidate, GlobBuilder, GlobMatcher};

/// One exception: findings of `rule` in paths that match a glob are accepted, for a reason.
#[derive(Debug, Clone)]
pub struct Allow {
    rule: Rule,
    glob: GlobMatcher,
    reason: String,
}

/// Why an exception is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AllowError {
    /// No rule has this name.
    #[error("there is no rule {0:?}")]
    UnknownRule(String),
    /// The rule guards the gate itself.
    #[error("rule {0} cannot be lifted")]
    NotAllowable(Rule),
    /// The glob does not parse.
    #[error("path {glob:?} is not a glob: {why}")]
    BadGlob {
        /// As given.
        glob: String,
        /// The parser's reason.
        why: String,
    },
    /// An exception says why it is one.
    #[error("the exception for {rule} in {glob:?} has no reason")]
    NoReason {
        /// The rule.
        rule: Rule,
        /// As given.
        glob: String,
    },
}

impl Allow {
    /// An exception from the policy's three strings. `*` and `?` do not cross `/`, `**` does; case counts.
    ///
    /// # Errors
    /// [`AllowError`], for the first string that is wrong.
    pub fn new(rule: &str, glob: &str, reason: &str) -> Result<Self, AllowError> {
        let known = Rule::from_name(rule).ok_or_else(|| AllowError::UnknownRule(rule.to_owned()))?;
        if !known.is_allowable() {
            return Err(AllowError::NotAllowable(known));
        }
        if reason.trim().is_empty() {
            return Err(AllowError::NoReason { rule: known, glob: glob.to_owned() });
        }
        let matcher = GlobBuilder::new(glob)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|e| AllowError::BadGlob { glob: glob.to_owned(), why: e.kind().to_string() })?
            .compile_matcher();
        Ok(Self { rule: known, glob: matcher, reason: reason.trim().escape_debug().to_string() })
    }

    fn covers(&self, finding: &Finding) -> bool {
        finding.rule == self.rule && self.glob.is_match_candidate(&Candidate::from_bytes(&finding.path))
    }
}

/// Applies the exceptions. Returns the findings in order, each once: an allowed blocker stays in sight as a notice with
/// the reason, an allowed notice is left out. A rule that [cannot be lifted](Rule::is_allowable) stays as it is.
pub fn apply_allow(mut findings: Vec<Finding>, allow: &[Allow]) -> Vec<Finding> {
    findings.sort();
    findings.dedup();
    findings.into_iter().filter_map(|finding| judge(finding, allow)).collect()
}

fn judge(finding: Finding, allow: &[Allow]) -> Option<Finding> {
    let Some(exception) = allow.iter().find(|a| a.covers(&finding)) else { return Some(finding) };
    match finding.severity {
        Severity::Notice => None,
        Severity::Blocker => {
            let message = format!("{} (allowed: {})", finding.message, exception.reason);
            Some(Finding { severity: Severity::Notice, message, ..finding })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn check(glob: &str, path: &str) -> bool {
        let allow = Allow::new("secret", glob, "a fixture").unwrap();
        let finding =
            |severity| Finding { path: path.into(), line: None, rule: Rule::Secret, severity, message: "found".into() };
        let left = apply_allow(vec![finding(Severity::Blocker), finding(Severity::Notice)], &[allow]);
        left.iter().all(|f| f.severity == Severity::Notice) && left.len() == 1
    }

    #[test]
    fn a_star_stays_in_its_directory_and_a_name_is_no_prefix() {
        assert!(check("tests/fixtures/**", "tests/fixtures/a/b.pem"));
        assert!(check("tests/*.pem", "tests/a.pem"));
        assert!(!check("tests/*.pem", "tests/a/b.pem"));
        assert!(!check("README.md", "README.md.evil"));
        assert!(!check("README.md", "docs/README.md"));
        assert!(!check("tests/**", "tests2/a"));
        assert!(!check("Tests/**", "tests/a"));
    }

    #[test]
    fn an_allowed_blocker_stays_in_sight_with_its_reason() {
        let allow = [Allow::new("submodule", "vendor/*", "vendored, pinned by hash").unwrap()];
        let finding = Finding {
            path: b"vendor/lib".to_vec(),
            line: None,
            rule: Rule::Submodule,
            severity: Severity::Blocker,
            message: "submodule moved".into(),
        };
        let other = Finding { rule: Rule::OddMode, ..finding.clone() };
        let left = apply_allow(vec![finding.clone(), finding, other], &allow);
        let lines: Vec<_> = left.iter().map(|f| format!("{} {}: {}", f.severity.as_str(), f.rule, f.message)).collect();
        assert_snapshot!(lines.join("\n"), @r"
        notice submodule: submodule moved (allowed: vendored, pinned by hash)
        blocker odd-mode: submodule moved
        ");
    }

    #[test]
    fn an_exception_that_is_wrong_is_refused() {
        let refusals = [
            Allow::new("secrets", "**", "why"),
            Allow::new("baseline-edited", "**", "why"),
            Allow::new("secret", "a[", "why"),
            Allow::new("secret", "**", " "),
        ];
        let lines: Vec<_> = refusals.into_iter().map(|r| r.unwrap_err().to_string()).collect();
        assert_snapshot!(lines.join("\n"), @r#"
        there is no rule "secrets"
        rule baseline-edited cannot be lifted
        path "a[" is not a glob: unclosed character class; missing ']'
        the exception for secret in "**" has no reason
        "#);
    }
}
