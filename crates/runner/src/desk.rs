//! The directory of one job, from its beginning to its artifact.json.
//!
//! While a job runs, a marker `running/<attempt>` is locked by the process that runs it. A marker that nobody locks is of a
//! process that died: the next run finishes the job with the artifact.json that was written for that case before it
//! began.
//!
//! **Invariant:** artifact.json is written last; a job that has one is finished, whatever else is there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use host::{Host, HostError};
use job::{Artifact, Invalid, Record};
use outcome::Failure;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

use crate::attempt::Attempt;
use crate::begun::time;
use crate::site::Site;

/// What was asked for, and who works on it.
const RECORD: &str = "job.json";
/// The proof of a job whose runner died.
const DIED: &str = ".died.json";
/// Where a job without an own root has its things.
pub(crate) const SCRATCH: &str = ".scratch";
/// The proof.
pub const ARTIFACT: &str = "artifact.json";
/// What a job takes at least, in bytes.
const ROOM: usize = 1 << 20;
/// The proof's SHA-256, as `sha256sum --check` reads it.
const DIGEST: &str = "artifact.json.sha256";

/// One job's directory, held by the process that runs the job.
#[derive(Debug)]
pub struct Desk {
    dir: PathBuf,
    marker: PathBuf,
    _lock: File,
}

impl Desk {
    /// Makes the directory of `attempt` below `state`, and writes there job.json and what is to be said of the job should
    /// this process die.
    ///
    /// # Errors
    /// Those of the machine.
    pub fn open(state: &Path, attempt: &Attempt, record: &Record, died: &Artifact) -> Result<Self, Failure> {
        let (marker, dir) = (attempt.marker(state), attempt.dir(state));
        for parent in [&marker, &dir].into_iter().filter_map(|path| path.parent()) {
            private_dirs(parent)?;
        }
        let lock = claim(&marker)?;
        DirBuilder::new().mode(0o700).create(&dir).map_err(HostError::io(&dir))?;
        write_new(&dir.join(RECORD), &record.to_json().map_err(|error| invalid(&error))?)?;
        // Killed while it is written, the job was never begun, and nothing must look as if it was.
        let (died_at, beside) = (dir.join(DIED), dir.join(".died.new"));
        write_new(&beside, &died.to_json().map_err(|error| invalid(&error))?)?;
        fs::rename(&beside, &died_at).map_err(HostError::io(&died_at))?;
        Ok(Self { dir, marker, _lock: lock })
    }

    /// Where everything of the job goes.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Finishes the job: writes artifact.json, after its digest.
    ///
    /// # Errors
    /// Those of the machine: the job is not finished then.
    pub fn close(self, host: &dyn Host, artifact: &Artifact) -> Result<(), Failure> {
        finish(host, &self.dir, artifact)?;
        Ok(host.remove(&self.marker)?)
    }
}

/// Whether an attempt was begun, whatever became of it.
pub(crate) fn has_begun(state: &Path, attempt: &Attempt) -> bool {
    let dir = attempt.dir(state);
    [DIED, ARTIFACT].iter().any(|name| dir.join(name).exists())
}

/// Whether a job could be begun: its directory made, and something written there.
///
/// # Errors
/// Why not.
pub(crate) fn can_begin(host: &dyn Host, site: &Site) -> Result<(), Failure> {
    let state = site.own_state(host)?;
    sweep(host, &state)?;
    let probe = state.join("jobs/.probe");
    private_dirs(&state.join("running"))?;
    private_dirs(&state.join("jobs"))?;
    host.write_atomic(&probe, &vec![0; ROOM], 0o600)?;
    Ok(host.remove(&probe)?)
}

/// Makes a marker and locks it. A sweep that comes between the two takes it for that of a process that died, and removes it:
/// then another is made.
fn claim(marker: &Path) -> Result<File, Failure> {
    loop {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(marker);
        let lock = made.map_err(HostError::io(marker))?;
        match flock(&lock, FlockOperation::LockExclusive) {
            Ok(()) if is_at(&lock, marker) => return Ok(lock),
            Ok(()) => {}
            Err(errno) => return Err(HostError::io(marker)(errno.into()).into()),
        }
    }
}

/// Whether the name stands for this file, and not for a newer one or for nothing.
fn is_at(file: &File, path: &Path) -> bool {
    let (held, named) = (file.metadata(), fs::symlink_metadata(path));
    held.is_ok_and(|held| named.is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino())))
}

