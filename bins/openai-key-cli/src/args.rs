//! The arguments.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

/// Find, store and hand on the OpenAI key without showing it
#[derive(Debug, Parser)]
#[command(name = "openai-key", version, arg_required_else_help = true)]
pub(crate) struct Args {
    /// Print `export OPENAI_API_KEY=…` for `eval`; never to a terminal
    #[arg(long)]
    pub(crate) emit_env: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Action>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Print the key; never to a terminal
    Get,
    /// Store a key read from stdin or typed at the terminal
    Set,
    /// Say where the key comes from, masked
    Status,
    /// Run a command with the key in its environment
    Exec {
        /// The variable it gets the key in; the Codex CLI reads `CODEX_API_KEY`
        #[arg(long = "as", value_name = "VARIABLE", default_value = openai_key::VARIABLE, value_parser = [openai_key::VARIABLE, openai_key::CODEX_VARIABLE])]
        variable: String,
        /// The command and its arguments
        #[arg(required = true, last = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
}
