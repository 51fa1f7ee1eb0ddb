//! Tokens: secrets that say who asks. Only their hashes are kept.
//!
//! **Invariant:** a token is 256 random bits, so that its hash tells nothing of it, and no list has to be gone through in
//! constant time.

use std::collections::BTreeSet;
use std::path::Path;

use host::{Host, Kind};
use job::Time;
use job_store::{Store, Token};
use outcome::Failure;
use sha2::{Digest as _, Sha256};

use crate::scope::Scope;

/// The file of the first token, below the state directory: what a client on this machine finds by itself.
pub const FILE: &str = "token";
/// Before the digits, so that a token is known for one where it should not be.
pub(crate) const PREFIX: &str = "aor_";
/// Whose the first token is.
const OPERATOR: &str = "operator";

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

/// The secret in a file; `None` where there is none.
///
/// # Errors
/// Not ready, class `token-unsafe`, when others can read it, and `bad-token` when it is none.
pub fn read(host: &dyn Host, path: &Path) -> Result<Option<String>, Failure> {
    let Some(stat) = host.stat(path)? else { return Ok(None) };
    let at = path.display();
    if stat.kind != Kind::File || stat.mode & 0o077 != 0 || (stat.uid != host.uid() && stat.uid != 0) {
        let reason = format!("{at} is no file of yours that only you can read");
        // Whoever read it still has it: it is to be good for nothing.
        let next = format!("start the service with a new one: runner-api token remove {OPERATOR}; rm {at}");
        return Err(Failure::not_ready("token-unsafe", reason, next));
    }
    let bytes = host.read(path)?.unwrap_or_default();
    let secret = String::from_utf8(bytes).ok().map(|text| text.trim().to_owned());
    let is_token = |secret: &String| {
        let digits = secret.strip_prefix(PREFIX);
        digits.is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    secret.filter(is_token).map(Some).ok_or_else(|| {
        let next = format!("remove it and start the service again for a new one: rm {at}");
        Failure::not_ready("bad-token", format!("{at} holds no token"), next)
    })
}
