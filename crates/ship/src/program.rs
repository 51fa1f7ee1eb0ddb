//! What the programs that ship share: options from the environment, news for the console, one run.

use std::ffi::OsStr;
use std::sync::Arc;

use cli::{Console, Context, Route};
use host::Host;
use outcome::{Exit, Failure};
use verdict::policy::SHOWN_BYTES;

use crate::driver::{Options, Told, run};
use crate::machine::Limits;
use crate::progress::Progress;
use crate::review::Manner;

/// Runs a program that ships along `route` within `limits`.
///
/// # Errors
/// Those of [`run`]; usage, for a variable of another form.
pub fn perform(cx: &Context, route: Route, limits: Limits) -> Result<Exit, Failure> {
    let options = Options::from_environment(&cx.host, route.remote, limits, cx.console.interactive())?;
    let end = run(&cx.host, &route.place.directory, &options, &teller(&cx.console));
    cx.console.finish();
    cx.console.result(&end?)?;
    Ok(Exit::Done)
}

impl Options {
    /// Options as the environment has them: `CODEX_SKIP=1` simulates the review, `REVIEW_BUNDLE_SIZE_CAP` replaces the
    /// policy's size cap.
    ///
    /// # Errors
    /// Usage, for a cap that is no number of bytes or none that a policy may have.
    pub fn from_environment(
        host: &dyn Host,
        remote: Option<String>,
        limits: Limits,
        interactive: bool,
    ) -> Result<Self, Failure> {
        let simulated = host.env("CODEX_SKIP").is_some_and(|value| value == "1");
        let size_cap = host.env("REVIEW_BUNDLE_SIZE_CAP").map(|value| bytes(&value)).transpose()?;
        let limits = Limits { heal: limits.heal && !simulated, ..limits };
        Ok(Self { remote, limits, manner: Manner { simulated, size_cap, interactive } })
    }
}

/// A variable may say what a policy may say, and no more.
fn bytes(value: &OsStr) -> Result<u64, Failure> {
    let number = value.to_str().and_then(|value| value.parse().ok());
    number.filter(|bytes| SHOWN_BYTES.contains(bytes)).ok_or_else(|| {
        let (least, most) = SHOWN_BYTES.into_inner();
        let reason = format!(
            "REVIEW_BUNDLE_SIZE_CAP is {}, which is no number of bytes from {least} to {most}",
            value.display()
        );
        Failure::usage("size-cap", reason, "unset it, or set such a number")
    })
}

/// Tells `console` what happens; what a step writes, and how far it is, only for as long as it runs. Whoever is told so
/// calls `finish` at the end.
pub fn teller(console: &Console) -> Told {
    let console = console.clone();
    Arc::new(move |progress| match &progress {
        Progress::Working { line } => console.working(line),
        told => {
            // The time that is shown is that of a step.
            if matches!(told, Progress::Step { .. }) {
                console.finish();
            }
            console.event(told);
            if let Some(line) = told.then() {
                console.working(&line);
            }
        }
    })
}
