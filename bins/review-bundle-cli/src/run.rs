//! What the program does: collect the range, then write it whole or in packets.

#![allow(clippy::disallowed_methods, reason = "a bundle is written while it is rendered, without a copy in memory")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use cli::Context;
use hooks::pinned_policy;
use host::HostError;
use outcome::{Exit, Failure};
use repo::{Head, PolicySource, Repo, collect, policy_at, policy_for};
use review_bundle::{Bundle, Limits, Packets};
use serde::Serialize;
use verdict::policy::Review;
use verdict::{Oid, Policy};

use crate::args::Args;
use crate::packet_dir::PacketDir;

/// Files whose sizes are told when the bundle is too large.
const TOLD: usize = 20;
/// More packets than any review takes: here the directory is the limit.
const MAX_PACKETS: usize = 100_000;

pub(crate) fn run(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let Args { place, since, to, output, patch, size_cap, packets: dir, packet_cap } = args;
    let repo = Repo::open(&place.directory)?;
    let since = match since.parse::<Oid>() {
        Ok(id) if id.is_zero() => None,
        _ => Some(repo.resolve(&cx.host, &since)?),
    };
    let to = repo.resolve(&cx.host, &to)?;
    let dir = dir.map(|dir| PacketDir::open(&cx.host, &dir)).transpose()?;
    let policy = policy(cx, &repo, since.as_ref())?;
    let collected = collect(repo.objects(), since.as_ref(), &to, &policy)?;
    let bundle = &collected.bundle;
    if let Some(file) = &patch {
        write(file, |out| bundle.write_patch(out))?;
    }
    let packets = packets(bundle, &policy.review, size_cap, packet_cap, dir.is_some())?;
    if let Some(file) = &output {
        write(file, |out| bundle.write_shown(out))?;
    }
    let files = match (&dir, &packets) {
        (Some(dir), Some(packets)) => dir.write(&cx.host, packets)?,
        (Some(dir), None) => dir.clear(&cx.host).map(|()| vec![])?,
        (None, _) => vec![],
    };
    let to_stdout = output.is_none() && packets.is_none();
    if cx.console.json() {
        let shown = |path: &Path| path.display().to_string();
        cx.console.object(&Written {
            schema: 1,
            status: Exit::Done.status(),
            since: collected.since.as_ref().unwrap_or(&to.zero_like()).to_string(),
            to: collected.to.to_string(),
            mode: if packets.is_some() { "packet" } else { "bundle" },
            bytes: bundle.len(),
            sha256: bundle.sha256(),
            output: output.as_deref().map(shown),
            patch: patch.as_deref().map(shown),
            packets: dir.as_ref().map(|dir| Files { dir: shown(dir.path()), files }),
            bundle: to_stdout.then(|| bundle.shown()),
        })?;
    } else if to_stdout {
        cx.console.stdout(bundle.shown().as_bytes())?;
    } else if let (Some(dir), Some(packets)) = (&dir, &packets) {
        let (packets, overviews) = (packets.packets.len(), packets.overviews.len());
        cx.console.note(&format!("{packets} packets and an overview of {overviews} in {}", dir.path().display()));
    }
    Ok(Exit::Done)
}

/// The policy that judges the range: as a ship of this branch has it, without asking the remote.
fn policy(cx: &Context, repo: &Repo, since: Option<&Oid>) -> Result<Policy, Failure> {
    let pinned = pinned_policy(&cx.host, &repo.common_dir())?;
    let source = PolicySource { pinned: pinned.as_deref() };
    Ok(match repo.head()? {
        Head::Branch { name, .. } => policy_for(repo.objects(), since, source, &name)?,
        Head::Detached { .. } | Head::Unborn { .. } => policy_at(repo.objects(), since, source)?,
    })
}

/// The packets of a bundle that is over the cap; `None` when it is not.
fn packets(
    bundle: &Bundle,
    policy: &Review,
    size_cap: Option<u64>,
    packet_cap: Option<u64>,
    wanted: bool,
) -> Result<Option<Packets>, Failure> {
    let size_cap = size_cap.unwrap_or(policy.size_cap_bytes);
    if bundle.len() as u64 <= size_cap {
        return Ok(None);
    }
    if !wanted {
        return Err(over_the_cap(bundle, size_cap));
    }
    let packet_cap = usize::try_from(packet_cap.unwrap_or(policy.packet_cap_bytes)).unwrap_or(usize::MAX);
    repo::packets(bundle, Limits { packet_cap, max_packets: MAX_PACKETS }).map(Some)
}

fn over_the_cap(bundle: &Bundle, cap: u64) -> Failure {
    let mut sizes = bundle.sizes();
    sizes.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let mut reason = format!("the bundle has {} bytes, the cap is {cap}", bundle.len());
    for (path, bytes) in sizes.iter().take(TOLD) {
        let _ = write!(reason, "\n{bytes:>10}  {path}");
    }
    if sizes.len() > TOLD {
        let _ = write!(reason, "\n            and {} more files", sizes.len() - TOLD);
    }
    Failure::size_cap("size-cap", reason, "ask for packets: --packets DIR; or raise the cap: --size-cap BYTES")
}

fn write(path: &Path, render: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), Failure> {
    let written = File::create(path).and_then(|file| {
        let mut out = BufWriter::new(file);
        render(&mut out)?;
        out.flush()
    });
    written.map_err(|source| HostError::io(path)(source).into())
}

/// What was written, as `--json` prints it.
#[derive(Serialize)]
struct Written<'a> {
    schema: u32,
    status: &'static str,
    /// Zeros for the empty tree.
    since: String,
    to: String,
    /// `bundle` or `packet`, as in META.json.
    mode: &'static str,
    /// Of the bundle, shown or not.
    bytes: usize,
    sha256: &'a str,
    output: Option<String>,
    patch: Option<String>,
    packets: Option<Files>,
    /// The bundle itself, where no file was named for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<String>,
}

/// The directory of the packets; without files when the bundle was not over the cap.
#[derive(Serialize)]
struct Files {
    dir: String,
    files: Vec<String>,
}
