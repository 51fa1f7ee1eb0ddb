//! What the programs of a harness share: one run, and the script's exit code as the program's.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use outcome::Exit;

use crate::harness::Harness;
use crate::place::Place;

impl Harness {
    /// Runs the script in the working directory, as a program with the arguments `A`. Its exit code is the script's.
    pub fn program<A: Parser>(self) -> ExitCode {
        let mut of_script = None;
        let exit = cli::main(|_: A, cx| {
            let place = Place::of(&cx.host, Path::new("."))?;
            let console = cx.console.clone();
            let ran = self.run(&place, Box::new(move |line| console.note(line)))?;
            of_script = ran.failed_with();
            cx.console.result(&ran.into_result()?)?;
            Ok(Exit::Done)
        });
        of_script.map_or(exit, ExitCode::from)
    }
}
