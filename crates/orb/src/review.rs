//! The repository's own review bundle, or packets where that is over its size cap.

use std::fmt;

use host::Status;
use job::size_cap::{self, SizeCapMeta};
use outcome::Failure;
use repo::{Commit, Repo, RepoError, is_ancestor};
use serde::Serialize;
use verdict::Oid;

use crate::outputs::Found;
use crate::packets::{self, Range};
use crate::place::Place;
use crate::script::{Script, Told, failed};

/// The script: it is called with `--since ID --output FILE` and exits with 6 when the bundle is over its size cap.
const SCRIPT: Script = Script { path: "ops/review_bundle.sh", parameters: &["SINCE_SHA", "REVIEW_BUNDLE_SIZE_CAP"] };
/// The bundle, or what is said in its place.
const OUTPUT: &str = "REVIEW_BUNDLE.txt";
/// The script's word for "over the size cap".
const OVER_THE_CAP: Status = Status::Exited(6);

/// A review bundle, or packets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reviewed {
    schema: u32,
    status: &'static str,
    /// `bundle` or `packet`.
    mode: &'static str,
    output: &'static str,
    since_sha: String,
    head_sha: String,
    /// Of the output file.
    bytes: u64,
    /// Where the bundle was over the size cap.
    #[serde(skip_serializing_if = "Option::is_none")]
    size_cap: Option<SizeCapMeta>,
}

/// Runs the repository's `ops/review_bundle.sh` from the commit that `SINCE_SHA` names to `HEAD`.
///
/// # Errors
/// When `SINCE_SHA` is no full id (2), is here no commit or no ancestor of `HEAD` (1); when the tree has no script (1),
/// it fails, or says that it succeeded and left no bundle (1); when anything of the packets could not be written.
pub fn review(place: &Place<'_>, told: Told) -> Result<Reviewed, Failure> {
    // What an earlier run or the script left under this name is no word of this program.
    place.outputs.remove(size_cap::NAME)?;
    let repo = place.repo()?;
    let (since, head) = range(place, &repo)?;
    let Some(found) = SCRIPT.find(place)? else {
        let reason = format!("the tree has no {}", SCRIPT.path);
        place.outputs.write(OUTPUT, |out| writeln!(out, "SCRIPT_NOT_FOUND: {reason}"))?;
        return Err(Failure::refused("script-not-found", reason, "name a commit that has it, or another job"));
    };
    let reviewed = Reviewed {
        schema: 1,
        status: "done",
        mode: "bundle",
        output: OUTPUT,
        since_sha: since.to_string(),
        head_sha: head.to_string(),
        bytes: 0,
        size_cap: None,
    };
    // For tests alone: a job has no parameter of that name.
    let forced = place.host.env("FORCE_SIZE_CAP").is_some_and(|value| value == "1");
    if !forced {
        place.outputs.remove(OUTPUT)?;
        let path = place.artifacts.join(OUTPUT).display().to_string();
        let output = SCRIPT.run(place, found, &["--since", since.as_str(), "--output", &path], told)?;
        place.outputs.remove(size_cap::NAME)?;
        if output.success() {
            return Ok(Reviewed { bytes: bundle_bytes(place)?, ..reviewed });
        }
        if output.status != OVER_THE_CAP {
            return Err(failed(SCRIPT, &output));
        }
    }
    let range = Range { objects: repo.objects(), since: &since, head: &head };
    let meta = packets::write(place.host, &place.outputs, &range, OUTPUT)?;
    Ok(Reviewed { mode: "packet", bytes: bundle_bytes(place)?, size_cap: Some(meta), ..reviewed })
}

/// The commit that is asked for, and `HEAD`.
fn range(place: &Place<'_>, repo: &Repo) -> Result<(Oid, Oid), Failure> {
    let full = "the full id of a commit (40 or 64 lower-case hex digits)";
    let fits = |text: &str| text.parse::<Oid>().is_ok_and(|id| !id.is_zero());
    let since = place.parameter("SINCE_SHA", full, fits)?.and_then(|text| text.parse::<Oid>().ok());
    let since =
        since.ok_or_else(|| Failure::usage("parameter", "SINCE_SHA is not set", format!("set SINCE_SHA to {full}")))?;
    let next = "name a commit before the one under review: git log --format=%H";
    let no_commit = |why: &dyn fmt::Display| Failure::refused("since-sha-unknown", format!("SINCE_SHA: {why}"), next);
    match Commit::read(repo.objects(), &since) {
        Ok(_) => {}
        Err(error @ (RepoError::Missing(_) | RepoError::WrongKind { .. } | RepoError::OtherHash(_))) => {
            return Err(no_commit(&error));
        }
        Err(error) => return Err(error.into()),
    }
    let head = repo.head()?.id().cloned().ok_or_else(|| no_commit(&"HEAD has no commit yet"))?;
    if !is_ancestor(repo.objects(), &since, &head)? {
        let reason = format!("SINCE_SHA: {since} is no ancestor of HEAD ({head})");
        return Err(Failure::refused("since-sha-no-ancestor", reason, next));
    }
    Ok((since, head))
}

/// The size of the bundle that must be there.
fn bundle_bytes(place: &Place<'_>) -> Result<u64, Failure> {
    let why = match place.outputs.look(OUTPUT)? {
        Found::File(bytes) if bytes > 0 => return Ok(bytes),
        Found::File(_) => "left an empty one",
        Found::Nothing => "left none",
        Found::Other => "left a link or something else that is no file",
    };
    let reason = format!("{} says that it wrote {OUTPUT} and {why}", SCRIPT.path);
    Err(Failure::refused("bundle-missing", reason, "mend the script: it writes the file that --output names"))
}

/// As a person reads it.
impl fmt::Display for Reviewed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.size_cap {
            None => write!(f, "{}: {} bytes", self.output, self.bytes),
            Some(meta) => write!(
                f,
                "SIZE_CAP: {} packets in {} and {}",
                meta.packets, meta.review_packets_dir, meta.review_packets_archive
            ),
        }
    }
}
