//! What the program does: gather what git says, have the gate judge it, hand on.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cli::Context;
use host::Host;
use outcome::{Exit, Failure};
use repo::{PolicySource, Repo, push_blocked, push_facts, range_facts};
use serde::Serialize;
use verdict::gate::{judge, judge_range, parse_pre_push};
use verdict::schema::Invalid;
use verdict::{Oid, Verdict};

use crate::args::{Action, Args};

pub(crate) fn run(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let directory = &args.place.directory;
    match args.command {
        Action::PrePush { former, remote } => {
            // What git pushes from, also when that is not around the directory it runs the hook in.
            let git_dir = cx.host.env("GIT_DIR").map(PathBuf::from);
            pre_push(cx, git_dir.as_deref().unwrap_or(directory), former.as_deref(), &remote)
        }
        Action::Verify { range, refname, verdict } => verify(cx, directory, &range, &refname, verdict.as_deref()),
    }
}

fn pre_push(cx: &Context, directory: &Path, former: Option<&Path>, remote: &[OsString]) -> Result<Exit, Failure> {
    let mut stdin = Vec::new();
    let broken = |error: io::Error| Failure::infrastructure("stdin", format!("stdin: {error}"), "push again");
    io::stdin().lock().take(verdict::gate::MAX_STDIN as u64 + 1).read_to_end(&mut stdin).map_err(broken)?;
    let malformed = |error: verdict::gate::Malformed| {
        Failure::refused("push-blocked", format!("PUSH BLOCKED\n{error}"), "push with git 2.40 or later")
    };
    let updates = parse_pre_push(&stdin).map_err(malformed)?;
    if !updates.is_empty() {
        let repo = Repo::open(directory)?;
        let pinned = pinned_policy(&cx.host)?;
        let facts = push_facts(&repo, updates, PolicySource { pinned: pinned.as_deref() });
        judge(&facts).map_err(|refusals| push_blocked(&refusals))?;
    }
    former.map_or(Ok(()), |former| hooks::hand_on(former, remote, &stdin))?;
    Ok(Exit::Done)
}

fn verify(
    cx: &Context,
    directory: &Path,
    range: &(String, String),
    refname: &str,
    file: Option<&Path>,
) -> Result<Exit, Failure> {
    let repo = Repo::open(directory)?;
    let since = match range.0.parse::<Oid>() {
        Ok(id) if id.is_zero() => id,
        _ => repo.resolve(&cx.host, &range.0)?,
    };
    let to = repo.resolve(&cx.host, &range.1)?;
    let given = file.map(|file| read_verdict(&cx.host, file)).transpose()?;
    let pinned = pinned_policy(&cx.host)?;
    let source = PolicySource { pinned: pinned.as_deref() };
    let facts = range_facts(&repo, refname, &since, &to, source, given.into_iter().collect());
    judge_range(&facts).map_err(|refusals| push_blocked(&refusals))?;
    cx.console.result(&Passed { schema: 1, status: "passed", since: since.to_string(), to: to.to_string() })?;
    Ok(Exit::Done)
}

fn read_verdict(host: &dyn Host, file: &Path) -> Result<Result<Verdict, Invalid>, Failure> {
    let bytes = host.read(file)?.ok_or_else(|| {
        Failure::not_ready("no-verdict-file", format!("there is no {}", file.display()), "name the verdict's file")
    })?;
    Ok(Verdict::parse(&bytes))
}

/// The policy that was pinned beside this program when it was installed.
fn pinned_policy(host: &dyn Host) -> Result<Option<Vec<u8>>, Failure> {
    let unknown = |error: io::Error| Failure::not_ready("own-path", error.to_string(), "run install-hooks again");
    let program = std::env::current_exe().map_err(unknown)?;
    Ok(host.read(&program.with_file_name("policy.toml"))?)
}

/// What `verify` prints.
#[derive(Serialize)]
struct Passed {
    schema: u32,
    status: &'static str,
    since: String,
    to: String,
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{} may be pushed", self.since, self.to)
    }
}
