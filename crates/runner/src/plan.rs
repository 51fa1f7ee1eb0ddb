//! What a job's sandbox is to be, as data: decided before anything runs.
//!
//! **Invariant:** nothing that a request says reaches an argument; parameters are variables of the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use allowlist::{Admitted, Job};
use sandbox::{Bind, File, Limits, Paths, Spec, Tree, TreeMode};

use crate::git_dir::GitDir;

/// Where a job finds this project's programs.
const PROGRAMS: &str = "/opt/ai-ops-runner/bin";
/// Where it finds its git directory and the objects behind it.
const GIT: &str = "/git";
const OBJECTS: &str = "/git-objects";
const INDEX: &str = "/git/index";

/// What was provided for a job.
#[derive(Debug, Clone, Copy)]
pub struct Provided<'a> {
    /// The checkout.
    pub tree: &'a Path,
    /// Its index.
    pub index: &'a Path,
    /// The mirror's objects.
    pub objects: &'a Path,
    /// The git directory that it sees.
    pub git: GitDir<'a>,
    /// This project's programs that jobs may call: name and place.
    pub programs: &'a [(String, PathBuf)],
    /// Variables of the runner's environment that the job's entry names, where they are set.
    pub passed: &'a [(String, OsString)],
    /// An empty directory for levels without an own root.
    pub scratch: Option<&'a Path>,
}

/// The sandbox of an admitted job. `paths` says where things are at its level.
pub fn spec(admitted: &Admitted, provided: &Provided<'_>, paths: &Paths) -> Spec {
    let job = admitted.job();
    let mode = match job.tree {
        allowlist::TreeMode::ReadOnly => TreeMode::ReadOnly,
        allowlist::TreeMode::Capture => TreeMode::Capture,
    };
    Spec {
        argv: job.argv.iter().map(OsString::from).collect(),
        env: environment(admitted, provided, paths),
        tree: Tree { path: provided.tree.to_owned(), mode },
        binds: binds(job, provided),
        files: files(provided, paths),
        network: job.network,
        limits: limits(job),
        scratch: provided.scratch.map(Path::to_owned),
    }
}

fn environment(admitted: &Admitted, provided: &Provided<'_>, paths: &Paths) -> Vec<(OsString, OsString)> {
    let path = |target: &str| paths.of(target).into_os_string();
    let mut search = path(PROGRAMS);
    search.push(":/usr/local/bin:/usr/bin:/bin");
    let fixed: [(&str, OsString); 9] = [
        ("PATH", search),
        ("HOME", path("/tmp/home")),
        ("TMPDIR", path("/tmp")),
        ("LANG", "C.UTF-8".into()),
        ("ARTIFACT_DIR", path("/artifacts")),
        ("GIT_OPTIONAL_LOCKS", "0".into()),
        // The tree belongs to the runner, and nothing of it is run by git.
        ("GIT_CONFIG_COUNT", "1".into()),
        ("GIT_CONFIG_KEY_0", "safe.directory".into()),
        ("GIT_CONFIG_VALUE_0", "*".into()),
    ];
    let fixed = fixed.into_iter().map(|(name, value)| (OsString::from(name), value));
    // The tree says where its git directory is in an own root; elsewhere it is somewhere else.
    let elsewhere = (provided.scratch.is_some() && paths.tree() != Path::new("/repo"))
        .then(|| [("GIT_DIR".into(), path(GIT)), ("GIT_WORK_TREE".into(), paths.tree().as_os_str().to_owned())]);
    let params = admitted.environment().into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let passed = provided.passed.iter().map(|(name, value)| (OsString::from(name), value.clone()));
    fixed.chain(elsewhere.into_iter().flatten()).chain(passed).chain(params).collect()
}

fn binds(job: &Job, provided: &Provided<'_>) -> Vec<Bind> {
    let bind = |source: &Path, target: &str| Bind { source: source.to_owned(), target: target.into() };
    let own = provided.programs.iter().map(|(name, place)| bind(place, &format!("{PROGRAMS}/{name}")));
    // What is below /usr is there already.
    let named = job.binds.iter().filter(|path| !path.starts_with("/usr/")).map(|path| bind(Path::new(path), path));
    [bind(provided.objects, OBJECTS), bind(provided.index, INDEX)].into_iter().chain(own).chain(named).collect()
}

fn files(provided: &Provided<'_>, paths: &Paths) -> Vec<File> {
    let objects = paths.of(OBJECTS);
    let file = |(path, text): (String, String)| File {
        path: Path::new(GIT).join(path),
        bytes: text.into_bytes(),
        mode: 0o444,
    };
    provided.git.files(&objects.to_string_lossy()).into_iter().map(file).collect()
}

