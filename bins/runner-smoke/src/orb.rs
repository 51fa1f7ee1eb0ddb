//! The ORB part: left out with a warning where there is no such repository, or its remote cannot be reached.

use doctor::Check;
use job::Status;
use outcome::{Exit, Failure};
use runner::Source;
use runner_wire::Submit;

use crate::checks::{Smoke, told};

const NAME: &str = "orb";
/// What the doctor's job leaves, and the most of it that is read, in bytes.
const OUTPUT: &str = "DOCTOR_OUTPUT.txt";
const MAX_OUTPUT: u64 = 16 << 20;

/// The doctor of the ORB repository `repo`, by the service.
///
/// # Errors
/// Only that somebody wanted to stop.
pub(crate) fn check(smoke: &Smoke<'_>, repo: &str) -> Result<Vec<Check>, Failure> {
    smoke.cx.console.working(NAME);
    let host = &smoke.cx.host;
    let sha = match Source::find(host, smoke.site, repo, None).and_then(|source| source.tip(host)) {
        Ok(sha) => sha,
        Err(failure) if failure.class == "interrupted" => return Err(failure),
        Err(failure) => return Ok(vec![skipped(&failure)]),
    };
    let wanted = Submit { repo_name: repo.to_owned(), sha, job_type: "orb_doctor".into(), ..Submit::default() };
    let ran = match smoke.run(&wanted) {
        Ok(ran) => ran,
        Err(failure) if failure.class == "interrupted" => return Err(failure),
        // The service knows no such repository, or may not run this on it.
        Err(failure) if failure.exit == Exit::Refused => return Ok(vec![skipped(&failure)]),
        Err(failure) => return Ok(vec![Check::fail(NAME, "orb-failed", told(&failure), failure.next)]),
    };
    let mut output = Vec::new();
    let read = smoke.client.download(&ran.id, OUTPUT, MAX_OUTPUT, &mut output);
    let next = format!("see it: runner show {}", ran.id);
    let check = match (ran.end.status, read) {
        (Status::Success, Ok(bytes)) if bytes > 0 => Check::pass(NAME, format!("{OUTPUT} has {bytes} bytes")),
        (Status::Failure, Ok(bytes)) if bytes > 0 => {
            Check::warn(NAME, "orb-unhealthy", format!("its doctor found something: {}", smoke.why(&ran)), next)
        }
        (_, Ok(_)) => Check::fail(NAME, "orb-failed", smoke.why(&ran), next),
        (_, Err(failure)) => Check::fail(NAME, "orb-failed", format!("{}; {}", smoke.why(&ran), told(&failure)), next),
    };
    Ok(vec![check])
}

fn skipped(failure: &Failure) -> Check {
    Check::warn(NAME, "orb-skipped", format!("left out: {}", told(failure)), failure.next.clone())
}
