//! What the program does: collect the range, then write it whole or in packets.

#![allow(clippy::disallowed_methods, reason = "a bundle is written while it is rendered, without a copy in memory")]

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use cli::Context;
use host::{Host, HostError};
use outcome::{Exit, Failure};
use repo::{Repo, collect};
use review_bundle::{Bundle, Limits};
use verdict::{Oid, Policy};

use crate::args::Args;

/// Files whose sizes are told when the bundle is too large.
const TOLD: usize = 20;
/// More packets than any review takes: here the directory is the limit.
const MAX_PACKETS: usize = 100_000;

pub(crate) fn run(args: Args, cx: &Context) -> Result<Exit, Failure> {
    let Args { place, since, to, output, patch, size_cap, packets: dir, packet_cap, .. } = args;
    let repo = Repo::open(&place.directory)?;
    let since = match since.parse::<Oid>() {
        Ok(id) if id.is_zero() => None,
        _ => Some(repo.resolve(&cx.host, &since)?),
    };
    let to = repo.resolve(&cx.host, &to)?;
    let bundle = collect(repo.objects(), since.as_ref(), &to, &Policy::built_in())?.bundle;
    if let Some(file) = &patch {
        write(file, |out| bundle.write_patch(out))?;
    }
    if bundle.len() as u64 <= size_cap {
        return whole(cx, &bundle, output.as_deref());
    }
    match &dir {
        Some(dir) => packets(cx, &bundle, dir, packet_cap),
        None => Err(over_the_cap(&bundle, size_cap)),
    }
}

fn whole(cx: &Context, bundle: &Bundle, output: Option<&Path>) -> Result<Exit, Failure> {
    match output {
        Some(file) => write(file, |out| bundle.write_shown(out))?,
        None => cx.console.stdout(bundle.shown().as_bytes())?,
    }
    Ok(Exit::Done)
}

fn packets(cx: &Context, bundle: &Bundle, dir: &Path, cap: u64) -> Result<Exit, Failure> {
    let limits = Limits { packet_cap: usize::try_from(cap).unwrap_or(usize::MAX), max_packets: MAX_PACKETS };
    let packets = repo::packets(bundle, limits)?;
    let host = &cx.host;
    for packet in packets.packets.iter().chain(&packets.overviews) {
        host.write_atomic(&dir.join(format!("{}.txt", packet.id)), packet.text.as_bytes(), 0o644)?;
    }
    let ledger = serde_json::to_vec_pretty(&packets.ledger)
        .map_err(|error| Failure::bug("ledger", error.to_string(), "report this with the command you ran"))?;
    host.write_atomic(&dir.join("LEDGER.json"), &ledger, 0o644)?;
    let (packets, overviews) = (packets.packets.len(), packets.overviews.len());
    cx.console.note(&format!("{packets} packets and an overview of {overviews} in {}", dir.display()));
    Ok(Exit::Done)
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
    written.map_err(|source| HostError::Io { path: path.to_owned(), source }.into())
}