/// The bounds of a job, as its entry has them.
pub(crate) fn limits(job: &Job) -> Limits {
    let limits = &job.limits;
    let mib = |mib: u64| mib << 20;
    Limits {
        wall: Duration::from_secs(job.timeout_sec),
        grace: Duration::from_secs(limits.grace_sec),
        cpu: Duration::from_secs(limits.cpu_sec),
        memory_bytes: mib(limits.memory_mib),
        processes: limits.processes,
        open_files: limits.open_files,
        file_bytes: mib(limits.file_mib),
        tmp_bytes: mib(limits.tmp_mib),
        tmp_files: limits.tmp_files,
        artifact_bytes: mib(limits.artifact_mib),
        artifact_files: limits.artifact_files,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use allowlist::{Policy, Request};
    use insta::assert_snapshot;
    use sandbox::{Level, Sandbox};
    use verdict::Oid;

    use super::*;

    const JOBS: &str = r#"
        schema = 1
        [jobs.build]
        argv = ["make", "-C", "src"]
        timeout_sec = 60
        binds = ["/opt/jdk", "/usr/local/go"]
        env = ["BUILD_NAME"]
        [jobs.build.params.since_sha]
        pattern = ".*"
    "#;
    const REPOS: &str = r#"
        schema = 1
        [repos.project]
        url = "https://example.com/project"
        allowed_branches = ["main"]
        default_branch = "main"
    "#;

    /// The plan as a person would read it.
    fn check(level: Level, scratch: Option<&Path>) -> String {
        let sha = "a".repeat(40);
        let params = BTreeMap::from([("since_sha".to_owned(), "--output=F $(id)".to_owned())]);
        let request = Request { job: "build", repo: "project", sha: &sha, remote_url: None, params: &params };
        let admitted = Policy::parse(JOBS.as_bytes(), REPOS.as_bytes()).unwrap().admit(&request).unwrap();
        let commit: Oid = sha.parse().unwrap();
        let provided = Provided {
            tree: Path::new("/state/tree"),
            index: Path::new("/state/index"),
            objects: Path::new("/state/objects"),
            git: GitDir { commit: &commit, branch: "main", tip: &commit, has_hooks: false },
            programs: &[("orb-doctor".into(), "/usr/local/bin/orb-doctor".into())],
            passed: &[("BUILD_NAME".into(), "nightly".into())],
            scratch,
        };
        let paths = Sandbox::assume("/runner", level).paths(provided.tree, scratch);
        let spec = spec(&admitted, &provided, &paths);
        let env: String =
            spec.env.iter().map(|(name, value)| format!("{}={}\n", name.display(), value.display())).collect();
        let bind = |bind: &Bind| format!("{} -> {}\n", bind.source.display(), bind.target.display());
        let binds: String = spec.binds.iter().map(bind).collect();
        let files: String = spec.files.iter().map(|file| format!("{}\n", file.path.display())).collect();
        let argv: Vec<_> = spec.argv.iter().map(|arg| arg.display().to_string()).collect();
        format!("{argv:?} on {} {:?}\n{env}{binds}{files}", spec.tree.path.display(), spec.tree.mode)
    }

    #[test]
    fn j16_a_parameter_is_a_variable_and_the_arguments_are_the_allowlist_s() {
        assert_snapshot!(check(Level::L3, None), @r#"
        ["make", "-C", "src"] on /state/tree ReadOnly
        PATH=/opt/ai-ops-runner/bin:/usr/local/bin:/usr/bin:/bin
        HOME=/tmp/home
        TMPDIR=/tmp
        LANG=C.UTF-8
        ARTIFACT_DIR=/artifacts
        GIT_OPTIONAL_LOCKS=0
        GIT_CONFIG_COUNT=1
        GIT_CONFIG_KEY_0=safe.directory
        GIT_CONFIG_VALUE_0=*
        BUILD_NAME=nightly
        SINCE_SHA=--output=F $(id)
        /state/objects -> /git-objects
        /state/index -> /git/index
        /usr/local/bin/orb-doctor -> /opt/ai-ops-runner/bin/orb-doctor
        /opt/jdk -> /opt/jdk
        /git/HEAD
        /git/config
        /git/objects/info/alternates
        /git/refs/remotes/origin/main
        "#);
    }

    #[test]
    fn without_an_own_root_everything_is_elsewhere() {
        let elsewhere = check(Level::L0, Some(Path::new("/state/scratch")));
        for line in ["GIT_DIR=/state/scratch/git", "GIT_WORK_TREE=/state/tree", "ARTIFACT_DIR=/state/scratch/artifacts"]
        {
            assert!(elsewhere.lines().any(|it| it == line), "{elsewhere}");
        }
    }
}
