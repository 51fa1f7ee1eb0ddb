//! A control group for one job, where this machine lets the runner have one.
//!
//! **Invariant:** a job's group is below the runner's own, so that what bounds the runner bounds the job.
//! **Invariant:** a group is removed with its job, or when its runner is dead by the next one that can know that: one of
//! the same namespace of processes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::spec::Limits;

/// The directory that holds the groups of jobs.
const HOME: &str = "ai-ops-runner";
/// How often an emptied group is tried to be removed, a millisecond apart: the kernel takes a moment to let go.
const TRIES: u32 = 50;

/// One hierarchy that a group can be made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Version 2: everything in one.
    Unified,
    /// Version 1, one controller.
    Memory,
    Pids,
    Cpuacct,
}

/// The runner's own group in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    kind: Kind,
    /// Where the hierarchy is mounted.
    top: PathBuf,
    dir: PathBuf,
}

/// Where this process's own groups are.
fn own_places() -> Vec<Place> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    places(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"))
}

/// Where the runner's own groups are, from `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn places(own: &str, mounts: &str) -> Vec<Place> {
    own.lines().flat_map(|line| place(line, mounts)).collect()
}

fn place(line: &str, mounts: &str) -> Vec<Place> {
    let mut fields = line.splitn(3, ':');
    let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { return vec![] };
    if controllers.is_empty() {
        let dir = mounts.lines().find_map(|mount| own_dir(mount, "cgroup2", None, path));
        return dir.map(|(top, dir)| Place { kind: Kind::Unified, top, dir }).into_iter().collect();
    }
    let kind = |name: &str| match name {
        "memory" => Some(Kind::Memory),
        "pids" => Some(Kind::Pids),
        "cpuacct" => Some(Kind::Cpuacct),
        _ => None,
    };
    let of = |name: &str| {
        let kind = kind(name)?;
        let (top, dir) = mounts.lines().find_map(|mount| own_dir(mount, "cgroup", Some(name), path))?;
        Some(Place { kind, top, dir })
    };
    controllers.split(',').filter_map(of).collect()
}

/// The mount point of a hierarchy and the directory of the group `path` in it, if `mount` is a line about it. The fields
/// are those of proc(5).
fn own_dir(mount: &str, kind: &str, controller: Option<&str>, path: &str) -> Option<(PathBuf, PathBuf)> {
    let (before, after) = mount.split_once(" - ")?;
    let mut after = after.split(' ');
    if after.next()? != kind {
        return None;
    }
    let options = after.nth(1)?;
    if controller.is_some_and(|name| !options.split(',').any(|option| option == name)) {
        return None;
    }
    let mut before = before.split(' ').skip(3);
    let (root, point) = (before.next()?, before.next()?);
    let inside = Path::new(path).strip_prefix(root).ok()?;
    Some((point.into(), Path::new(point).join(inside)))
}

/// The group of one job.
#[derive(Debug, Default)]
pub(crate) struct Group {
    dirs: Vec<Place>,
}

/// The ways into a group.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    /// The directory of a group of version 2.
    pub(crate) unified: Option<OwnedFd>,
    /// To be written by whoever enters, in each hierarchy of version 1.
    pub(crate) tasks: Vec<OwnedFd>,
}

/// What is in a job's group besides what its limits are about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extra {
    /// The sandbox's own processes.
    pub(crate) processes: u64,
    /// Files in memory: they are charged to the group and have bounds of their own.
    pub(crate) file_bytes: u64,
}

/// What a group counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) cpu: Option<Duration>,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) oom_kills: u64,
    pub(crate) refused_processes: u64,
}

impl Group {
    /// Makes a group with `limits` and room for `extra`, in as many hierarchies as the runner may write to: maybe in none.
    pub(crate) fn new(limits: &Limits, extra: Extra, random: &str) -> Self {
        let places = own_places();
        let name = Name { runner: std::process::id(), namespace: own_namespace() }.with(random);
        let unified = places.iter().filter(|place| place.kind == Kind::Unified).find_map(|place| unified(place, &name));
        let single =
            || places.iter().filter(|place| place.kind != Kind::Unified).filter_map(|place| make(place, &name));
        let dirs = unified.map_or_else(|| single().collect(), |place| vec![place]);
        let mut group = Self { dirs };
        group.limit(limits, extra);
        group
    }

    /// Sets the limits, and drops hierarchies that do not take them.
    fn limit(&mut self, limits: &Limits, extra: Extra) {
        let memory = limits.memory_bytes.saturating_add(extra.file_bytes);
        let processes = limits.processes.saturating_add(extra.processes);
        self.dirs.retain(|place| {
            let set = |file: &str, value: u64| set(&place.dir, file, &value.to_string());
            let taken = match place.kind {
                Kind::Unified => {
                    // Without swap, or an old kernel, the files are not there.
                    let _ = set("memory.swap.max", 0);
                    set("memory.max", memory).and_then(|()| set("pids.max", processes))
                }
                Kind::Memory => set("memory.limit_in_bytes", memory).map(|()| {
                    let _ = set("memory.memsw.limit_in_bytes", memory);
                }),
                Kind::Pids => set("pids.max", processes),
                Kind::Cpuacct => Ok(()),
            };
            if taken.is_err() {
                let _ = fs::remove_dir(&place.dir);
            }
            taken.is_ok()
        });
    }

