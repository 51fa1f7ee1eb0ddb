//! What somebody may do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See jobs, logs, artifacts, workers.
    Read,
    /// Submit, cancel and rerun jobs.
    Submit,
    /// All of it, and drain workers.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 3] = [Self::Read, Self::Submit, Self::Admin];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Admin => "admin",
        }
    }

    /// Whether one of `held` is enough.
    pub fn within(self, held: &BTreeSet<Self>) -> bool {
        held.contains(&self) || held.contains(&Self::Admin)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAScope;

impl fmt::Display for NotAScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scope is read, submit or admin")
    }
}

impl std::error::Error for NotAScope {}

impl FromStr for Scope {
    type Err = NotAScope;

    fn from_str(text: &str) -> Result<Self, NotAScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(NotAScope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_held_itself_or_by_admin_and_by_nothing_else() {
        use Scope::{Admin, Read, Submit};
        for (wanted, held, may) in [
            (Read, &[][..], false),
            (Read, &[Read], true),
            (Read, &[Submit], false),
            (Read, &[Admin], true),
            (Submit, &[Read], false),
            (Submit, &[Read, Submit], true),
            (Admin, &[Read, Submit], false),
            (Admin, &[Admin], true),
        ] {
            assert_eq!(wanted.within(&held.iter().copied().collect()), may, "{wanted} by {held:?}");
        }
    }

    #[test]
    fn each_scope_has_one_word() {
        assert_eq!(Scope::ALL.map(|scope| scope.to_string()), ["read", "submit", "admin"]);
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
        for bad in ["", "Read", "read ", "all"] {
            assert_eq!(bad.parse::<Scope>(), Err(NotAScope), "{bad}");
        }
        assert_eq!(NotAScope.to_string(), "a scope is read, submit or admin");
    }
}
