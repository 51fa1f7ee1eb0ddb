//! What is done for a job between its record and its artifact.json.
//!
//! **Invariant:** whatever fails, what was seen until then is handed back; nothing that was not seen counts as good.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use allowlist::Admitted;
use host::{Cancel, Host};
use job::{Collected, End, Logs, Observed, Time, Trouble, Unseen, size_cap};
use outcome::Failure;
use review_bundle::escape;
use sandbox::{Level, Limit, Paths, Report, Spec};
use verdict::Oid;
use worktree::{Bounds, Cache, Checkout, Evidence, Means, Mirrors, Patience, Pinned, Remote};

use crate::collect::{Caps, collect};
use crate::desk::SCRATCH;
use crate::git_dir::GitDir;
use crate::isolate::{Changed, Isolated, isolate};
use crate::plan::{self, Provided};
use crate::run::Runner;
use crate::streams::{Streams, secrets};

/// The programs of this project that a job may call, where they are beside the runner.
const PROGRAMS: [&str; 3] = ["orb-doctor", "orb-review-bundle", "orb-score-run"];
/// Why nothing is known of a tree.
const NOT_STARTED: &str = "the job was not started";

/// What became of a job.
pub(crate) struct Performed {
    pub(crate) observed: Observed,
    pub(crate) ran: Option<Ran>,
    pub(crate) tree: Option<job::Tree>,
    pub(crate) logs: Option<Logs>,
}

/// How a job ran, in the words of artifact.json.
pub(crate) struct Ran {
    pub(crate) level: job::Level,
    pub(crate) evidence: serde_json::Map<String, serde_json::Value>,
    pub(crate) usage: job::Usage,
}

/// What a sandbox is made from.
pub(crate) struct Scene<'a> {
    pub(crate) program: &'a Path,
    pub(crate) tree: &'a Path,
    /// Where a directory can be made that is the job's alone.
    pub(crate) scratch: &'a Path,
    pub(crate) min_level: Level,
    pub(crate) cancel: &'a Cancel,
    /// The sandbox on a tree, with an empty directory and the places that a level has.
    pub(crate) spec: &'a dyn Fn(&Path, Option<&Path>, &Paths) -> Spec,
    /// Writes the tree into a directory.
    pub(crate) copy: &'a dyn Fn(&Path) -> Result<(), Failure>,
    /// What is in that directory and not in the tree, or not the same.
    pub(crate) changed: &'a dyn Fn(&Path) -> Result<Changed, Failure>,
}

impl Performed {
    /// A job that was not started.
    pub(crate) fn failed(failure: &Failure) -> Self {
        let unseen = || Err(Unseen(NOT_STARTED.into()));
        let observed = Observed {
            end: End::Unknown(trouble(failure)),
            read_only: unseen(),
            clean_tree: unseen(),
            changed: Vec::new(),
            changed_cut: false,
            logs: Ok(()),
            collected: Ok(Collected::default()),
            size_cap_meta: None,
        };
        Self { observed, ran: None, tree: None, logs: None }
    }
}

/// Does everything for a job whose directory is `dir`.
pub(crate) fn perform(runner: &Runner<'_>, admitted: &Admitted, dir: &Path) -> Performed {
    let provided = pinned(runner, admitted).and_then(|pinned| {
        let bounds = Bounds { slots: runner.trees, bytes: None };
        let checkout = Cache::open(runner.host, &runner.site.state, bounds, patience(runner))
            .and_then(|cache| cache.checkout(&pinned))?;
        let streams = streams(runner, admitted, dir)?;
        Ok((pinned, checkout, streams))
    });
    match provided {
        Ok((pinned, checkout, streams)) => in_tree(runner, admitted, dir, &pinned, &checkout, streams),
        Err(failure) => Performed::failed(&failure),
    }
}

fn pinned(runner: &Runner<'_>, admitted: &Admitted) -> Result<Pinned, Failure> {
    let repo = admitted.repo();
    let sha: Oid = admitted.sha().parse().map_err(|error: verdict::oid::NotHex| {
        Failure::bug("bad-commit", error.to_string(), "report this with the command you ran")
    })?;
    let remote = Remote {
        url: repo.url.as_str(),
        fetch: repo.url.fetch_str(),
        ssh_host_keys: &repo.ssh_host_keys,
        ssh_identity: repo.ssh_identity.as_deref(),
    };
    let mirrors = Mirrors::open(runner.host, &runner.site.state, patience(runner))?;
    Ok(mirrors.provide(&remote, &sha, &repo.allowed_branches)?)
}

