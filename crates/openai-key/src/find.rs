//! Where the key comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use host::{Host, HostError};
use outcome::{Exit, Failure};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::keyring::Unavailable;
use crate::private::{Closed, Readers, check_parent, read};
use crate::terminal::ask_quietly;
use crate::{FILE, InvalidKey, Key, Keyring, VARIABLE};

/// A place that a key can come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The variable [`VARIABLE`].
    Environment,
    /// `openai_api_key` in systemd's `$CREDENTIALS_DIRECTORY`.
    SystemdCredential,
    /// The user's keyring.
    Keyring,
    /// [`FILE`].
    File,
    /// A person at the terminal.
    Prompt,
}

impl Source {
    /// The places where a key can be stored, in the order they are looked at.
    pub const STORED: [Self; 4] = [Self::Environment, Self::SystemdCredential, Self::Keyring, Self::File];
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => VARIABLE,
            Self::SystemdCredential => "systemd credential",
            Self::Keyring => "keyring",
            Self::File => FILE,
            Self::Prompt => "terminal",
        })
    }
}

/// A key and where it came from.
#[derive(Debug, Clone)]
pub struct Found {
    /// The key.
    pub key: Key,
    /// Where it came from.
    pub source: Source,
    /// Where it was stored, or why it was not; only after it was asked for.
    pub stored: Option<Result<Stored, String>>,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No place has one. Holds why, place by place.
    #[error("no OpenAI key: {}", list(.0))]
    Missing(Vec<(Source, String)>),
    /// A place holds something that is not a key.
    #[error("{0}: {1}")]
    Invalid(Source, InvalidKey),
    /// A key that others may read or may have put there.
    #[error("{0}: {1}")]
    Unsafe(Source, String),
    /// The machine refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The key could not be stored.
    #[error("the key was not stored: {0}")]
    NotStored(String),
    /// The terminal could not be read.
    #[error("the terminal could not be read: {0}")]
    Terminal(std::io::Error),
    /// The program to hand the key to did not start.
    #[error("{program}: {source}")]
    NotStarted {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// Core dumps could not be turned off, and one could hold the key.
    #[error("core dumps could not be turned off: {0}")]
    CoreDumps(std::io::Error),
}

fn list(tried: &[(Source, String)]) -> String {
    tried.iter().map(|(source, why)| format!("{source}: {why}")).collect::<Vec<_>>().join("; ")
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let reason = error.to_string();
        match error {
            KeyError::Missing(_) => {
                Self::not_ready("key-missing", reason, format!("run `openai-key set` once, or set {VARIABLE}"))
            }
            KeyError::Invalid(source, _) => {
                Self::not_ready("key-invalid", reason, format!("put a whole key there, or nothing: {source}"))
            }
            KeyError::Unsafe(..) => Self::not_ready(
                "key-unsafe",
                reason,
                format!(
                    "make it a regular file of mode 0600 that root or you own, such as {FILE}; if others could read it, revoke the key"
                ),
            ),
            KeyError::Host(error) => error.into(),
            KeyError::NotStored(_) => Self::not_ready(
                "key-not-stored",
                reason,
                format!("unlock the keyring and try again, or as root store it in {FILE}: sudo openai-key set"),
            ),
            KeyError::Terminal(_) => Self::not_ready("terminal", reason, format!("set {VARIABLE} instead")),
            KeyError::NotStarted { .. } => {
                Self::not_ready("tool-missing", reason, "check the command after `--`, then try again")
            }
            KeyError::CoreDumps(_) => Self::not_ready("core-dumps", reason, "report the operating system you run"),
        }
    }
}

/// The key from the first place that has one.
///
/// # Errors
/// [`KeyError::Missing`] if none has; any other if a place holds something that must not be used or passed over.
pub fn find(host: &dyn Host, keyring: &Keyring) -> Result<Found, KeyError> {
    let mut tried = Vec::new();
    for source in Source::STORED {
        match look(host, keyring, source)? {
            Seen::Key(key) => return Ok(Found { key, source, stored: None }),
            Seen::Nothing(why) => tried.push((source, why)),
        }
    }
    Err(KeyError::Missing(tried))
}

