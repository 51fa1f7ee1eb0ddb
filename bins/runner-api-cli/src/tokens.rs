//! `runner-api token`: who may use the service.

use std::collections::BTreeSet;
use std::fmt;
use std::process::ExitCode;

use cli::{Context, service};
use job::Time;
use job_store::Store;
use outcome::{Exit, Failure};
use runner::Site;
use runner_api::{Scope, tokens};
use serde::Serialize;

use crate::args::{Common, TokenAction};
use crate::serve::{queue, site};

pub(crate) fn run(action: TokenAction, common: &Common, cx: &Context) -> Result<ExitCode, Failure> {
    let site = site(common, cx)?;
    service::runtime(1)?.block_on(async {
        let store = queue(common, &site).await?;
        perform(action, store.as_ref(), &site, cx).await
    })?;
    Ok(Exit::Done.into())
}

async fn perform(action: TokenAction, store: &dyn Store, site: &Site, cx: &Context) -> Result<(), Failure> {
    match action {
        TokenAction::Add { name, scope, days } => {
            let now = store.now().await?.as_millis();
            let end = days.map(|days| Time::from_millis(now + i64::from(days) * 24 * 60 * 60 * 1000)).transpose();
            let end = end.map_err(|error| Failure::usage("arguments", error.to_string(), "name fewer days"))?;
            let scopes = scope.into_iter().collect::<BTreeSet<_>>();
            let token = tokens::issue(&cx.host, store, &name, &scopes, end).await?;
            cx.console.result(&Added { schema: 1, status: Exit::Done.status(), name, token })
        }
        TokenAction::List => {
            let all = tokens::all(store).await?.into_iter().map(|token| Listed {
                scopes: tokens::scopes(&token),
                name: token.name,
                expires_at: token.expires_at,
            });
            cx.console.result(&List { schema: 1, status: Exit::Done.status(), tokens: all.collect() })
        }
        TokenAction::Remove { name } => match tokens::remove(store, &site.state, &name).await? {
            0 => {
                let reason = format!("there is no token called {name}");
                Err(Failure::refused("no-token", reason, "see which there are: runner-api token list"))
            }
            count => cx.console.result(&Removed { schema: 1, status: Exit::Done.status(), count }),
        },
    }
}

#[derive(Serialize)]
struct Added {
    schema: u32,
    status: &'static str,
    name: String,
    token: String,
}

/// The token alone, so that a shell can take it.
impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.token)
    }
}

#[derive(Serialize)]
struct List {
    schema: u32,
    status: &'static str,
    tokens: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    name: String,
    scopes: BTreeSet<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Time>,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens.iter().try_for_each(|Listed { name, scopes, expires_at }| {
            let until = expires_at.map_or_else(|| "for ever".to_owned(), |at| format!("until {at}"));
            let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
            writeln!(f, "{name}: {} {until}", scopes.join(", "))
        })
    }
}

#[derive(Serialize)]
struct Removed {
    schema: u32,
    status: &'static str,
    count: u64,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "removed {}", self.count)
    }
}
