//! The service that a command is for.

use cli::Context;
use outcome::Failure;
use runner::token;
use runner_client::{Base, Client};

use crate::args::Service;

/// A client of the service; Ctrl-C ends its waits.
pub(crate) fn connect(service: &Service, cx: &Context) -> Result<Client, Failure> {
    let base = Base::find(service.api.as_deref(), token::socket(&cx.host, service.state.clone()))?;
    let token = token::find(&cx.host, service.state.clone(), base.is_socket())?;
    Ok(Client::new(base, Some(&token))?.cancelled_by(cx.cancel.clone()))
}