fn finish(host: &dyn Host, dir: &Path, artifact: &Artifact) -> Result<(), Failure> {
    let text = artifact.to_json().map_err(|error| invalid(&error))?;
    let digest = job::Sha256::from(<[u8; 32]>::from(Sha256::digest(&text)));
    host.remove(&dir.join(DIGEST))?;
    write_new(&dir.join(DIGEST), &format!("{digest}  {ARTIFACT}\n"))?;
    host.write_atomic(&dir.join(ARTIFACT), text.as_bytes(), 0o600)?;
    Ok(host.remove(&dir.join(DIED))?)
}

/// Finishes every attempt whose marker nobody locks. Returns them.
///
/// # Errors
/// Those of the machine.
pub fn sweep(host: &dyn Host, state: &Path) -> Result<Vec<Attempt>, Failure> {
    let running = state.join("running");
    let entries = match fs::read_dir(&running) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(HostError::io(&running))?,
    };
    let mut ended = Vec::new();
    for entry in entries {
        let marker = entry.map_err(HostError::io(&running))?.path();
        // Another run may have finished the job since the directory was read.
        let Ok(lock) = File::open(&marker) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() || !is_at(&lock, &marker) {
            continue;
        }
        let attempt = marker.file_name().and_then(|name| name.to_str()?.parse::<Attempt>().ok());
        if let Some(attempt) = attempt
            && bury(host, &attempt.dir(state))?
        {
            ended.push(attempt);
        }
        host.remove(&marker)?;
    }
    Ok(ended)
}

/// Finishes a job whose runner died. Says whether it had begun and not ended.
fn bury(host: &dyn Host, dir: &Path) -> Result<bool, Failure> {
    if host.stat(&dir.join(ARTIFACT))?.is_some() {
        host.remove(&dir.join(DIED))?;
        return Ok(false);
    }
    // After a power failure what was written for this case may be gone, or cut short.
    let died = host.read(&dir.join(DIED))?.and_then(|died| Artifact::parse(&died).ok());
    let Some(mut died) = died else { return Ok(false) };
    // What cannot be removed goes with the job's directory.
    let _ = fs::remove_dir_all(dir.join(SCRATCH));
    died.finished_at = time(host)?.max(died.started_at);
    died.duration_ms = died.finished_at.as_millis().abs_diff(died.started_at.as_millis());
    finish(host, dir, &died)?;
    Ok(true)
}

/// Writes a file whose loss in a power failure costs nothing: only artifact.json finishes a job.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
    Ok(written.map_err(HostError::io(path))?)
}

pub(crate) fn private_dirs(path: &Path) -> Result<(), Failure> {
    Ok(DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(HostError::io(path))?)
}

