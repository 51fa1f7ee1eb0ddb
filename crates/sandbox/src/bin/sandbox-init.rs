//! A runner with nothing but a sandbox, for the tests of this crate: it is the init of its own jobs, and can be killed
//! or started where a test cannot go itself.
//!
//! `sandbox-init run LEVEL TREE SCRATCH PROGRAM ARG..` runs a job and passes its output on; `sandbox-init probe LEVEL
//! TREE SCRATCH` prints the level that holds, at most `LEVEL`, and why no higher one.

use std::io::{Write as _, stderr, stdout};
use std::time::Duration;

use host::{Cancel, Stream};
use sandbox::{Level, Limits, Sandbox, SandboxError, Site, Spec, Tree, TreeMode};

const LIMITS: Limits = Limits {
    wall: Duration::from_secs(600),
    grace: Duration::from_secs(1),
    cpu: Duration::from_secs(60),
    memory_bytes: 1 << 30,
    processes: 64,
    open_files: 256,
    file_bytes: 1 << 20,
    tmp_bytes: 1 << 20,
    tmp_files: 100,
    artifact_bytes: 1 << 20,
    artifact_files: 100,
};

fn main() -> Result<(), SandboxError> {
    sandbox::init_if_asked();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, level, tree, scratch, job @ ..] = args.as_slice() else { return Ok(()) };
    let level = Level::FALLING.into_iter().find(|it| it.to_string() == *level).unwrap_or(Level::L3);
    if what == "probe" {
        let site = Site { tree: tree.as_ref(), scratch: scratch.as_ref() };
        let sandbox = Sandbox::probe("/proc/self/exe", site, level)?;
        println!("{} {:?}", sandbox.level(), sandbox.why_not());
        return Ok(());
    }
    let spec = Spec {
        argv: job.iter().map(Into::into).collect(),
        env: vec![],
        tree: Tree { path: tree.into(), mode: TreeMode::ReadOnly },
        binds: vec![],
        files: vec![],
        network: false,
        limits: LIMITS,
        scratch: Some(scratch.into()),
    };
    // A reader that is gone does not stop the job.
    let pass_on = |stream, bytes: &[u8]| {
        let _ = match stream {
            Stream::Stdout => stdout().write_all(bytes).and_then(|()| stdout().flush()),
            Stream::Stderr => stderr().write_all(bytes),
        };
    };
    let report = Sandbox::assume("/proc/self/exe", level).run(&spec, &pass_on, &Cancel::default())?;
    println!("{:?}", report.end);
    Ok(())
}
