//! What is allowed, for one who asks all the time.
//!
//! **Invariant:** an answer is what the files say now: each time they are read, and it is seen who could have written them.
//! Only the same bytes are not parsed again.

use std::sync::{Arc, Mutex, PoisonError};

use allowlist::Policy;
use host::Host;
use outcome::Failure;

use crate::site::{Lists, Site};

/// The last answer, and what it was made from.
#[derive(Debug, Default)]
pub struct Policies(Mutex<Option<(Lists, Arc<Policy>)>>);

impl Policies {
    /// What is allowed now.
    ///
    /// # Errors
    /// As [`Site::policy`].
    pub fn now(&self, host: &dyn Host, site: &Site) -> Result<Arc<Policy>, Failure> {
        let lists = site.lists(host)?;
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, policy)) = last.as_ref().filter(|(known, _)| *known == lists) {
            return Ok(Arc::clone(policy));
        }
        let policy = Arc::new(site.parse(&lists)?);
        *last = Some((lists, Arc::clone(&policy)));
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use host::Fake;

    use super::*;

    const AT: &str = "/c/repo_allowlist.toml";

    #[test]
    fn what_was_changed_is_read_and_what_was_not_is_not_parsed_again() {
        let site = Site { configs: "/c".into(), state: "/s".into() };
        let (first, other) = ("schema = 1\n[repos]\n", "schema = 1\n[queue]\nmax_running = 7\n[repos]\n");
        let policies = Policies::default();
        let now = |text: &str, mode| policies.now(&Fake::new().user(1000).file(AT, text, mode, 1000), &site);
        let policy = now(first, 0o600).unwrap();
        assert!(Arc::ptr_eq(&policy, &now(first, 0o600).unwrap()));
        assert_eq!(now(other, 0o600).unwrap().max_running(), 7);
        assert_eq!(now(first, 0o600).unwrap(), policy);
        assert_eq!(now(first, 0o666).unwrap_err().class, "config-unsafe");
        assert_eq!(now("schema", 0o600).unwrap_err().class, "bad-allowlist");
        assert_eq!(policies.now(&Fake::new().user(1000), &site).unwrap_err().class, "no-repos");
        assert_eq!(now(first, 0o600).unwrap(), policy);
    }
}