fn invalid(error: &Invalid) -> Failure {
    Failure::bug("bad-record", error.to_string(), "report this with the command you ran")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU32, Ordering};

    use host::Local;
    use job::{Request, Status, Worker};
    use tempfile::TempDir;

    use super::*;

    const ID: &str = "20260131T235959123Z-0123456789abcdef";

    fn attempt() -> Attempt {
        Attempt { id: ID.parse().unwrap(), epoch: None }
    }

    fn record() -> Record {
        Record {
            schema: job::record::SCHEMA,
            job_id: ID.parse().unwrap(),
            request: Request {
                job_type: "hello".into(),
                repo_name: "project".into(),
                sha: "a".repeat(40),
                params: BTreeMap::new(),
            },
            runner: Some(Worker { pid: 1, started: 1, boot_id: "x".into() }),
            state: Status::Running,
            started_at: Some("2026-01-31T23:59:59.123Z".parse().unwrap()),
        }
    }

    /// What is to be said of a job whose runner died.
    fn died() -> Artifact {
        Artifact::parse(include_bytes!("../tests/samples/died.json")).unwrap()
    }

    fn artifact(state: &Path) -> Option<Artifact> {
        let bytes = fs::read(state.join("jobs").join(ID).join(ARTIFACT)).ok()?;
        Some(Artifact::parse(&bytes).unwrap())
    }

    #[test]
    fn j19_a_job_whose_runner_died_is_finished_once() {
        let (host, state) = (Local::new(), TempDir::new().unwrap());
        let desk = Desk::open(state.path(), &attempt(), &record(), &died()).unwrap();
        let scratch = desk.dir().join(SCRATCH);
        fs::create_dir_all(scratch.join("tmp/left")).unwrap();
        assert!(sweep(&host, state.path()).unwrap().is_empty(), "its runner lives");
        assert!(scratch.exists());
        drop(desk);
        let ended = sweep(&host, state.path()).unwrap();
        assert_eq!(ended, [attempt()]);
        let artifact = artifact(state.path()).unwrap();
        assert_eq!((artifact.class.as_deref(), artifact.exit_code), (Some("interrupted"), -1));
        assert!(artifact.finished_at > artifact.started_at && !scratch.exists());
        assert!(sweep(&host, state.path()).unwrap().is_empty());
    }

    #[test]
    fn a_job_that_is_closed_is_finished_and_its_proof_has_its_digest() {
        let (host, state) = (Local::new(), TempDir::new().unwrap());
        let desk = Desk::open(state.path(), &attempt(), &record(), &died()).unwrap();
        let dir = desk.dir().to_owned();
        desk.close(&host, &died()).unwrap();
        assert_eq!(artifact(state.path()).unwrap(), died());
        let digest = job::Sha256::from(<[u8; 32]>::from(Sha256::digest(fs::read(dir.join(ARTIFACT)).unwrap())));
        assert_eq!(fs::read_to_string(dir.join(DIGEST)).unwrap(), format!("{digest}  artifact.json\n"));
        assert!(!dir.join(DIED).exists() && !state.path().join("running").join(ID).exists());
    }

    #[test]
    fn a_name_stands_for_one_file() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("marker");
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path));
        fs::rename(&path, dir.path().join("other")).unwrap();
        assert!(!is_at(&file, &path));
        fs::write(&path, "").unwrap();
        assert!(!is_at(&file, &path));
    }

    #[test]
    fn markers_that_cannot_be_read_are_no_absence_of_markers() {
        let state = TempDir::new().unwrap();
        fs::write(state.path().join("running"), "").unwrap();
        assert!(sweep(&Local::new(), state.path()).unwrap_err().reason.contains("running"));
    }

    #[test]
    fn j19_a_job_that_begins_is_not_taken_for_one_whose_runner_died() {
        let state = TempDir::new().unwrap();
        let marker = |number: u32| state.path().join(number.to_string());
        let begun = AtomicU32::new(0);
        std::thread::scope(|scope| {
            // As a sweep whose directory was read just then.
            scope.spawn(|| {
                while begun.load(Ordering::Relaxed) < 2000 {
                    let marker = marker(begun.load(Ordering::Relaxed));
                    let Ok(lock) = File::open(&marker) else { continue };
                    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&lock, &marker) {
                        fs::remove_file(&marker).unwrap();
                    }
                }
            });
            let all_begin = (0..2000).all(|number| {
                let lock = claim(&marker(number));
                begun.fetch_add(1, Ordering::Relaxed);
                lock.is_ok_and(|lock| is_at(&lock, &marker(number)))
            });
            begun.store(2000, Ordering::Relaxed);
            assert!(all_begin);
        });
    }

    #[test]
    fn j19_killed_at_every_step_a_job_is_finished_or_was_never_begun() {
        let host = Local::new();
        // What is there after each step of beginning and ending a job, when the runner is killed behind it.
        let steps: [&[&str]; 5] = [
            &[],
            &["job.json"],
            &["job.json", DIED],
            &["job.json", DIED, DIGEST],
            &["job.json", DIED, DIGEST, ARTIFACT],
        ];
        for there in steps {
            let state = TempDir::new().unwrap();
            drop(Desk::open(state.path(), &attempt(), &record(), &died()).unwrap());
            let dir = state.path().join("jobs").join(ID);
            let all = died().to_json().unwrap();
            fs::write(dir.join(DIGEST), "x").unwrap();
            fs::write(dir.join(ARTIFACT), &all).unwrap();
            for name in [RECORD, DIED, DIGEST, ARTIFACT].iter().filter(|name| !there.contains(name)) {
                fs::remove_file(dir.join(name)).unwrap();
            }
            sweep(&host, state.path()).unwrap();
            let marker = state.path().join("running").join(ID);
            assert!(!marker.exists(), "{there:?}");
            assert_eq!(artifact(state.path()).is_some(), there.contains(&DIED), "{there:?}");
            assert!(!dir.join(DIED).exists(), "{there:?}");
        }
    }

    #[test]
    fn after_a_power_failure_what_was_cut_short_is_no_proof() {
        let (host, state) = (Local::new(), TempDir::new().unwrap());
        drop(Desk::open(state.path(), &attempt(), &record(), &died()).unwrap());
        fs::write(state.path().join("jobs").join(ID).join(DIED), "{").unwrap();
        assert!(sweep(&host, state.path()).unwrap().is_empty());
        assert!(artifact(state.path()).is_none());
    }

    #[test]
    fn what_is_no_job_is_cleared_away() {
        let (host, state) = (Local::new(), TempDir::new().unwrap());
        fs::create_dir(state.path().join("running")).unwrap();
        fs::write(state.path().join("running/nonsense"), "").unwrap();
        assert!(sweep(&host, state.path()).unwrap().is_empty());
        assert!(!state.path().join("running/nonsense").exists());
    }
}
