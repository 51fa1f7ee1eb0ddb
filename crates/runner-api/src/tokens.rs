//! Tokens: secrets that say who asks. Only their hashes are kept.
//!
//! **Invariant:** a token is 256 random bits, so that its hash tells nothing of it, and no list has to be gone through in
//! constant time.

use std::collections::BTreeSet;
use std::path::Path;

use host::Host;
use job::Time;
use job_store::{Store, Token};
use outcome::Failure;
use runner::token::{FILE, OPERATOR, PREFIX, read};
use sha2::{Digest as _, Sha256};

use crate::scope::Scope;

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
    if store.tokens().await?.iter().any(|token| token.name == name) {
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
