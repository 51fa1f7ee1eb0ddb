//! `openai-key`: get, set, status and exec for the OpenAI key.

mod args;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(run::run)
}
