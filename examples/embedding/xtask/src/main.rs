//! Tasks of a project that is not ai-ops-runner:
//!
//! - `cargo xtask bundle SINCE TO` shows what a reviewer of the range would see;
//! - `cargo xtask release SINCE TO` goes on only with an approving verdict for exactly that range.

use std::path::Path;
use std::process::ExitCode;

use host::Local;
use outcome::Failure;
use repo::{PolicySource, Repo, collect, policy_for, push_blocked, range_facts};
use verdict::Oid;
use verdict::gate::judge_range;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["bundle", since, to] => Range::open(since, to).and_then(|range| range.bundle()),
        ["release", since, to] => Range::open(since, to).and_then(|range| range.release()),
        _ => Err(Failure::usage("arguments", "a task and a range are needed", "cargo xtask bundle|release SINCE TO")),
    };
    match outcome {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{}", failure.text());
            failure.exit.code().into()
        }
    }
}

/// The ref whose ranges are judged.
const RELEASED: &str = "refs/heads/main";

/// Two commits of the repository the task was started in; each was resolved once.
struct Range {
    repo: Repo,
    since: Oid,
    to: Oid,
}

impl Range {
    fn open(since: &str, to: &str) -> Result<Self, Failure> {
        let repo = Repo::open(Path::new("."))?;
        let host = Local::new();
        let (since, to) = (repo.resolve(&host, since)?, repo.resolve(&host, to)?);
        Ok(Self { repo, since, to })
    }

    /// The text a reviewer sees, under the policy that stands at the beginning of the range.
    fn bundle(&self) -> Result<String, Failure> {
        let objects = self.repo.objects();
        let policy = policy_for(objects, Some(&self.since), PolicySource::default(), RELEASED)?;
        Ok(collect(objects, Some(&self.since), &self.to, &policy)?.bundle.shown())
    }

    /// Asks the gate, as `push-gate verify` does. What a release needs comes after it.
    fn release(&self) -> Result<String, Failure> {
        let facts = range_facts(&self.repo, RELEASED, &self.since, &self.to, PolicySource::default(), Vec::new());
        judge_range(&facts).map_err(|refusals| push_blocked(&refusals))?;
        Ok(format!("{} is reviewed: releasing it\n", self.to))
    }
}
