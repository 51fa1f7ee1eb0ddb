//! Only plain files come out of a job's directory, whole and under their own names.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;
use job::{Artifact, Collected};
use outcome::Failure;
use runner::{Caps, collect};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use tempfile::TempDir;

struct Job {
    dir: TempDir,
}

impl Job {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["from", "to"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    fn from(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.dir.path().join("from").join(OsStr::from_bytes(name.as_ref()))
    }

    fn to(&self, name: &str) -> PathBuf {
        self.dir.path().join("to").join(name)
    }

    fn write(&self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let path = self.from(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn source(&self) -> OwnedFd {
        File::open(self.from("")).unwrap().into()
    }

    fn collect(&self, caps: &Caps) -> Collected {
        collect(self.source(), &self.to(""), caps).unwrap()
    }

    /// What was collected as a person would read it, and that just that is at the destination.
    fn check(&self, caps: &Caps) -> String {
        let collected = self.collect(caps);
        let kept: Vec<String> = collected.files.iter().map(|file| file.path.clone()).collect();
        assert_eq!(files(&self.to("")), kept);
        shown(&collected)
    }
}

fn shown(collected: &Collected) -> String {
    let kept = collected.files.iter().map(|file| format!("{} {} {:.8}\n", file.path, file.bytes, file.sha256.as_str()));
    let refused = collected.refused.iter().map(|refused| format!("- {} {}\n", refused.path, refused.reason));
    let more = (collected.refused_more > 0).then(|| format!("- and {} more\n", collected.refused_more));
    kept.chain(refused).chain(more).collect()
}

/// All files below `dir`, sorted; anything else but directories fails.
fn files(dir: &Path) -> Vec<String> {
    fn walk(top: &Path, dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap();
            if kind.is_dir() {
                assert_eq!(kind.permissions().mode() & 0o7777, 0o700, "{}", path.display());
                walk(top, &path, found);
            } else {
                assert!(kind.is_file(), "{}", path.display());
                assert_eq!(kind.permissions().mode() & 0o7777, 0o600, "{}", path.display());
                found.push(path.strip_prefix(top).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort_unstable();
    found
}

/// What `work` says of a directory that is a file system of 256 KiB. It is taken away also when `work` fails.
pub(crate) fn on_a_full_disk(work: impl FnOnce(&Path) -> Failure) -> String {
    let dir = TempDir::new().unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "none"]).arg(dir.path()).status();
    assert!(mounted.unwrap().success(), "tests that need a small disk run as root: sudo cargo nextest run -p runner");
    let failure = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(dir.path())));
    assert!(Command::new("umount").arg("-l").arg(dir.path()).status().unwrap().success());
    match failure {
        Ok(failure) => failure.text().replace(&dir.path().display().to_string(), "~"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[test]
fn plain_files_are_kept_with_their_sizes_and_hashes() {
    let job = Job::new();
    job.write("b/c/deep.txt", "deep");
    job.write("a.txt", "hello\n");
    job.write("empty", "");
    fs::set_permissions(job.from("a.txt"), PermissionsExt::from_mode(0o6777)).unwrap();
    fs::create_dir(job.from("nothing")).unwrap();
    assert_snapshot!(job.check(&Caps::default()), @r"
    a.txt 6 5891b5b5
    b/c/deep.txt 4 74611c1d
    empty 0 e3b0c442
    ");
    assert_eq!(fs::read(job.to("a.txt")).unwrap(), b"hello\n");
}

#[test]
fn j14_links_pipes_sockets_and_devices_are_refused_and_told() {
    let job = Job::new();
    job.write("ok", "fine");
    symlink("/etc/passwd", job.from("passwd")).unwrap();
    symlink("ok", job.from("inside")).unwrap();
    symlink("/etc", job.from("etc")).unwrap();
    job.write("one", "twice");
    fs::hard_link(job.from("one"), job.from("two")).unwrap();
    rustix::fs::mknodat(CWD, job.from("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _socket = UnixListener::bind(job.from("socket")).unwrap();
    assert_snapshot!(job.check(&Caps::default()), @r"
    ok 4 d14a58ba
    - etc symlink
    - inside symlink
    - one hardlink
    - passwd symlink
    - pipe not-a-file
    - socket not-a-file
    - two hardlink
    ");
}

#[test]
fn j14_a_device_is_not_opened() {
    let job = Job::new();
    let made =
        rustix::fs::mknodat(CWD, job.from("null"), FileType::CharacterDevice, Mode::RWXU, rustix::fs::makedev(1, 3));
    made.expect("tests that make a device run as root: sudo cargo nextest run -p runner");
    assert_snapshot!(job.check(&Caps::default()), @"- null not-a-file");
}

#[test]
fn j14_the_directory_itself_is_no_link_and_neither_is_the_destination() {
    let job = Job::new();
    job.write("a", "a");
    symlink(job.to(""), job.dir.path().join("link")).unwrap();
    let failure = Failure::from(collect(job.source(), &job.dir.path().join("link"), &Caps::default()).unwrap_err());
    assert!(
        failure.text().contains("Not a directory") || failure.text().contains("symbolic links"),
        "{}",
        failure.text()
    );
    assert_eq!(files(&job.to("")), Vec::<String>::new());
}

#[test]
fn j14_names_that_are_no_plain_text_or_the_runners_own_are_refused() {
    let job = Job::new();
    for name in ["artifact.json", "job.json", "stdout.log", "stderr.log", ".copying", "sub/artifact.json"] {
        job.write(name, "forged");
    }
    for name in
        [&b"latin-\xe9"[..], b"line\nfeed", b"esc\x1b[2J", "turn\u{202e}txt".as_bytes(), b"dir\n/file", b"tab\t"]
    {
        job.write(name, "odd");
    }
    assert_snapshot!(job.check(&Caps::default()), @r"
    sub/artifact.json 6 ccdd3516
    - .copying name-reserved
    - artifact.json name-reserved
    - dir\u{a} name-hidden-characters
    - esc\u{1b}[2J name-hidden-characters
    - job.json name-reserved
    - latin-\x{e9} name-not-utf8
    - line\u{a}feed name-hidden-characters
    - stderr.log name-reserved
    - stdout.log name-reserved
    - tab\u{9} name-hidden-characters
    - turn\u{202e}txt name-hidden-characters
    ");
}

#[test]
fn j15_sizes_depth_and_numbers_are_bounded() {
    let job = Job::new();
    job.write("a", "12345");
    job.write("b", "123456");
    job.write("c", "1234");
    job.write("d", "1");
    job.write("e/f/g/h", "deep");
    File::create(job.from("z")).unwrap().set_len(1 << 40).unwrap();
    let caps = Caps { file_bytes: 5, total_bytes: 8, depth: 2, ..Caps::default() };
    assert_snapshot!(job.check(&caps), @r"
    a 5 5994471a
    d 1 6b86b273
    - b file-too-large
    - c total-too-large
    - e/f/g too-deep
    - z file-too-large
    ");
}

#[test]
fn j15_the_walk_ends_at_the_bound_of_entries() {
    let job = Job::new();
    (0..50).for_each(|n| job.write(format!("many/{n:02}"), ""));
    job.write("zz", "");
    let collected = job.collect(&Caps { entries: 12, ..Caps::default() });
    assert_eq!(collected.files.len(), 11);
    assert_snapshot!(shown(&Collected { files: vec![], ..collected }), @"- many/... too-many");
}

#[test]
fn j15_j19_the_longest_paths_leave_room_for_an_artifact_json() {
    let job = Job::new();
    let open = |dir: &OwnedFd, name: &str| rustix::fs::openat(dir, name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    let mut at = job.source();
    for _ in 0..31 {
        let name = "\"".repeat(250);
        rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
        at = open(&at, &name);
    }
    for number in 0..9000 {
        rustix::fs::mknodat(&at, format!("{number:0250}"), FileType::RegularFile, Mode::RWXU, 0).unwrap();
    }
    let collected = job.collect(&Caps::default());
    assert!(collected.files.len() > 1000 && collected.refused_more > 1000);
    assert!(collected.refused.iter().all(|refused| refused.reason == "too-many"));
    let outputs = collected.files.iter().map(|file| file.path.clone()).collect();
    let died = Artifact::parse(include_bytes!("../samples/died.json")).unwrap();
    Artifact { outputs, collected: Some(collected), ..died }.to_json().unwrap();
}

#[test]
fn j15_at_most_1000_refusals_are_told_and_how_many_more() {
    let job = Job::new();
    (0..1200).for_each(|n| symlink("x", job.from(format!("{n:04}"))).unwrap());
    let collected = job.collect(&Caps::default());
    assert_eq!((collected.refused.len(), collected.refused_more), (1000, 200));
}

#[test]
fn more_files_than_are_synced_one_by_one_are_kept_too() {
    let job = Job::new();
    (0..200).for_each(|n| job.write(format!("{}/{n:03}", n % 3), n.to_string()));
    assert_eq!(job.check(&Caps::default()).lines().count(), 200);
}

#[test]
fn j14_what_is_at_the_destination_is_neither_followed_nor_replaced() {
    let job = Job::new();
    job.write("out", "new");
    let outside = job.dir.path().join("outside");
    fs::write(&outside, "mine").unwrap();
    symlink(&outside, job.to("out")).unwrap();
    let failure = Failure::from(collect(job.source(), &job.to(""), &Caps::default()).unwrap_err());
    assert_snapshot!(failure.text(), @r"
    collect: the outputs were not kept: out: File exists (os error 17)
    next: check the state directory and its disk, then run the job again
    ");
    assert_eq!(fs::read(&outside).unwrap(), b"mine");
    assert!(!job.to(".copying").exists());
    fs::remove_file(job.to("out")).unwrap();
    symlink(&outside, job.to(".copying")).unwrap();
    collect(job.source(), &job.to(""), &Caps::default()).unwrap_err();
    assert_eq!(fs::read(&outside).unwrap(), b"mine");
}

#[test]
fn j14_a_directory_at_the_destination_that_is_a_link_is_not_entered() {
    let job = Job::new();
    job.write("sub/out", "new");
    let outside = job.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, job.to("sub")).unwrap();
    collect(job.source(), &job.to(""), &Caps::default()).unwrap_err();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn j14_another_file_system_below_is_not_entered() {
    let text = on_a_full_disk(|small| {
        fs::write(small.join("in"), "x").unwrap();
        let job = Job::new();
        fs::create_dir(job.from("mount")).unwrap();
        let bind = |args: &[&OsStr]| assert!(Command::new(args[0]).args(&args[1..]).status().unwrap().success());
        let mount = job.from("mount");
        bind(&["mount".as_ref(), "--bind".as_ref(), small.as_os_str(), mount.as_os_str()]);
        let collected = job.collect(&Caps::default());
        bind(&["umount".as_ref(), mount.as_os_str()]);
        Failure::refused("x", shown(&collected), "x")
    });
    assert_snapshot!(text, @r"
    x: - mount other-file-system

    next: x
    ");
}

#[test]
fn j23_a_full_disk_is_told_and_leaves_no_half_file() {
    let job = Job::new();
    job.write("a", vec![1; 100 << 10]);
    job.write("b", vec![2; 300 << 10]);
    let text = on_a_full_disk(|small| {
        let failure = Failure::from(collect(job.source(), small, &Caps::default()).unwrap_err());
        assert_eq!(files(small), ["a"]);
        assert_eq!(fs::metadata(small.join("a")).unwrap().len(), 100 << 10);
        failure
    });
    assert_snapshot!(text, @r"
    disk-full: the outputs were not kept: b: No space left on device (os error 28)
    next: free some space, then try again
    ");
}

#[test]
fn what_an_ordinary_user_cannot_read_is_told() {
    let job = Job::new();
    job.write("secret", "x");
    job.write("closed/file", "x");
    job.write("open", "x");
    fs::set_permissions(job.from("secret"), PermissionsExt::from_mode(0o000)).unwrap();
    fs::set_permissions(job.from("closed"), PermissionsExt::from_mode(0o000)).unwrap();
    fs::set_permissions(job.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    fs::set_permissions(job.to(""), PermissionsExt::from_mode(0o777)).unwrap();
    let collected = std::thread::scope(|scope| {
        let ordinary = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                // Of this thread alone: the capabilities of root go with its id.
                let nobody = rustix::process::Uid::from_raw(65534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            job.collect(&Caps::default())
        });
        ordinary.join().unwrap()
    });
    fs::set_permissions(job.from("closed"), PermissionsExt::from_mode(0o700)).unwrap();
    assert_snapshot!(shown(&collected), @r"
    open 1 2d711642
    - closed unreadable
    - secret unreadable
    ");
}

#[test]
fn a_file_can_be_collected_again_elsewhere() {
    let job = Job::new();
    job.write("a", "x");
    let source = job.source();
    let again = job.dir.path().join("again");
    fs::create_dir(&again).unwrap();
    let first = collect(&source, &job.to(""), &Caps::default()).unwrap();
    assert_eq!(collect(&source, &again, &Caps::default()).unwrap(), first);
}

#[test]
fn what_readers_are_not_given_cannot_be_an_output() {
    assert!(job_files::HIDDEN.iter().all(|hidden| collect::RESERVED.contains(hidden)));
}