    pub(crate) fn bounds_memory(&self) -> bool {
        self.dirs.iter().any(|place| matches!(place.kind, Kind::Unified | Kind::Memory))
    }

    pub(crate) fn bounds_processes(&self) -> bool {
        self.dirs.iter().any(|place| matches!(place.kind, Kind::Unified | Kind::Pids))
    }

    pub(crate) fn counts_cpu(&self) -> bool {
        self.dirs.iter().any(|place| matches!(place.kind, Kind::Unified | Kind::Cpuacct))
    }

    /// The ways in, for a process that is being started.
    pub(crate) fn doors(&self) -> io::Result<Doors> {
        let mut doors = Doors::default();
        for place in &self.dirs {
            if place.kind == Kind::Unified {
                doors.unified = Some(File::open(&place.dir)?.into());
            } else {
                doors.tasks.push(writable(&place.dir, "tasks")?.into());
            }
        }
        Ok(doors)
    }

    /// Moves a process in that runs: all that it starts from now on is in too.
    pub(crate) fn admit(&self, process: Pid) -> io::Result<()> {
        let process = process.as_raw_nonzero().to_string();
        self.dirs.iter().try_for_each(|place| set(&place.dir, "cgroup.procs", &process))
    }

    /// Processor time until now.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        self.dirs.iter().find_map(|place| match place.kind {
            Kind::Unified => keyed(&place.dir, "cpu.stat", "usage_usec").map(Duration::from_micros),
            Kind::Cpuacct => number(&place.dir, "cpuacct.usage").map(Duration::from_nanos),
            _ => None,
        })
    }

    /// Everything it counted.
    pub(crate) fn counted(&self) -> Counted {
        let mut counted = Counted { cpu: self.cpu(), ..Counted::default() };
        for place in &self.dirs {
            let dir = &place.dir;
            if matches!(place.kind, Kind::Unified | Kind::Pids) {
                counted.refused_processes = keyed(dir, "pids.events", "max").unwrap_or(0);
            }
            match place.kind {
                Kind::Unified => {
                    counted.peak_memory_bytes = number(dir, "memory.peak");
                    counted.oom_kills = keyed(dir, "memory.events", "oom_kill").unwrap_or(0);
                }
                Kind::Memory => {
                    counted.peak_memory_bytes = number(dir, "memory.max_usage_in_bytes");
                    counted.oom_kills = keyed(dir, "memory.oom_control", "oom_kill").unwrap_or(0);
                }
                Kind::Pids | Kind::Cpuacct => {}
            }
        }
        counted
    }

    /// Kills whatever is in it.
    pub(crate) fn kill(&self) {
        self.dirs.iter().for_each(|place| kill(&place.dir));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.dirs.iter().for_each(|place| remove(&place.dir));
    }
}

/// Makes a group of version 2. The runner's own group has a process, this one, and so cannot hand out controllers unless
/// it is the root; the one above can, where it was delegated.
fn unified(own: &Place, name: &str) -> Option<Place> {
    let above = own.dir.parent().filter(|above| above.starts_with(&own.top));
    [Some(own.dir.as_path()), above].into_iter().flatten().find_map(|above| {
        let hand_out = |dir: &Path| set(dir, "cgroup.subtree_control", "+memory +pids");
        hand_out(above).ok()?;
        let home = above.join(HOME);
        sweep(&home);
        exists_or_made(&home).and_then(|()| hand_out(&home)).ok()?;
        let dir = home.join(name);
        fs::create_dir(&dir).ok()?;
        Some(Place { kind: Kind::Unified, top: own.top.clone(), dir })
    })
}

/// Makes a group of version 1.
fn make(own: &Place, name: &str) -> Option<Place> {
    let home = own.dir.join(HOME);
    sweep(&home);
    exists_or_made(&home).ok()?;
    let dir = home.join(name);
    fs::create_dir(&dir).ok()?;
    Some(Place { kind: own.kind, top: own.top.clone(), dir })
}

fn set(dir: &Path, file: &str, value: &str) -> io::Result<()> {
    writable(dir, file)?.write_all(value.as_bytes())
}

/// Opens a file of the kernel's; never makes one.
fn writable(dir: &Path, file: &str) -> io::Result<File> {
    OpenOptions::new().write(true).open(dir.join(file))
}

fn exists_or_made(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Whose a group is. A process has its number in its namespace alone.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    runner: u32,
    namespace: u64,
}

impl Name {
    fn with(&self, random: &str) -> String {
        format!("{}-{}-{random}", self.runner, self.namespace)
    }

    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let (runner, namespace) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().map(|_| Self { runner, namespace })
    }
}