fn patience(runner: &Runner<'_>) -> Patience {
    Patience { cancel: runner.cancel.clone(), ..Patience::default() }
}

fn streams<'a>(runner: &Runner<'a>, admitted: &Admitted, dir: &Path) -> Result<Streams<'a>, Failure> {
    Streams::create(dir, admitted.job().limits.log_mib << 20, &secrets(runner.host)?, runner.live)
}

fn in_tree(
    runner: &Runner<'_>,
    admitted: &Admitted,
    dir: &Path,
    pinned: &Pinned,
    checkout: &Checkout<'_>,
    streams: Streams<'_>,
) -> Performed {
    let (programs, passed) = (programs(runner), passed(runner.host, &admitted.job().env));
    let (root, index) = (checkout.root(), checkout.index());
    let spec = |tree: &Path, scratch: Option<&Path>, paths: &Paths| {
        let provided = Provided {
            tree,
            index: &index,
            objects: pinned.objects_dir(),
            git: GitDir {
                commit: pinned.commit(),
                branch: pinned.branch(),
                tip: pinned.tip(),
                has_hooks: root.join(".githooks").is_dir(),
            },
            programs: &programs,
            passed: &passed,
            scratch,
        };
        plan::spec(admitted, &provided, paths)
    };
    let scene = Scene {
        program: runner.program,
        tree: &root,
        scratch: &dir.join(SCRATCH),
        min_level: level(admitted.min_level()),
        cancel: runner.cancel,
        spec: &spec,
        copy: &|dir| Ok(checkout.copy_into(dir)?),
        changed: &|dir| {
            let worktree::Changed { paths, cut } = checkout.changed(dir)?;
            Ok(Changed { paths: paths.iter().map(|path| escape(path)).collect(), cut })
        },
    };
    let isolated = isolate(&scene, &|stream, bytes| streams.feed(stream, bytes));
    let (logs, written) = match streams.finish() {
        Ok(logs) => (Some(logs), Ok(())),
        Err(error) => (None, Err(trouble(&error.into()))),
    };
    let tree = job::Tree {
        id: pinned.tree().to_string(),
        made: checkout.made().as_str().to_owned(),
        verified: verified(checkout.evidence()),
    };
    let performed = match isolated {
        Ok(isolated) => ended(admitted, dir, &isolated),
        Err(failure) => Performed::failed(&failure),
    };
    let observed = Observed { logs: written, ..performed.observed };
    Performed { observed, tree: Some(tree), logs, ran: performed.ran }
}

/// How the tree was last compared with its commit, and when, such as `sha_recheck 2026-01-31T23:59:59.000Z`; after a
/// comma, when it was last compared with what was seen then.
fn verified(evidence: &Evidence) -> String {
    let means = match evidence.means {
        Means::Built => "built",
        Means::ShaRecheck => "sha_recheck",
    };
    let at = |means: &str, at: u64| {
        let at = i64::try_from(at).ok().and_then(|at| Time::from_millis(at.checked_mul(1000)?).ok());
        at.map_or_else(|| means.to_owned(), |at| format!("{means} {at}"))
    };
    let scanned = evidence.ctime_scan_at.map(|scanned| at("ctime_scan", scanned));
    [at(means, evidence.verified_at)].into_iter().chain(scanned).collect::<Vec<_>>().join(", ")
}

/// A job that ran: what it left is collected whatever its end.
fn ended(admitted: &Admitted, dir: &Path, isolated: &Isolated) -> Performed {
    let Isolated { report, changed, .. } = isolated;
    let caps = Caps {
        entries: usize::try_from(admitted.job().limits.artifact_files).unwrap_or(usize::MAX),
        total_bytes: admitted.job().limits.artifact_mib << 20,
        ..Caps::default()
    };
    let collected = collect(&report.artifacts, dir, &caps).map_err(|error| trouble(&error.into()));
    let size_cap_meta = collected.as_ref().ok().and_then(|collected| size_cap_meta(collected, dir));
    let observed = Observed {
        end: end(report, admitted.job().timeout_sec),
        read_only: Ok(refused_writes(report)),
        clean_tree: Ok(changed.paths.is_empty()),
        changed: changed.paths.clone(),
        changed_cut: changed.cut,
        logs: Ok(()),
        collected,
        size_cap_meta,
    };
    let evidence = match serde_json::to_value(&report.evidence) {
        Ok(serde_json::Value::Object(evidence)) => evidence,
        _ => serde_json::Map::new(),
    };
    let ran = Ran { level: told_level(report.level), evidence, usage: usage(report) };
    Performed { observed, ran: Some(ran), tree: None, logs: None }
}

