//! Who asks: by a token, by the cookie of a session, or as a proxy of the tailnet says on a unix socket.
//!
//! **Invariant:** `Tailscale-User-Login` counts only on a unix socket that is made for it: on a port of loopback any process
//! could say it.
//! **Invariant:** what a browser sends by itself, a cookie or the proxy's header, changes nothing for another site's page.

use std::collections::BTreeSet;

use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};
use job_store::{StoreError, Token};
use runner_page::Viewer;

use crate::problem::Refused;
use crate::scope::Scope;
use crate::service::Api;
use crate::tokens;

/// What the proxy of the tailnet says of who asks.
const LOGIN: &str = "tailscale-user-login";
/// The cookie of a session.
pub(crate) const SESSION: &str = "ai_ops_runner_session";

/// How a request came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Only tokens say who asks.
    Plain,
    /// Who may connect is believed about who asks.
    Vouched,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    pub(crate) name: String,
    pub(crate) scopes: BTreeSet<Scope>,
    /// The hash of the token or session; none of a person.
    token: Option<String>,
    /// The browser says so by itself, with every request.
    ambient: bool,
}

impl Principal {
    pub(crate) fn viewer(&self) -> Viewer {
        let may = |scope: Scope| scope.within(&self.scopes);
        Viewer { login: self.name.clone(), may_submit: may(Scope::Submit), may_admin: may(Scope::Admin) }
    }

    /// Whether this one is still known.
    pub(crate) async fn lasts(&self, api: &Api) -> Result<bool, StoreError> {
        let Some(hash) = &self.token else { return Ok(true) };
        Ok(tokens::known(api.store.as_ref(), hash).await?.is_some())
    }

    /// That this one may do that.
    pub(crate) fn may(&self, scope: Scope) -> Result<(), Refused> {
        if scope.within(&self.scopes) {
            return Ok(());
        }
        let detail = format!("{} may not do this: it takes the scope {scope}", self.name);
        Err(Refused::new(StatusCode::FORBIDDEN, "scope-missing", detail, "use a token that has it"))
    }
}

/// Says who asks.
pub(crate) async fn authenticate(
    api: &Api,
    transport: Transport,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Principal, Refused> {
    let principal = match stated(transport, headers)? {
        Stated::Secret { secret, ambient } => {
            let found = tokens::known(api.store.as_ref(), &tokens::hash(secret)).await?;
            // A session is a browser's: whoever else got its cookie is not to use it as a token.
            let found = found.filter(|token| tokens::begun_with(token).is_some() == ambient);
            let token = found.ok_or_else(|| unknown("that token is not known, or it expired"))?;
            of_token(token, ambient)
        }
        Stated::Login(login) => {
            let scopes = api.people.scopes(login).ok_or_else(|| {
                let detail = format!("{} may do nothing here", outcome::printable(login));
                let next = format!("name that login in {}, then start the service again", crate::people::FILE);
                Refused::new(StatusCode::FORBIDDEN, "not-a-person", detail, next)
            })?;
            Principal { name: login.to_owned(), scopes: scopes.clone(), token: None, ambient: true }
        }
        Stated::Nothing => return Err(unknown("this takes a token")),
    };
    if principal.ambient && !method.is_safe() {
        same_site(headers)?;
    }
    Ok(principal)
}

/// What a request says of who asks. Two that say it differently are one too many.
enum Stated<'a> {
    Secret { secret: &'a str, ambient: bool },
    Login(&'a str),
    Nothing,
}

fn stated(transport: Transport, headers: &HeaderMap) -> Result<Stated<'_>, Refused> {
    if let Some(value) = single(headers, AUTHORIZATION.as_str())? {
        let (kind, secret) = value.split_once(' ').unwrap_or((value, ""));
        if !kind.eq_ignore_ascii_case("bearer") {
            return Err(unknown("only bearer tokens are known"));
        }
        return Ok(Stated::Secret { secret: secret.trim(), ambient: false });
    }
    if transport == Transport::Vouched
        && let Some(login) = single(headers, LOGIN)?
    {
        return Ok(Stated::Login(login));
    }
    Ok(cookie(headers).map_or(Stated::Nothing, |secret| Stated::Secret { secret, ambient: true }))
}

/// The value of a header that is sent once at most.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refused> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refused::bad("header-twice", format!("the header {name} is sent twice"), "send it once"));
    }
    let text = first.map(|value| value.to_str().map_err(|_| unknown("a header holds what is no text")));
    text.transpose()
}

/// The secret of a session.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == SESSION).map(|(_, value)| value)
}

fn of_token(token: Token, ambient: bool) -> Principal {
    Principal { scopes: tokens::scopes(&token), name: token.name, token: Some(token.hash), ambient }
}

fn unknown(detail: &str) -> Refused {
    let next = "send `Authorization: Bearer TOKEN`; the first token is in the file `token` of the state directory";
    Refused::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail, next)
}

/// That the page which sends this is one of ours. Every browser says where from in at least one of two ways.
pub(crate) fn same_site(headers: &HeaderMap) -> Result<(), Refused> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let same = match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            let from = origin.split_once("://").map(|(_, from)| from);
            from.is_some() && from == text(HOST.as_str())
        }
        (None, None) => false,
    };
    if same {
        return Ok(());
    }
    let detail = "another site's page may not do this in your name";
    Err(Refused::new(StatusCode::FORBIDDEN, "cross-site", detail, "do it on the runner's own page, or send a token"))
}