/// As [`find`]; where no place has a key and `interactive` says that someone can answer, asks on the terminal without
/// echo and stores the answer for the next time.
///
/// # Errors
/// As [`find`], and [`KeyError::Terminal`] or [`KeyError::Invalid`] for what was typed. That the key could not be
/// stored is no error: it is in [`Found::stored`].
pub fn find_or_ask(host: &dyn Host, keyring: &Keyring, interactive: bool) -> Result<Found, KeyError> {
    match find(host, keyring) {
        Err(KeyError::Missing(_)) if interactive => {
            let key = ask(destination(host, keyring).ok())?;
            let stored = store(host, keyring, &key).map_err(|error| error.to_string());
            Ok(Found { key, source: Source::Prompt, stored: Some(stored) })
        }
        found => found,
    }
}

/// Asks for a key on the terminal, without echo, and says where it will be stored: `None` for nowhere.
///
/// # Errors
/// [`KeyError::Terminal`], and [`KeyError::Invalid`] for what was typed.
pub fn ask(stored_in: Option<Source>) -> Result<Key, KeyError> {
    let stored = stored_in.map_or_else(|| "for this time only".to_owned(), |place| format!("to be stored in: {place}"));
    let typed = ask_quietly(&format!("OpenAI API key, {stored} (not shown): "));
    Key::parse(typed.map_err(KeyError::Terminal)?.as_bytes()).map_err(|e| KeyError::Invalid(Source::Prompt, e))
}

/// Where a key was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stored {
    schema: u32,
    status: &'static str,
    /// The place.
    pub place: Source,
}

impl Stored {
    fn at(place: Source) -> Self {
        Self { schema: 1, status: Exit::Done.status(), place }
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stored: {}", self.place)
    }
}

/// Where [`store`] puts a key, seen without storing one.
///
/// # Errors
/// As [`store`].
pub fn destination(host: &dyn Host, keyring: &Keyring) -> Result<Source, KeyError> {
    match keyring.read() {
        Ok(_) => Ok(Source::Keyring),
        Err(Unavailable::NoneHere) if host.uid() == 0 => check_directory(host).map(|()| Source::File),
        Err(why) => Err(KeyError::NotStored(why.to_string())),
    }
}

/// Stores the key in the keyring; on a host without one, if the user is root, in [`FILE`].
///
/// # Errors
/// [`KeyError::NotStored`] if neither takes it, [`KeyError::Unsafe`] if others may write to the file's directory.
pub fn store(host: &dyn Host, keyring: &Keyring, key: &Key) -> Result<Stored, KeyError> {
    match keyring.write(key.expose()) {
        Ok(()) => Ok(Stored::at(Source::Keyring)),
        Err(Unavailable::NoneHere) if host.uid() == 0 => write_file(host, key),
        Err(why) => Err(KeyError::NotStored(why.to_string())),
    }
}

fn write_file(host: &dyn Host, key: &Key) -> Result<Stored, KeyError> {
    check_directory(host)?;
    host.write_atomic(Path::new(FILE), format_line(key).as_bytes(), 0o600)?;
    Ok(Stored::at(Source::File))
}

fn check_directory(host: &dyn Host) -> Result<(), KeyError> {
    check_parent(host, Path::new(FILE)).map_err(|closed| match closed {
        Closed::Host(error) => error.into(),
        closed => KeyError::Unsafe(Source::File, closed.to_string()),
    })
}

fn format_line(key: &Key) -> Zeroizing<String> {
    let mut line = key.expose();
    line.push('\n');
    line
}

enum Seen {
    Key(Key),
    Nothing(String),
}

fn look(host: &dyn Host, keyring: &Keyring, source: Source) -> Result<Seen, KeyError> {
    let nothing = |why: &str| Ok(Seen::Nothing(why.to_owned()));
    match source {
        Source::Environment => match host.env(VARIABLE).filter(|value| !value.is_empty()) {
            Some(value) => parsed(source, Zeroizing::new(value.into_encoded_bytes()).as_slice()),
            None => nothing("not set"),
        },
        Source::SystemdCredential => match host.env("CREDENTIALS_DIRECTORY").filter(|dir| !dir.is_empty()) {
            Some(dir) => from_file(host, source, &PathBuf::from(dir).join("openai_api_key"), Readers::Group),
            None => nothing("not given"),
        },
        Source::Keyring => match keyring.read() {
            Ok(Some(secret)) => parsed(source, &secret),
            Ok(None) => nothing("has no entry"),
            Err(unavailable) => Ok(Seen::Nothing(unavailable.to_string())),
        },
        Source::File => from_file(host, source, Path::new(FILE), Readers::Owner),
        Source::Prompt => nothing("nobody to ask"),
    }
}

