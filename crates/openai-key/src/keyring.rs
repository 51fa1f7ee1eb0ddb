//! The user's keyring: macOS Keychain, or the Secret Service of a Linux desktop.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use host::Host;
use keyring_core::{CredentialStore, Entry, Error};
use zeroize::Zeroizing;

/// The names under which the key is stored; the scripts this project replaces used the same.
const SERVICE: &str = "ai-ops-runner-openai";
const ACCOUNT: &str = "openai_api_key";

/// A locked keyring asks its owner for a password, who may not be there: then it does not answer.
const LIMIT: Duration = Duration::from_secs(5);

type Open = Arc<dyn Fn() -> keyring_core::Result<Arc<CredentialStore>> + Send + Sync>;

/// A keyring, opened anew by each use.
#[derive(Clone)]
pub struct Keyring {
    /// `None` where the machine has none.
    open: Option<Open>,
    limit: Duration,
}

/// Why a keyring gave or took nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    /// This session has none.
    #[error("there is no keyring in this session")]
    NoneHere,
    /// It is locked and nobody unlocked it, or its service hangs.
    #[error("the keyring did not answer within {} seconds: it may be locked", .0.as_secs())]
    Silent(Duration),
    /// It said no.
    #[error("{0}")]
    Failed(String),
}

impl Keyring {
    /// The keyring of the user's session. Linux has one where there is a session bus.
    #[must_use]
    pub fn of_session(host: &dyn Host) -> Self {
        Self { open: has_session(host).then(|| Arc::new(platform_store) as Open), limit: LIMIT }
    }

    /// No keyring at all, whatever the session has.
    #[must_use]
    pub const fn none() -> Self {
        Self { open: None, limit: LIMIT }
    }

    /// What is stored as the key, unjudged; `None` if nothing is.
    ///
    /// # Errors
    /// [`Unavailable`], within five seconds.
    pub(crate) fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Unavailable> {
        self.within_limit(|entry| match entry.get_secret() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// Stores the key in place of what was there.
    ///
    /// # Errors
    /// [`Unavailable`], within five seconds. After a time-out the keyring may still take it when it is unlocked.
    pub(crate) fn write(&self, secret: Zeroizing<String>) -> Result<(), Unavailable> {
        self.within_limit(move |entry| entry.set_secret(secret.as_bytes()))
    }

    /// Uses the entry in a thread of its own, since no keyring's interface has a time limit. A thread that hangs is
    /// left behind and ends with the process.
    fn within_limit<T: Send + 'static>(
        &self,
        act: impl FnOnce(Entry) -> keyring_core::Result<T> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let open = self.open.clone().ok_or(Unavailable::NoneHere)?;
        let (answer, answered) = mpsc::channel();
        thread::spawn(move || {
            let entry = open().and_then(|store| store.build(SERVICE, ACCOUNT, None));
            // Nobody listens any more after the limit; the value is dropped and wiped.
            let _ = answer.send(entry.and_then(act));
        });
        match answered.recv_timeout(self.limit) {
            // Only Display: the Debug form of some errors holds the secret.
            Ok(result) => result.map_err(|error| Unavailable::Failed(error.to_string())),
            Err(RecvTimeoutError::Timeout) => Err(Unavailable::Silent(self.limit)),
            Err(RecvTimeoutError::Disconnected) => Err(Unavailable::Failed("the keyring's library panicked".into())),
        }
    }
}

#[cfg(target_os = "macos")]
fn has_session(_: &dyn Host) -> bool {
    true
}

#[cfg(target_os = "macos")]
fn platform_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(apple_native_keyring_store::keychain::Store::new()?)
}

/// Without an address libdbus would try to start a bus of its own.
#[cfg(not(target_os = "macos"))]
fn has_session(host: &dyn Host) -> bool {
    let named = host.env("DBUS_SESSION_BUS_ADDRESS").is_some_and(|address| !address.is_empty());
    named
        || host.env("XDG_RUNTIME_DIR").is_some_and(|dir| matches!(host.stat(&Path::new(&dir).join("bus")), Ok(Some(_))))
}

#[cfg(not(target_os = "macos"))]
fn platform_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(dbus_secret_service_keyring_store::Store::new()?)
}

#[cfg(test)]
impl Keyring {
    /// A keyring in memory, for tests.
    pub(crate) fn in_memory() -> Self {
        let store: Arc<CredentialStore> = keyring_core::mock::Store::new().expect("the mock store opens");
        Self { open: Some(Arc::new(move || Ok(Arc::clone(&store)))), limit: LIMIT }
    }

    /// A keyring that never answers: it waits for something that cannot come.
    pub(crate) fn hanging() -> Self {
        let open = || {
            let (_keep, never) = mpsc::channel::<()>();
            let _ = never.recv();
            Err(Error::NoDefaultStore)
        };
        Self { open: Some(Arc::new(open)), limit: Duration::from_millis(20) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::Fake;
    use insta::assert_snapshot;

    #[test]
    fn what_was_stored_is_read_back() {
        let keyring = Keyring::in_memory();
        assert_eq!(keyring.read().unwrap(), None);
        keyring.write("k".to_owned().into()).unwrap();
        assert_eq!(keyring.read().unwrap().unwrap().as_slice(), b"k");
    }

    #[test]
    fn k06_a_keyring_that_hangs_is_given_up() {
        assert_snapshot!(Keyring { limit: LIMIT, ..Keyring::hanging() }.limit.as_secs(), @"5");
        assert!(matches!(Keyring::hanging().read(), Err(Unavailable::Silent(_))));
        assert!(matches!(Keyring::hanging().write("k".to_owned().into()), Err(Unavailable::Silent(_))));
        assert_snapshot!(Unavailable::Silent(LIMIT), @"the keyring did not answer within 5 seconds: it may be locked");
    }

    #[test]
    fn a_panic_in_the_keyrings_library_is_an_error() {
        let keyring = Keyring { open: Some(Arc::new(|| panic!("broken"))), limit: LIMIT };
        assert_snapshot!(keyring.read().unwrap_err(), @"the keyring's library panicked");
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn a_session_without_a_bus_has_no_keyring() {
        assert_snapshot!(Keyring::of_session(&Fake::new()).read().unwrap_err(), @"there is no keyring in this session");
    }
}