/// The inode that tells this process's namespace of processes from others (namespaces(7)).
fn own_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |namespace| namespace.ino())
}

/// Removes the groups of runners that are dead.
fn sweep(home: &Path) {
    let namespace = own_namespace();
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        let name = entry.file_name().to_str().and_then(Name::parse).filter(|name| name.namespace == namespace);
        if name.is_some_and(|name| !Path::new("/proc").join(name.runner.to_string()).exists()) {
            kill(&entry.path());
            remove(&entry.path());
        }
    }
}

fn kill(dir: &Path) {
    if set(dir, "cgroup.kill", "1").is_ok() {
        return;
    }
    let members = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    for pid in members.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

fn remove(dir: &Path) {
    for _ in 0..TRIES {
        match fs::remove_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(Duration::from_millis(1)),
            // Removed, or never to be by this user: the next runner tries again.
            _ => return,
        }
    }
}

fn number(dir: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok()
}

fn keyed(dir: &Path, file: &str, key: &str) -> Option<u64> {
    value(&fs::read_to_string(dir.join(file)).ok()?, key)
}

/// The number behind `key` in a file of such lines.
fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::start;
    use crate::testing::limits;

    fn check(own: &str, mounts: &str) -> String {
        places(own, mounts).iter().map(|place| format!("{:?} {}\n", place.kind, place.dir.display())).collect()
    }

    #[test]
    fn own_groups_are_found_in_every_layout() {
        let one = "0::/user.slice/runner.service\n";
        assert_snapshot!(check(one, "30 23 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"), @"Unified /sys/fs/cgroup/user.slice/runner.service");
        let two = "8:pids:/\n4:memory:/box/a:b\n3:cpu,cpuacct:/box\n1:name=systemd:/\n0::/\n";
        let mounts = "33 31 0:30 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            35 31 0:32 /box /cg/memory rw - cgroup cgroup rw,memory\n36 31 0:34 / /cg/pids rw - cgroup cgroup rw,pids\n";
        assert_snapshot!(check(two, mounts), @r"
        Pids /cg/pids/
        Memory /cg/memory/a:b
        Cpuacct /cg/cpu,cpuacct/box
        ");
        assert_snapshot!(check("", ""), @"");
        assert_snapshot!(check("x\n4:memory", "y"), @"");
    }

    #[test]
    fn a_group_says_whose_it_is() {
        let name = Name { runner: 7, namespace: 4_026_531_836 };
        assert_eq!(Name::parse(&name.with("0badcafe")), Some(name));
        for other in ["", "7", "7-8", "7-x-0badcafe", "-8-0badcafe", "notes-8-0badcafe"] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_group_goes_when_its_runner_is_dead_and_can_be_known_to_be() {
        let home = tempfile::tempdir().unwrap();
        let (dead, alive) = (u32::MAX, std::process::id());
        let groups = [(dead, own_namespace()), (alive, own_namespace()), (dead, own_namespace() + 1)];
        let groups = groups.map(|(runner, namespace)| home.path().join(Name { runner, namespace }.with("0badcafe")));
        for dir in &groups {
            fs::create_dir(dir).unwrap();
        }
        sweep(home.path());
        assert_eq!(groups.map(|dir| dir.exists()), [false, true, true]);
    }

    const EXTRA: Extra = Extra { processes: 2, file_bytes: 0 };

    #[test]
    fn who_is_started_in_a_group_is_in_it_in_every_hierarchy() {
        let group = Group::new(&limits(), EXTRA, "5eed0001");
        let doors = group.doors().unwrap();
        assert_eq!(usize::from(doors.unified.is_some()) + doors.tasks.len(), group.dirs.len());
        let (started, said) = start::testing::cgroups(&doors).unwrap();
        assert!(started.in_group);
        assert_eq!(said.lines().filter(|line| line.ends_with("-5eed0001")).count(), group.dirs.len(), "{said}");
    }

    #[test]
    fn who_is_born_in_a_group_of_version_2_is_in_it() {
        // A hierarchy without controllers has groups too.
        let Some(own) = own_places().into_iter().find(|place| place.kind == Kind::Unified) else { return };
        let dir = own.dir.join(format!("born-{}", std::process::id()));
        if fs::create_dir(&dir).is_err() {
            assert!(!rustix::process::geteuid().is_root() || Group::new(&limits(), EXTRA, "5eed0002").dirs.is_empty());
            return;
        }
        let place = Place { dir, ..own };
        let group = Group { dirs: vec![place] };
        let (started, said) = start::testing::cgroups(&group.doors().unwrap()).unwrap();
        assert!(started.in_group);
        assert!(said.lines().any(|line| line.starts_with("0::") && line.contains("/born-")), "{said}");
    }

    #[test]
    fn a_key_is_a_whole_word() {
        assert_eq!(value("oom 1\noom_kill_disable 0\noom_kill 3\n", "oom_kill"), Some(3));
        assert_eq!(value("max 7", "max"), Some(7));
        assert_eq!(value("", "max"), None);
    }
}