fn from_file(host: &dyn Host, source: Source, path: &Path, readers: Readers) -> Result<Seen, KeyError> {
    match read(host, path, readers) {
        Ok(Some(content)) => parsed(source, &content),
        Ok(None) => Ok(Seen::Nothing("does not exist".to_owned())),
        Err(denied @ Closed::Denied) => Ok(Seen::Nothing(denied.to_string())),
        Err(Closed::Unsafe(why)) => Err(KeyError::Unsafe(source, why)),
        Err(Closed::Host(error)) => Err(error.into()),
    }
}

fn parsed(source: Source, bytes: &[u8]) -> Result<Seen, KeyError> {
    Key::parse(bytes).map(Seen::Key).map_err(|invalid| KeyError::Invalid(source, invalid))
}

/// What each place holds, and which one a key would come from. It is safe to print.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    schema: u32,
    #[serde(rename = "status")]
    outcome: &'static str,
    /// The place the key would come from: the first that is not absent, unless what it holds is refused.
    pub source: Option<Source>,
    /// Every place, in the order they are looked at.
    pub places: Vec<Place>,
}

/// One place and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The place.
    pub source: Source,
    /// Whether it has a key.
    pub state: State,
    /// The masked key, or why there is none.
    pub detail: String,
}

/// Whether a place has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has one.
    Present,
    /// It has none, and the search goes on.
    Absent,
    /// It has something that must not be used, and the search ends.
    Refused,
}

impl Status {
    /// Looks at every place. Nothing is asked or stored.
    #[must_use]
    pub fn observe(host: &dyn Host, keyring: &Keyring) -> Self {
        let places: Vec<_> = Source::STORED.map(|source| Place::observe(host, keyring, source)).into();
        let first = places.iter().find(|place| place.state != State::Absent);
        let source = first.filter(|place| place.state == State::Present).map(|place| place.source);
        Self { schema: 1, outcome: exit(source).status(), source, places }
    }

    /// [`Exit::Done`] if a key would be found, else [`Exit::NotReady`].
    pub const fn exit(&self) -> Exit {
        exit(self.source)
    }
}

const fn exit(source: Option<Source>) -> Exit {
    if source.is_some() { Exit::Done } else { Exit::NotReady }
}

