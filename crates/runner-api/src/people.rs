//! `api.toml`: people that a proxy of the tailnet vouches for, and what each may do.
//!
//! ```toml
//! schema = 1
//!
//! [people."alice@example.com"]   # as `Tailscale-User-Login` says it, on the unix socket and nowhere else
//! scopes = ["read", "submit"]
//! ```

use std::collections::{BTreeMap, BTreeSet};

use outcome::Failure;
use serde::Deserialize;

use crate::scope::Scope;

/// The name of the file, beside the allowlists.
pub const FILE: &str = "api.toml";
/// The number in its `schema`.
const SCHEMA: u32 = 1;

/// Who may do what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People(BTreeMap<String, BTreeSet<Scope>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    #[serde(default)]
    people: BTreeMap<String, Person>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    scopes: BTreeSet<Scope>,
}

impl People {
    /// Reads the file.
    ///
    /// # Errors
    /// Not ready, class `bad-api-config`, for one that is not of this form.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let bad = |why: String| Failure::not_ready("bad-api-config", format!("{FILE}: {why}"), "mend what is named");
        let File { schema, people } = toml::from_str(text).map_err(|error| bad(error.to_string()))?;
        if schema != SCHEMA {
            return Err(bad(format!("schema {schema} is not {SCHEMA}")));
        }
        Ok(Self(people.into_iter().map(|(login, person)| (login, person.scopes)).collect()))
    }

    /// What somebody may do; `None` for one who is not named.
    pub(crate) fn scopes(&self, login: &str) -> Option<&BTreeSet<Scope>> {
        self.0.get(login)
    }
}
