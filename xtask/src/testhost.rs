//! `cargo xtask testhost`: a machine as tests have it, to look at and to try things on. It is gone with all that was done
//! to it when the command or the shell ends, and so is everything when the task is killed.

use std::ffi::OsString;
use std::io::{IsTerminal as _, stdin};
use std::process::Command;

use clap::Args;
use outcome::Failure;
use real_parts::{Broken, Machine, Tree};

/// Makes a terminal that the machine knows, and keeps no record of it.
const SHELL: [&str; 5] = ["script", "--quiet", "--return", "--command=bash --login", "/dev/null"];

#[derive(Args)]
pub(crate) struct Arguments {
    /// Debian 13 with Docker instead of Debian 12
    #[arg(long)]
    docker: bool,
    /// Without `tailscale0`
    #[arg(long)]
    without_tailnet: bool,
    /// What runs on it, as root; without any, a shell
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// # Errors
/// Not ready when it does not boot; refused when the command fails.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let machine = boot(arguments).map_err(|error| {
        Failure::not_ready("testhost", error.to_string(), "mend what it names, then run it again: cargo xtask setup")
    })?;
    eprintln!("testhost: {} after {:.2} s", machine.state(), machine.boot_time().as_secs_f64());
    let mut command = command(&machine, &arguments.command);
    let ended = command.status();
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::refused("testhost", format!("the command ended with {status}"), "see what it says")),
        Err(error) => Err(Failure::not_ready("testhost", format!("nsenter: {error}"), "install util-linux")),
    }
}

fn boot(arguments: &Arguments) -> Result<Machine, Broken> {
    let tree = if arguments.docker { Tree::docker() } else { Tree::debian() }?;
    let builder = Machine::builder(&tree)?;
    let builder = if arguments.without_tailnet { builder.without_tailnet() } else { builder };
    builder.boot()
}

fn command(machine: &Machine, words: &[OsString]) -> Command {
    match words {
        [program, args @ ..] => {
            let mut command = machine.command(program);
            command.args(args);
            command
        }
        [] if stdin().is_terminal() => {
            let mut command = machine.command(SHELL[0]);
            command.args(&SHELL[1..]).env("TERM", std::env::var_os("TERM").unwrap_or_default());
            command
        }
        [] => machine.command("bash"),
    }
}
