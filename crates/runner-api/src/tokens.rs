//! Tokens: secrets that say who asks. Only their hashes are kept.
//!
//! **Invariant:** a token is 256 random bits, so that its hash tells nothing of it, and no list has to be gone through in
//! constant time.
//! **Invariant:** a session is good for nothing without the token that it was begun with.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use host::{Host, HostError};
use job::Time;
use job_store::{Store, StoreError, Token};
use outcome::Failure;
use runner::token::{FILE, OPERATOR, PREFIX, read};
use sha2::{Digest as _, Sha256};

use crate::scope::Scope;

/// Before the hash of the token that a session was begun with; it stands among the scopes, which know no such word.
const SESSION_OF: &str = "session-of:";

/// A new secret.
pub fn secret(host: &dyn Host) -> String {
    format!("{PREFIX}{}", host.random_hex(32))
}

/// What is kept of a secret.
pub fn hash(secret: &str) -> String {
    Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Keeps a new token. Returns its secret, which nobody can tell again.
///
/// # Errors
/// Usage, class `token-name`, for a name that is none, or of a token that is there; those of the store.
pub async fn issue(
    host: &dyn Host,
    store: &dyn Store,
    name: &str,
    scopes: &BTreeSet<Scope>,
    expires_at: Option<Time>,
) -> Result<String, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        let next = "use 1 to 64 letters, digits and `._@-`";
        return Err(Failure::usage("token-name", "that is no name of a token", next));
    }
    if all(store).await?.iter().any(|token| token.name == name) {
        let next = format!("choose another name, or remove that one: runner-api token remove {name}");
        return Err(Failure::usage("token-name", format!("there is a token called {name}"), next));
    }
    let secret = secret(host);
    store.put_token(&token(&secret, name, scopes, expires_at)).await?;
    Ok(secret)
}

pub(crate) fn token(secret: &str, name: &str, scopes: &BTreeSet<Scope>, expires_at: Option<Time>) -> Token {
    let scopes = scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    Token { hash: hash(secret), name: name.to_owned(), scopes, expires_at }
}

/// A session that was begun with a token, and is good for the same.
pub(crate) fn session(secret: &str, begun_with: Token, expires_at: Option<Time>) -> Token {
    let mut scopes = begun_with.scopes;
    scopes.push(format!("{SESSION_OF}{}", begun_with.hash));
    Token { hash: hash(secret), name: begun_with.name, scopes, expires_at }
}

/// The hash of the token that a session was begun with; `None` for a token.
pub(crate) fn begun_with(token: &Token) -> Option<&str> {
    token.scopes.iter().find_map(|scope| scope.strip_prefix(SESSION_OF))
}

/// The token or session with this hash, unless it has ended.
pub(crate) async fn known(store: &dyn Store, hash: &str) -> Result<Option<Token>, StoreError> {
    let Some(token) = store.token(hash).await? else { return Ok(None) };
    // A token may be removed in the moment in which a session is begun with it.
    let good = match begun_with(&token) {
        Some(begun_with) => store.token(begun_with).await?.is_some(),
        None => true,
    };
    Ok(Some(token).filter(|_| good))
}

/// The tokens and sessions that are good for something, by name.
///
/// # Errors
/// Those of the store.
pub async fn all(store: &dyn Store) -> Result<Vec<Token>, StoreError> {
    let mut all = store.tokens().await?;
    let hashes: BTreeSet<String> = all.iter().map(|token| token.hash.clone()).collect();
    all.retain(|token| begun_with(token).is_none_or(|begun_with| hashes.contains(begun_with)));
    Ok(all)
}

/// What a token is good for.
pub fn scopes(token: &Token) -> BTreeSet<Scope> {
    token.scopes.iter().filter_map(|scope| scope.parse().ok()).collect()
}

/// Sees that the token in the state directory is there and good for everything.
///
/// # Errors
/// Not ready, class `token-unsafe`, when others can read it; those of the machine and of the store.
pub async fn first(host: &dyn Host, store: &dyn Store, state: &Path) -> Result<(), Failure> {
    let path = state.join(FILE);
    let known = read(host, &path)?;
    let secret = known.clone().unwrap_or_else(|| secret(host));
    if known.is_none() {
        host.write_atomic(&path, format!("{secret}\n").as_bytes(), 0o600)?;
    }
    let all = Scope::ALL.into_iter().collect();
    Ok(store.put_token(&token(&secret, OPERATOR, &all, None)).await?)
}

/// Makes the tokens of a name, with their sessions, good for nothing. Returns how many there were.
///
/// # Errors
/// Those of the store, and of the file of the first token, which goes with that.
pub async fn remove(store: &dyn Store, state: &Path, name: &str) -> Result<u64, Failure> {
    let count = store.remove_tokens(name).await?;
    if name == OPERATOR {
        // Else the next start would put it back.
        let path = state.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(HostError::io(path)(error).into()),
            _ => {}
        }
    }
    Ok(count)
}
