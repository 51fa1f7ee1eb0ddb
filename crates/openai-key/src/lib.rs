//! The OpenAI key: where it comes from, in which order, and how it reaches one child.
//!
//! [`find()`] looks, in this order, at the variable `OPENAI_API_KEY`, the systemd credential `openai_api_key`, the
//! user's keyring and the file [`FILE`]; [`find_or_ask`] then asks on a terminal and stores the answer. A place that
//! holds something broken or unsafe ends the search with an error: it is never passed over for the next one.
//!
//! **Invariant:** a [`Key`] is wiped when dropped and shows as `sk-…abcd`, whoever prints it; only [`Key::expose`]
//! and what takes it to a child or a store see all of it.
//! **Invariant:** nothing here waits longer than five seconds for a keyring, or asks where nobody can answer.
//!
//! `KEEP_OPENAI_KEY`: the commands a program runs do not inherit a key from it; [`withheld`] names the variables to
//! leave out. `KEEP_OPENAI_KEY=1` lets them pass to ordinary commands, as a shell session expects that exported the
//! key itself. It never lets them pass to tests, heals or jobs: those run code that nobody has reviewed yet.

#![allow(
    clippy::disallowed_methods,
    reason = "replacing the process and asking on a terminal are effects of this crate"
)]

mod find;
mod key;
mod keyring;
mod private;
mod process;
mod terminal;

pub use find::{Found, KeyError, Place, Source, State, Status, Stored, ask, destination, find, find_or_ask, store};
pub use key::{InvalidKey, Key};
pub use keyring::Keyring;
pub use process::{exec, export_line, no_core_dumps, withheld};

/// The key's file on a host without a keyring: a regular file of root or the user, closed to everyone else.
pub const FILE: &str = "/etc/ai-ops-runner/secrets/openai_api_key";

/// The variable that holds the key, for people and most programs.
pub const VARIABLE: &str = "OPENAI_API_KEY";

/// The variable that the Codex CLI reads the key from: its built-in provider ignores [`VARIABLE`].
pub const CODEX_VARIABLE: &str = "CODEX_API_KEY";