/// From inside, writes to the tree were refused by its mount, or kept above it; at L0 by Landlock, as the probe of this
/// run tried.
fn refused_writes(report: &Report) -> bool {
    report.evidence.ro_mount || report.evidence.overlay || report.level == Level::L0
}

fn size_cap_meta(collected: &Collected, dir: &Path) -> Option<Vec<u8>> {
    let file = collected.files.iter().find(|file| file.path == size_cap::NAME)?;
    // What is longer than any, or cannot be read again, is no fallback that could be believed.
    let fits = file.bytes <= size_cap::MAX_BYTES as u64;
    Some(if fits { std::fs::read(dir.join(&file.path)).unwrap_or_default() } else { Vec::new() })
}

fn end(report: &Report, timeout_sec: u64) -> End {
    match report.end {
        sandbox::End::Exited(code) => End::Exited(code),
        sandbox::End::Signaled(signal) => End::Signaled(signal),
        sandbox::End::TimedOut => End::TimedOut(timeout_sec),
        sandbox::End::Cancelled => End::Cancelled,
        sandbox::End::OverLimit(limit) => End::OverLimit(limited(limit).to_owned()),
    }
}

fn limited(limit: Limit) -> &'static str {
    match limit {
        Limit::Cpu => "processor time (limits.cpu_sec)",
        Limit::Memory => "memory (limits.memory_mib)",
        Limit::Processes => "processes (limits.processes)",
        Limit::FileSize => "the size of a file (limits.file_mib)",
    }
}

fn usage(report: &Report) -> job::Usage {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let usage = report.usage;
    job::Usage {
        wall_ms: millis(usage.wall),
        cpu_ms: millis(usage.cpu),
        peak_memory_bytes: usage.peak_memory_bytes,
        oom_kills: usage.oom_kills,
        refused_processes: usage.refused_processes,
    }
}

fn told_level(level: Level) -> job::Level {
    match level {
        Level::L0 => job::Level::L0,
        Level::L1 => job::Level::L1,
        Level::L2 => job::Level::L2,
        Level::L3 => job::Level::L3,
    }
}

fn level(level: allowlist::policy::Level) -> Level {
    match level {
        allowlist::policy::Level::L0 => Level::L0,
        allowlist::policy::Level::L1 => Level::L1,
        allowlist::policy::Level::L2 => Level::L2,
        allowlist::policy::Level::L3 => Level::L3,
    }
}

pub(crate) fn trouble(failure: &Failure) -> Trouble {
    Trouble {
        class: failure.class.to_string(),
        reason: failure.reason.clone(),
        next: failure.next.clone(),
        exit: failure.exit.code(),
    }
}

/// Those of [`PROGRAMS`] that are beside this one.
fn programs(runner: &Runner<'_>) -> Vec<(String, PathBuf)> {
    let beside = |name: &&str| Some((String::from(*name), runner.program.parent()?.join(name)));
    PROGRAMS.iter().filter_map(|name| beside(name).filter(|(_, place)| place.is_file())).collect()
}

/// The variables that a job's entry names, where they are set.
fn passed(host: &dyn Host, names: &[String]) -> Vec<(String, OsString)> {
    names.iter().filter_map(|name| Some((name.clone(), host.env(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use job::CollectedFile;

    use super::*;

    #[test]
    fn j15_a_size_cap_meta_without_an_end_is_not_read() {
        let dir = tempfile::TempDir::new().unwrap();
        let bytes = size_cap::MAX_BYTES as u64 + 1;
        File::create(dir.path().join(size_cap::NAME)).unwrap().set_len(bytes).unwrap();
        let files = vec![CollectedFile { path: size_cap::NAME.into(), bytes, sha256: [0; 32].into() }];
        let collected = Collected { files, ..Collected::default() };
        assert_eq!(size_cap_meta(&collected, dir.path()).map(|read| read.len()), Some(0));
    }
}
