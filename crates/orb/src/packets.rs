//! A review in packets: what is written when the bundle is over the size cap.
//!
//! **Invariant:** `size_cap_meta.json` is written last, when every file it names was read again and is as it was written.

use std::fmt::Write as _;

use host::Host;
use job::size_cap::{self, SizeCapMeta};
use job::{CollectedFile, Time};
use outcome::Failure;
use repo::{Commit, Objects, collect};
use review_bundle::{Bundle, Limits, Packets};
use verdict::{Oid, Policy};

use crate::archive::{self, Entry};
use crate::outputs::Outputs;

/// The archives, and the notes beside them.
const GZ: &str = "ORB_REVIEW_PACKETS.tar.gz";
const ZST: &str = "ORB_REVIEW_PACKETS.tar.zst";
const README: &str = "README_REVIEW_PACKETS.txt";
/// The directory of all reviews in packets.
const REVIEWS: &str = "review_packets";

/// About 50 KB a packet: what a person pastes into one message, and a model reads with care.
const LIMITS: Limits = Limits { packet_cap: 50_000, max_packets: 100_000 };
/// Reviews of the same second get a number.
const SAME_SECOND: usize = 100;

/// A range to be packed.
pub(crate) struct Range<'a> {
    pub(crate) objects: &'a Objects,
    pub(crate) since: &'a Oid,
    pub(crate) head: &'a Oid,
}

/// Writes the packets of a range, their archives and notes, `REVIEW_BUNDLE.txt` in place of the bundle, and what they
/// are.
///
/// # Errors
/// When the range is empty or cannot be packed, and when anything was not written, or not as it was meant.
pub(crate) fn write(
    host: &dyn Host,
    outputs: &Outputs,
    range: &Range<'_>,
    bundle_file: &str,
) -> Result<SizeCapMeta, Failure> {
    let bundle = collect(range.objects, Some(range.since), range.head, &Policy::built_in())?.bundle;
    if bundle.is_empty() {
        let next = "find out what the repository's script measures: there is nothing to review";
        return Err(Failure::refused("nothing-to-pack", "the size cap was exceeded and nothing changed", next));
    }
    let packets = repo::packets(&bundle, LIMITS)?;
    let dir = new_dir(outputs, host)?;
    let texts = texts(&dir, &packets, &bundle, range)?;
    let mut files = Vec::new();
    for (path, text) in &texts {
        files.push(outputs.write(path, |out| out.write_all(text.as_bytes()))?);
    }
    let entries: Vec<Entry<'_>> = texts.iter().map(|(path, text)| Entry { path, bytes: text.as_bytes() }).collect();
    let time = u64::try_from(Commit::read(range.objects, range.head)?.time()).unwrap_or(0);
    files.push(outputs.write(GZ, |out| archive::gzip(out, &entries, time))?);
    files.push(outputs.write(ZST, |out| archive::zstd(out, &entries, time))?);
    let instead = instead(&dir, &packets, &bundle);
    files.push(outputs.write(bundle_file, |out| out.write_all(instead.as_bytes()))?);
    files.sort_unstable();
    read_again(outputs, &files)?;
    let meta = SizeCapMeta {
        schema: size_cap::SCHEMA,
        size_cap_exceeded: true,
        warnings: vec![size_cap::WARNING.to_owned()],
        review_packets_archive: GZ.to_owned(),
        review_packets_dir: dir,
        packets: packets.packets.len() as u64,
        bytes: bundle.len() as u64,
        since_sha: range.since.to_string(),
        head_sha: range.head.to_string(),
        files,
    };
    let json = meta.to_json().map_err(|invalid| bug(&invalid.to_string()))?;
    let written = outputs.write(size_cap::NAME, |out| out.write_all(json.as_bytes()))?;
    read_again(outputs, &[written])?;
    Ok(meta)
}

fn bug(why: &str) -> Failure {
    Failure::bug("packets", why, "report this with the command you ran")
}

