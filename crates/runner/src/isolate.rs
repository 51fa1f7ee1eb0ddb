//! A job in its sandbox: at the highest level there is, and never below the policy's.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use host::{HostError, Stream};
use outcome::Failure;
use sandbox::{Level, Report, Sandbox, SandboxError, Site, Spec};

use crate::perform::Scene;
use crate::removal::remove_all;

/// What is not in a tree any more as it was, or is there and was not.
pub(crate) struct Changed {
    /// Escaped for show; a bounded number.
    pub(crate) paths: Vec<String>,
    /// There are more.
    pub(crate) cut: bool,
}

/// What a job ran in and left.
pub(crate) struct Isolated {
    pub(crate) report: Report,
    pub(crate) changed: Changed,
    /// Where a level without an own root kept its things; gone with this.
    _scratch: Option<Scratch>,
}

/// Runs the job of `scene`.
pub(crate) fn isolate(scene: &Scene<'_>, output: &(dyn Fn(Stream, &[u8]) + Sync)) -> Result<Isolated, Failure> {
    let best = Sandbox::assume(scene.program, Level::L3);
    let stuck = match run(scene, &best, None, output) {
        Err(error @ SandboxError::Level { .. }) => error,
        ran => return Ok(shared(ran?)),
    };
    if scene.min_level == Level::L3 {
        return Err(stuck.into());
    }
    let scratch = Scratch::new(scene.scratch)?;
    let site = Site { tree: scene.tree, scratch: &scratch.0 };
    let sandbox = Sandbox::probe(scene.program, site, Level::L2)?;
    sandbox.at_least(scene.min_level)?;
    if sandbox.level() >= Level::L2 {
        return Ok(shared(run(scene, &sandbox, None, output)?));
    }
    let own = scratch.sub("job")?;
    if sandbox.level() == Level::L1 {
        let report = run(scene, &sandbox, Some((scene.tree, &own)), output)?;
        return Ok(Isolated { _scratch: Some(scratch), ..shared(report) });
    }
    let copy = scratch.0.join("tree");
    (scene.copy)(&copy)?;
    let report = run(scene, &sandbox, Some((&copy, &own)), output)?;
    let changed = (scene.changed)(&copy)?;
    Ok(Isolated { report, changed, _scratch: Some(scratch) })
}

/// A job on the shared tree, which it could not change: what it changed is in a layer of its own.
fn shared(report: Report) -> Isolated {
    let paths = report.changed.iter().map(|change| review_bundle::escape(change.path.as_os_str().as_encoded_bytes()));
    let changed = Changed { paths: paths.collect(), cut: report.changed_cut };
    Isolated { changed, report, _scratch: None }
}

/// At a level without an own root `elsewhere` has the tree and an empty directory.
fn run(
    scene: &Scene<'_>,
    sandbox: &Sandbox,
    elsewhere: Option<(&Path, &Path)>,
    output: &(dyn Fn(Stream, &[u8]) + Sync),
) -> Result<Report, SandboxError> {
    let (tree, scratch) = elsewhere.map_or((scene.tree, None), |(tree, scratch)| (tree, Some(scratch)));
    let spec: Spec = (scene.spec)(tree, scratch, &sandbox.paths(tree, scratch));
    sandbox.run(&spec, output, scene.cancel)
}

/// A directory that is gone with this.
struct Scratch(PathBuf);

impl Scratch {
    fn new(path: &Path) -> Result<Self, Failure> {
        make(path)?;
        Ok(Self(path.to_owned()))
    }

    fn sub(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.0.join(name);
        make(&path)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is removed with the job's directory.
        let _ = remove_all(&self.0);
    }
}

fn make(path: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().mode(0o700).create(path);
    Ok(made.map_err(HostError::io(path))?)
}