impl Place {
    fn observe(host: &dyn Host, keyring: &Keyring, source: Source) -> Self {
        let (state, detail) = match look(host, keyring, source) {
            Ok(Seen::Key(key)) => (State::Present, key.to_string()),
            Ok(Seen::Nothing(why)) => (State::Absent, why),
            Err(KeyError::Invalid(_, why)) => (State::Refused, why.to_string()),
            Err(KeyError::Unsafe(_, why)) => (State::Refused, why),
            Err(error) => (State::Refused, error.to_string()),
        };
        Self { source, state, detail }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in &self.places {
            let note = match place.state {
                State::Present if self.source == Some(place.source) => " (used)",
                State::Refused => " (refused)",
                State::Present | State::Absent => "",
            };
            writeln!(f, "{}: {}{note}", place.source, place.detail)?;
        }
        match self.source {
            Some(source) => write!(f, "the key comes from: {source}"),
            None => write!(f, "there is no usable key; to store one: openai-key set"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::{Fake, Kind};
    use insta::assert_snapshot;

    const CREDENTIAL: &str = "/run/credentials/ship.service/openai_api_key";

    /// A key that ends in `tail`, put together here so that no scanner takes it for a real one.
    fn key(tail: &str) -> String {
        ["sk-", "0123456789abcdef", tail].concat()
    }

    fn keyring_with(key: &str) -> Keyring {
        let keyring = Keyring::in_memory();
        keyring.write(key.to_owned().into()).expect("the mock store takes a key");
        keyring
    }

    fn with_credential(host: Fake) -> Fake {
        host.variable("CREDENTIALS_DIRECTORY", "/run/credentials/ship.service").file(CREDENTIAL, key("cred"), 0o440, 0)
    }

    /// The masked key and its source, or the failure as a person reads it.
    fn check(host: &Fake, keyring: &Keyring) -> String {
        match find(host, keyring) {
            Ok(found) => format!("{} from {}", found.key, found.source),
            Err(error) => Failure::from(error).text(),
        }
    }

    #[test]
    fn the_first_place_that_has_a_key_wins() {
        let file = || Fake::new().file(FILE, key("file") + "\n", 0o600, 0);
        let none = Keyring::none();
        assert_snapshot!(check(&file(), &none), @"sk-…file from /etc/ai-ops-runner/secrets/openai_api_key");
        assert_snapshot!(check(&file(), &keyring_with(&key("ring"))), @"sk-…ring from keyring");
        assert_snapshot!(check(&with_credential(file()), &keyring_with(&key("ring"))), @"sk-…cred from systemd credential");
        assert_snapshot!(check(&with_credential(file()).variable(VARIABLE, key("envi")), &none), @"sk-…envi from OPENAI_API_KEY");
    }

    #[test]
    fn no_key_anywhere_says_where_it_was_sought() {
        assert_snapshot!(check(&Fake::new().variable(VARIABLE, ""), &Keyring::none()), @r"
        key-missing: no OpenAI key: OPENAI_API_KEY: not set; systemd credential: not given; keyring: there is no keyring in this session; /etc/ai-ops-runner/secrets/openai_api_key: does not exist
        next: run `openai-key set` once, or set OPENAI_API_KEY
        ");
    }

    #[test]
    fn what_is_broken_is_never_passed_over_for_the_next_place() {
        let behind = keyring_with(&key("ring"));
        assert_snapshot!(check(&Fake::new().variable(VARIABLE, "sk-1"), &behind), @r"
        key-invalid: OPENAI_API_KEY: it is 4 bytes long; a key has 16 to 512
        next: put a whole key there, or nothing: OPENAI_API_KEY
        ");
        let leaked = Fake::new().variable("CREDENTIALS_DIRECTORY", "/run/c").file(
            "/run/c/openai_api_key",
            key("cred"),
            0o444,
            0,
        );
        assert_snapshot!(check(&leaked, &behind), @r"
        key-unsafe: systemd credential: group or others may reach it (mode 0444)
        next: make it a regular file of mode 0600 that root or you own, such as /etc/ai-ops-runner/secrets/openai_api_key; if others could read it, revoke the key
        ");
        assert_snapshot!(check(&Fake::new(), &keyring_with("two words of text")), @r"
        key-invalid: keyring: it holds whitespace, a control character or something that is not ASCII
        next: put a whole key there, or nothing: keyring
        ");
    }

    #[test]
    fn k03_an_unsafe_file_is_refused() {
        assert_snapshot!(check(&Fake::new().file(FILE, key("file"), 0o640, 0), &Keyring::none()), @r"
        key-unsafe: /etc/ai-ops-runner/secrets/openai_api_key: group or others may reach it (mode 0640)
        next: make it a regular file of mode 0600 that root or you own, such as /etc/ai-ops-runner/secrets/openai_api_key; if others could read it, revoke the key
        ");
        assert_snapshot!(check(&Fake::new().special(FILE, Kind::Symlink, 0), &Keyring::none()), @r"
        key-unsafe: /etc/ai-ops-runner/secrets/openai_api_key: it is a symlink
        next: make it a regular file of mode 0600 that root or you own, such as /etc/ai-ops-runner/secrets/openai_api_key; if others could read it, revoke the key
        ");
    }

    #[test]
    fn k06_a_hanging_keyring_does_not_hide_the_file() {
        let host = Fake::new().file(FILE, key("file"), 0o600, 0);
        assert_snapshot!(check(&host, &Keyring::hanging()), @"sk-…file from /etc/ai-ops-runner/secrets/openai_api_key");
    }

    #[test]
    fn k04_nobody_is_asked_where_nobody_can_answer() {
        assert!(matches!(find_or_ask(&Fake::new(), &Keyring::none(), false), Err(KeyError::Missing(_))));
    }

    #[test]
    fn a_key_is_stored_in_the_keyring_or_by_root_in_the_file() {
        let new = Key::parse(key("newk").as_bytes()).unwrap();
        let stored = |host: &Fake, keyring: &Keyring| match store(host, keyring, &new) {
            Ok(stored) if destination(host, keyring).ok() != Some(stored.place) => "elsewhere than said".to_owned(),
            Err(error) if destination(host, keyring).map_err(|said| said.to_string()) != Err(error.to_string()) => {
                "not stored for another reason than said".to_owned()
            }
            Ok(stored) => format!("{stored}\n{}\n{}", check(host, keyring), host.transcript()),
            Err(error) => Failure::from(error).text(),
        };
        assert_snapshot!(stored(&Fake::new(), &Keyring::in_memory()), @r"
        stored: keyring
        sk-…newk from keyring
        ");
        assert_snapshot!(stored(&Fake::new().user(0), &Keyring::none()), @r"
        stored: /etc/ai-ops-runner/secrets/openai_api_key
        sk-…newk from /etc/ai-ops-runner/secrets/openai_api_key
        write /etc/ai-ops-runner/secrets/openai_api_key 600 (24 bytes)
        ");
        assert_snapshot!(stored(&Fake::new(), &Keyring::none()), @r"
        key-not-stored: the key was not stored: there is no keyring in this session
        next: unlock the keyring and try again, or as root store it in /etc/ai-ops-runner/secrets/openai_api_key: sudo openai-key set
        ");
        let open = Fake::new().user(0).special("/etc/ai-ops-runner/secrets", Kind::Dir, 0);
        assert_snapshot!(stored(&open, &Keyring::none()).lines().next().unwrap(),
            @"key-unsafe: /etc/ai-ops-runner/secrets/openai_api_key: others may write to its directory");
    }

    #[test]
    fn k01_status_shows_every_place_and_no_key() {
        let host = with_credential(Fake::new()).file(FILE, key("file"), 0o644, 0);
        let status = Status::observe(&host, &keyring_with(&key("ring")));
        assert_snapshot!(format!("{status}\nexit {}", status.exit().code()), @r"
        OPENAI_API_KEY: not set
        systemd credential: sk-…cred (used)
        keyring: sk-…ring
        /etc/ai-ops-runner/secrets/openai_api_key: group or others may reach it (mode 0644) (refused)
        the key comes from: systemd credential
        exit 0
        ");
        assert_snapshot!(serde_json::to_string(&status).unwrap(), @r#"{"schema":1,"status":"done","source":"systemd-credential","places":[{"source":"environment","state":"absent","detail":"not set"},{"source":"systemd-credential","state":"present","detail":"sk-…cred"},{"source":"keyring","state":"present","detail":"sk-…ring"},{"source":"file","state":"refused","detail":"group or others may reach it (mode 0644)"}]}"#);
    }

    #[test]
    fn a_refused_place_leaves_no_usable_key_behind_it() {
        let status = Status::observe(&Fake::new().variable(VARIABLE, "broken"), &keyring_with(&key("ring")));
        assert_snapshot!(format!("{status}\nexit {}", status.exit().code()), @r"
        OPENAI_API_KEY: it is 6 bytes long; a key has 16 to 512 (refused)
        systemd credential: not given
        keyring: sk-…ring
        /etc/ai-ops-runner/secrets/openai_api_key: does not exist
        there is no usable key; to store one: openai-key set
        exit 3
        ");
    }

    #[test]
    fn k01_no_error_or_debug_form_holds_the_key() {
        let host = Fake::new().variable(VARIABLE, key("envi"));
        let found = find(&host, &Keyring::none()).unwrap();
        let shown = format!("{found:?}");
        assert_eq!((shown.contains(&key("envi")), shown.contains("sk-…envi")), (false, true));
        let broken = key("with space");
        let error = find(&Fake::new().variable(VARIABLE, &broken), &Keyring::none()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&broken));
    }
}
