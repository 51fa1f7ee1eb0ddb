//! What each command does.

use std::io::{self, IsTerminal, Read};

use cli::{Console, Context};
use openai_key::{
    Key, KeyError, Keyring, Source, Status, destination, exec, export_line, find_or_ask, no_core_dumps, store,
};
use outcome::{Exit, Failure};

use crate::args::{Action, Args};

pub(crate) fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    no_core_dumps()?;
    let console = &context.console;
    let keyring = Keyring::of_session(&context.host);
    let found = || -> Result<Key, Failure> {
        let found = find_or_ask(&context.host, &keyring, console.interactive())?;
        match &found.stored {
            Some(Ok(stored)) => console.note(&stored.to_string()),
            Some(Err(why)) => console.note(why),
            None => {}
        }
        Ok(found.key)
    };
    match (args.emit_env, args.command) {
        (true, None) => reveal(console, || Ok(export_line(&found()?).as_bytes().to_vec())),
        (false, Some(Action::Get)) => reveal(console, || Ok([found()?.expose().as_bytes(), b"\n"].concat())),
        (false, Some(Action::Set)) => {
            let place = destination(&context.host, &keyring)?;
            console.result(&store(&context.host, &keyring, &read_new(console, place)?)?)?;
            Ok(Exit::Done)
        }
        (false, Some(Action::Status)) => {
            let status = Status::observe(&context.host, &keyring);
            console.result(&status)?;
            Ok(status.exit())
        }
        (false, Some(Action::Exec { variable, command })) => match command.split_first() {
            Some((program, rest)) => Err(exec(&context.host, &found()?, &variable, program, rest).into()),
            None => Err(Failure::usage("no-command", "exec needs a command", "openai-key exec -- CMD")),
        },
        (true, Some(_)) | (false, None) => {
            Err(Failure::usage("arguments", "give one of --emit-env, get, set, status, exec", "openai-key --help"))
        }
    }
}

/// Writes the key to a file or a pipe: never to a terminal, whose contents stay to be read, and never as JSON.
fn reveal(console: &Console, bytes: impl FnOnce() -> Result<Vec<u8>, Failure>) -> Result<Exit, Failure> {
    if console.json() {
        return Err(Failure::usage("key-in-json", "the key is never printed as JSON", "use `status --json`"));
    }
    if io::stdout().is_terminal() {
        let next = "openai-key exec -- CMD, or eval \"$(openai-key --emit-env)\"";
        return Err(Failure::refused("terminal", "the key is never printed to a terminal", next));
    }
    console.stdout(&bytes()?)?;
    Ok(Exit::Done)
}

/// A key from stdin, or typed without echo where stdin is a terminal; never from an argument.
fn read_new(console: &Console, place: Source) -> Result<Key, Failure> {
    if console.interactive() {
        return Ok(openai_key::ask(Some(place))?);
    }
    let mut typed = Vec::new();
    io::stdin().lock().take(4096).read_to_end(&mut typed).map_err(KeyError::Terminal)?;
    let key = Key::parse(&typed);
    typed.fill(0);
    Ok(key.map_err(|invalid| KeyError::Invalid(Source::Prompt, invalid))?)
}