fn new_dir(outputs: &Outputs, host: &dyn Host) -> Result<String, Failure> {
    let now =
        Time::try_from(host.now()).map_err(|error| Failure::not_ready("clock", error.to_string(), "set the clock"))?;
    let digits: String = now.to_string().chars().filter(char::is_ascii_digit).collect();
    let stamp = format!("{REVIEWS}/{}_{}", &digits[..8], &digits[8..14]);
    for n in 0..SAME_SECOND {
        let dir = if n == 0 { stamp.clone() } else { format!("{stamp}-{n}") };
        if outputs.new_dir(&dir)? {
            return Ok(dir);
        }
    }
    Err(Failure::refused("packets-dir", format!("{stamp} and its numbers are taken"), "empty ARTIFACT_DIR"))
}

/// All files of the archives with their paths.
fn texts(dir: &str, packets: &Packets, bundle: &Bundle, range: &Range<'_>) -> Result<Vec<(String, String)>, Failure> {
    let ledger = serde_json::to_string_pretty(&packets.ledger).map_err(|error| bug(&error.to_string()))? + "\n";
    // The ledger's `packet-001` is the file `packet_001.txt`.
    let file = |id: &str| format!("{dir}/{}.txt", id.replace('-', "_"));
    let all = packets.overviews.iter().chain(&packets.packets);
    let mut texts: Vec<(String, String)> = all.map(|packet| (file(&packet.id), packet.text.clone())).collect();
    texts.push((format!("{dir}/LEDGER.json"), ledger));
    texts.push((format!("{dir}/HOW_TO_PASTE.txt"), how_to_paste(packets)));
    texts.push((README.to_owned(), readme(dir, packets, bundle, range)));
    Ok(texts)
}

fn how_to_paste(packets: &Packets) -> String {
    let (overviews, count) = (packets.overviews.len(), packets.packets.len());
    format!(
        "How to have this reviewed, a message at a time\n\
         \n\
         1. Paste overview_001.txt{}: every changed path and every finding of the rules, without the lines.\n\
         2. Paste packet_001.txt to packet_{count:03}.txt, one a message, in this order. Each says what it is a part of.\n\
         3. Ask for one verdict when the last one was answered. Every changed byte is in exactly one packet.\n\
         \n\
         LEDGER.json says which bytes of which file are in which packet (its packet-001 is packet_001.txt).\n",
        if overviews > 1 { format!(" to overview_{overviews:03}.txt") } else { String::new() },
    )
}

fn readme(dir: &str, packets: &Packets, bundle: &Bundle, range: &Range<'_>) -> String {
    let mut text = format!(
        "The changes from {} to {} are too large for one bundle ({} bytes).\n\
         They are here in {} packets of at most {} bytes. Nothing is left out.\n\
         \n\
         {dir}/HOW_TO_PASTE.txt  how to have them reviewed\n\
         {dir}/packet_NNN.txt    the packets\n\
         {dir}/LEDGER.json       what is where\n\
         {GZ}, {ZST}  all of it in one file\n\
         \n\
         Bytes of each changed file in the bundle, the largest first:\n",
        range.since,
        range.head,
        bundle.len(),
        packets.packets.len(),
        LIMITS.packet_cap,
    );
    let mut sizes = bundle.sizes();
    sizes.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    for (path, bytes) in sizes.iter().take(50) {
        let _ = writeln!(text, "{bytes:>12}  {path}");
    }
    if sizes.len() > 50 {
        let _ = writeln!(text, "              and {} more", sizes.len() - 50);
    }
    text
}

/// What stands where the bundle would be.
fn instead(dir: &str, packets: &Packets, bundle: &Bundle) -> String {
    format!(
        "SIZE_CAP: the bundle has {} bytes, more than its cap.\n\
         It is in {} packets instead: {dir}/, and all of them in {GZ} and {ZST}.\n\
         Begin with {dir}/HOW_TO_PASTE.txt.\n",
        bundle.len(),
        packets.packets.len(),
    )
}

fn read_again(outputs: &Outputs, files: &[CollectedFile]) -> Result<(), Failure> {
    for file in files {
        if !outputs.holds(file)? {
            let reason = format!("{} is not as it was written", file.path);
            return Err(Failure::infrastructure("read-back", reason, "check the disk, then run it again"));
        }
    }
    Ok(())
}
