//! What is known of a job when it begins, and how that becomes its record and its artifact.json.

use std::time::Instant;

use allowlist::Admitted;
use host::Host;
use job::artifact::{self, Artifact};
use job::{Conclusion, Id, Limits, Record, Request, Sha256, Status, Time, Worker, conclude};
use outcome::Failure;

use crate::attempt::Attempt;
use crate::perform::Performed;

/// A job that was begun.
pub(crate) struct Begun {
    pub(crate) attempt: Attempt,
    trace_id: String,
    started_at: Time,
    clock: Instant,
}

impl Begun {
    /// Begins a job of which nobody knew before.
    pub(crate) fn new(host: &dyn Host) -> Result<Self, Failure> {
        let started_at = time(host)?;
        let random = host.random(8).try_into().expect("as many bytes as were asked for");
        let attempt = Attempt { id: Id::new(started_at, random), epoch: None };
        Ok(Self { attempt, trace_id: host.random_hex(16), started_at, clock: Instant::now() })
    }

    /// Begins a job that was handed out by a queue.
    pub(crate) fn attempt(host: &dyn Host, attempt: Attempt, trace_id: String) -> Result<Self, Failure> {
        Ok(Self { attempt, trace_id, started_at: time(host)?, clock: Instant::now() })
    }

    /// What is written before anything else is done.
    pub(crate) fn record(&self, host: &dyn Host, admitted: &Admitted) -> Result<Record, Failure> {
        Ok(Record {
            schema: job::record::SCHEMA,
            job_id: self.attempt.id.clone(),
            request: Request {
                job_type: admitted.job_name().to_owned(),
                repo_name: admitted.repo_name().to_owned(),
                sha: admitted.sha().to_owned(),
                params: admitted.params().clone(),
            },
            runner: Some(worker(host)?),
            state: Status::Running,
            started_at: Some(self.started_at),
        })
    }

    /// What is written last, and what a program exits with.
    pub(crate) fn artifact(
        &self,
        host: &dyn Host,
        admitted: &Admitted,
        performed: Performed,
    ) -> Result<(Artifact, u8), Failure> {
        let Conclusion { status, exit_code, why, invariants, warnings, size_cap, exit } = conclude(&performed.observed);
        let (class, reason, next) = match why {
            Some(why) => (Some(why.class), Some(why.reason), Some(why.next)),
            None => (None, None, None),
        };
        let collected = performed.observed.collected.ok();
        let files = collected.iter().flat_map(|collected| &collected.files);
        let artifact = Artifact {
            schema: artifact::SCHEMA,
            job_id: self.attempt.id.clone(),
            repo_name: admitted.repo_name().to_owned(),
            remote_url: admitted.repo().url.as_str().to_owned(),
            sha: admitted.sha().to_owned(),
            job_type: admitted.job_name().to_owned(),
            argv: admitted.job().argv.clone(),
            timeout_sec: admitted.job().timeout_sec,
            started_at: self.started_at,
            finished_at: time(host)?.max(self.started_at),
            duration_ms: u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX),
            exit_code,
            status,
            class,
            reason,
            next,
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            trace_id: self.trace_id.clone(),
            input_hash: digest(admitted.input_hash())?,
            allowlist_hash: digest(admitted.policy_sha256().to_owned())?,
            stdout_path: crate::streams::STDOUT.to_owned(),
            stderr_path: crate::streams::STDERR.to_owned(),
            params: admitted.params().clone(),
            outputs: files.map(|file| file.path.clone()).collect(),
            invariants,
            level: performed.ran.as_ref().map(|ran| ran.level),
            limits: Some(limits(admitted)),
            evidence: performed.ran.as_ref().map(|ran| ran.evidence.clone()),
            usage: performed.ran.as_ref().map(|ran| ran.usage),
            tree: performed.tree,
            logs: performed.logs,
            collected,
            warnings,
            size_cap_exceeded: size_cap.as_ref().map(|_| true),
            review_packets_archive: size_cap.as_ref().map(|meta| meta.review_packets_archive.clone()),
            review_packets_dir: size_cap.as_ref().map(|meta| meta.review_packets_dir.clone()),
            size_cap_fallback: size_cap,
        };
        Ok((artifact, exit))
    }
}

fn limits(admitted: &Admitted) -> Limits {
    let limits = crate::plan::limits(admitted.job());
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Limits {
        wall_ms: millis(limits.wall),
        grace_ms: millis(limits.grace),
        cpu_ms: millis(limits.cpu),
        memory_bytes: limits.memory_bytes,
        processes: limits.processes,
        open_files: limits.open_files,
        file_bytes: limits.file_bytes,
        tmp_bytes: limits.tmp_bytes,
        tmp_files: limits.tmp_files,
        artifact_bytes: limits.artifact_bytes,
        artifact_files: limits.artifact_files,
        log_bytes: admitted.job().limits.log_mib << 20,
    }
}

pub(crate) fn time(host: &dyn Host) -> Result<Time, Failure> {
    Time::try_from(host.now())
        .map_err(|error| Failure::not_ready("clock", error.to_string(), "set the machine's clock"))
}

fn digest(hex: String) -> Result<Sha256, Failure> {
    hex.try_into().map_err(|error: job::digest::NotADigest| Failure::bug("digest", error.to_string(), "report this"))
}

/// This process, told from every other that had or will have its number.
fn worker(host: &dyn Host) -> Result<Worker, Failure> {
    let read = |path: &str| -> Result<String, Failure> {
        let bytes = host.read(path.as_ref())?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    // The second field, the program's name, may hold anything; it ends at the last parenthesis. Of what follows, the
    // start is the twentieth: field 22 of proc(5).
    let stat = read("/proc/self/stat")?;
    let started = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)?.parse().ok());
    let started = started.ok_or_else(|| {
        Failure::not_ready("no-proc", "/proc/self/stat cannot be read", "mount /proc, then try again")
    })?;
    Ok(Worker { pid: std::process::id(), started, boot_id: read("/proc/sys/kernel/random/boot_id")? })
}
