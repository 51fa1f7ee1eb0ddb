//! One job and the machine around it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use host::{Cancel, Stream};
use rustix::fs::{Mode, OFlags};
use sandbox::{End, Level, Limits, Report, Sandbox, SandboxError, Spec, Tree, TreeMode};

/// Names the init where the one that cargo built cannot be reached by the user the tests run as.
pub(crate) const INIT_VARIABLE: &str = "SANDBOX_TEST_INIT";

pub(crate) fn init() -> PathBuf {
    std::env::var_os(INIT_VARIABLE).map_or_else(|| env!("CARGO_BIN_EXE_sandbox-init").into(), PathBuf::from)
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A tree and the places around it, all gone with this.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) spec: Spec,
    pub(crate) level: Level,
    pub(crate) cancel: Cancel,
}

pub(crate) struct Ran {
    pub(crate) report: Report,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn limits() -> Limits {
    Limits {
        wall: Duration::from_secs(60),
        grace: Duration::from_millis(300),
        cpu: Duration::from_secs(30),
        memory_bytes: 256 << 20,
        processes: 64,
        open_files: 256,
        file_bytes: 16 << 20,
        tmp_bytes: 4 << 20,
        tmp_files: 100,
        artifact_bytes: 4 << 20,
        artifact_files: 100,
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("sub")).unwrap();
        fs::write(tree.join("file"), "content\n").unwrap();
        fs::write(tree.join("sub/other"), "other\n").unwrap();
        fs::write(tree.join("sub/third"), "third\n").unwrap();
        let env = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/tmp/home"), ("ARTIFACT_DIR", "/artifacts")];
        let spec = Spec {
            argv: vec![],
            env: env.map(|(name, value)| (name.into(), value.into())).to_vec(),
            tree: Tree { path: tree, mode: TreeMode::ReadOnly },
            binds: vec![],
            files: vec![],
            network: false,
            limits: limits(),
            scratch: None,
        };
        Self { dir, spec, level: Level::L3, cancel: Cancel::default() }
    }

    pub(crate) fn at(level: Level) -> Self {
        let mut fixture = Self::new();
        fixture.level = level;
        fixture
    }

    pub(crate) fn tree(&self) -> &Path {
        &self.spec.tree.path
    }

    pub(crate) fn try_run<A: Into<OsString>>(
        &mut self,
        argv: impl IntoIterator<Item = A>,
    ) -> Result<Ran, SandboxError> {
        self.spec.argv = argv.into_iter().map(Into::into).collect();
        let scratch = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(self.dir.path())
            .unwrap();
        self.spec.scratch = Some(scratch.path().to_owned());
        let output = Mutex::new((Vec::new(), Vec::new()));
        let gather = |stream, bytes: &[u8]| {
            let mut output = output.lock().unwrap();
            match stream {
                Stream::Stdout => output.0.extend_from_slice(bytes),
                Stream::Stderr => output.1.extend_from_slice(bytes),
            }
        };
        let report = Sandbox::assume(init(), self.level).run(&self.spec, &gather, &self.cancel)?;
        let (stdout, stderr) = output.into_inner().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Ran { report, stdout: text(stdout), stderr: text(stderr) })
    }

    /// Runs a shell script that must end.
    pub(crate) fn sh(&mut self, script: &str) -> Ran {
        self.try_run(["sh", "-c", script]).unwrap()
    }

    /// Runs a Python program that must end well. `t(f)` tries `f` and prints the error's name, `sys(n, ..)` calls the
    /// kernel.
    pub(crate) fn python(&mut self, program: &str) -> String {
        let python = "/usr/bin/python3";
        assert!(Path::new(python).exists(), "no {python}: apt-get install python3-minimal");
        let prelude = include_str!("prelude.py");
        let ran = self.try_run([python, "-c", &format!("{prelude}\n{program}")]).unwrap();
        assert_eq!(ran.report.end, End::Exited(0), "{}{}", ran.stdout, ran.stderr);
        ran.stdout
    }
}

/// Every file below `dir` with its mode, owner, times and content.
pub(crate) fn contents(dir: &Path) -> BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt as _;
    let mut all = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let bytes = if meta.is_file() { fs::read(&path).unwrap() } else { vec![] };
        all.insert(path.clone(), (meta.mode(), meta.mtime(), meta.ctime(), bytes));
        if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    all
}

/// The text of an artifact.
pub(crate) fn artifact(dir: &OwnedFd, name: &str) -> String {
    let file = rustix::fs::openat(dir, name, OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty()).unwrap();
    let mut text = String::new();
    fs::File::from(file).read_to_string(&mut text).unwrap();
    text
}

/// Waits until nobody holds the file's lock any more: until every process that inherited it is gone.
pub(crate) fn wait_until_unlocked(path: &Path) {
    fs::File::open(path).unwrap().lock().unwrap();
}

/// Nobody holds the file's lock.
pub(crate) fn is_unlocked(path: &Path) -> bool {
    fs::File::open(path).unwrap().try_lock().is_ok()
}
