//! Who has which socket open: every process's descriptors in `/proc`.
//!
//! **Invariant:** a process is known by what it cannot choose: the control group that it is in, and the file that it runs.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use port_audit::{Gap, Identity, Owner, Owners, Program};
use rustix::fs::{Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::Errno;
use rustix::process::geteuid;

/// The process namespace of the machine itself: `PROC_PID_INIT_INO` (Linux, `include/linux/proc_ns.h`).
const INITIAL: u64 = 0xEFFF_FFFC;
/// The user who may have sockets made that no process has.
const ROOT: u32 = 0;
/// What networkd's user is called.
const NETWORKD: &str = "systemd-network";
/// The longest link of a socket or a namespace, in bytes.
const LINK: usize = 64;

/// What was seen of all processes.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    /// Sockets and who has them, sorted.
    open: Vec<(u64, u32)>,
    /// The network namespaces by their inodes, and a file of each.
    pub(crate) namespaces: BTreeMap<u64, PathBuf>,
    /// What could not be seen.
    pub(crate) gaps: Vec<Gap>,
    /// No process was left out: what nobody has the kernel has.
    all: bool,
}

/// Looks at all processes.
pub(crate) fn look() -> io::Result<Processes> {
    let (mut seen, mut unseen, mut room) = (Processes::default(), 0_u32, Room::new());
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        match seen.process(pid, &mut room) {
            Err(error) if has_ended(&error) => {}
            Err(_) => unseen += 1,
            Ok(()) => {}
        }
    }
    seen.open.sort_unstable();
    seen.open.dedup();
    seen.mounted();
    let is_root = geteuid().is_root();
    if unseen > 0 || !is_root {
        let why = format!("{unseen} processes do not show what they have open, and there may be more: look as root");
        seen.gaps.push(Gap { what: "owners and other network namespaces".into(), why });
    }
    seen.all = unseen == 0 && is_root && inode("/proc/self/ns/pid") == Some(INITIAL);
    if seen.namespaces.is_empty() {
        return Err(io::Error::other("it shows no process"));
    }
    Ok(seen)
}

/// The inode number of a file.
pub(crate) fn inode(path: impl AsRef<Path>) -> Option<u64> {
    fs::metadata(path).ok().map(|found| found.ino())
}

/// Whether that is how a process or thread shows that is gone (`ENOENT`, `ESRCH`).
fn has_ended(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// What names and links are read into.
struct Room {
    names: Vec<MaybeUninit<u8>>,
    link: [MaybeUninit<u8>; LINK],
}

impl Room {
    fn new() -> Self {
        Self { names: vec![MaybeUninit::uninit(); 32 << 10], link: [MaybeUninit::uninit(); LINK] }
    }
}

impl Processes {
    /// Each thread may be in a network of its own. The first one may have ended while others go on, and what it had open is
    /// what they have: descriptors are read of one that goes on.
    fn process(&mut self, pid: u32, room: &mut Room) -> io::Result<()> {
        let mut is_read = false;
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = thread?.path();
            match self.thread(pid, &thread, !is_read, room) {
                Err(error) if has_ended(&error) => {}
                looked => {
                    looked?;
                    is_read = true;
                }
            }
        }
        Ok(())
    }

    fn thread(&mut self, pid: u32, thread: &Path, with_fds: bool, room: &mut Room) -> io::Result<()> {
        let dir = File::open(thread)?;
        if let Some(Link::Namespace(inode)) = link(&dir, c"ns/net", &mut room.link)? {
            self.namespaces.entry(inode).or_insert_with(|| thread.join("ns/net"));
        }
        if !with_fds {
            return Ok(());
        }
        let fds = openat(&dir, "fd", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut entries = RawDir::new(&fds, &mut room.names);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            // One that is closed meanwhile is no socket of it any more.
            match link(&fds, entry.file_name(), &mut room.link) {
                Ok(Some(Link::Socket(inode))) => self.open.push((inode, pid)),
                Ok(Some(Link::Namespace(inode))) => {
                    let path = thread.join("fd").join(&*entry.file_name().to_string_lossy());
                    self.namespaces.entry(inode).or_insert(path);
                }
                Ok(None) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Namespaces that no process is in are kept by mounts, such as those of `ip netns`.
    fn mounted(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for mount in mounts.lines() {
            let words: Vec<&str> = mount.split(' ').collect();
            if let (Some(root), Some(place)) = (words.get(3), words.get(4))
                && let Some(Link::Namespace(inode)) = Link::read(root.as_bytes())
            {
                self.namespaces.entry(inode).or_insert_with(|| place.into());
            }
        }
    }

    /// Whether a process has the socket of this inode.
    pub(crate) fn has(&self, inode: u64) -> bool {
        self.pids(inode).next().is_some()
    }

    fn pids(&self, inode: u64) -> impl Iterator<Item = u32> {
        let first = self.open.partition_point(|(other, _)| *other < inode);
        self.open[first..].iter().take_while(move |(other, _)| *other == inode).map(|(_, pid)| *pid)
    }
}

/// What a link in `/proc` leads to.
#[derive(Debug, PartialEq, Eq)]
enum Link {
    Socket(u64),
    Namespace(u64),
}

impl Link {
    /// `socket:[NUMBER]`, `net:[NUMBER]`.
    fn read(target: &[u8]) -> Option<Self> {
        let number = |digits: &[u8]| std::str::from_utf8(digits.strip_suffix(b"]")?).ok()?.parse().ok();
        match target.strip_prefix(b"socket:[") {
            Some(digits) => number(digits).map(Self::Socket),
            None => number(target.strip_prefix(b"net:[")?).map(Self::Namespace),
        }
    }
}

/// Nothing for one that leads elsewhere.
fn link(dir: impl std::os::fd::AsFd, name: &CStr, room: &mut [MaybeUninit<u8>]) -> io::Result<Option<Link>> {
    let (target, _) = readlinkat_raw(dir, name, room)?;
    Ok(Link::read(target))
}

/// What can be told of processes, each looked at once.
#[derive(Debug, Default)]
pub(crate) struct Known(BTreeMap<u32, Option<Owner>>);

impl Known {
    /// Those that have the socket of this inode and are there still. A socket that a `user` made is not the kernel's own,
    /// though no process shows that it has it: only root and networkd have the kernel make some.
    pub(crate) fn owners(&mut self, processes: &Processes, inode: u64, user: u32) -> Owners {
        let owner = |pid| self.0.entry(pid).or_insert_with(|| owner(pid)).clone();
        let owners: Vec<Owner> = processes.pids(inode).filter_map(owner).collect();
        if owners.is_empty() && (!processes.all || !has_kernel_make(user, &users())) {
            Owners::Hidden
        } else {
            Owners::Seen(owners)
        }
    }
}

fn owner(pid: u32) -> Option<Owner> {
    let dir = PathBuf::from(format!("/proc/{pid}"));
    let name = String::from_utf8_lossy(&fs::read(dir.join("comm")).ok()?).trim_end_matches('\n').to_owned();
    let text = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
    let unit = unit(&text("cgroup")).map(str::to_owned);
    let identity = Identity { unit, starts: None, program: program(&dir), is_root: is_root(&text("status")) };
    Some(Owner { pid, name, identity: Some(identity) })
}

fn users() -> String {
    fs::read_to_string("/etc/passwd").unwrap_or_default()
}

/// Whether sockets made in the name of this user may be the kernel's own: networkd brings up tunnels as a user of its own.
fn has_kernel_make(user: u32, users: &str) -> bool {
    let is_networkd = |line: &str| {
        let mut parts = line.split(':');
        parts.next() == Some(NETWORKD) && parts.nth(1).and_then(|id| id.parse().ok()) == Some(user)
    };
    user == ROOT || users.lines().any(is_networkd)
}

/// The owner of a process's directory says nothing: it is root where the process wants it.
fn is_root(status: &str) -> bool {
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    users.is_some_and(|users| users.split_whitespace().eq(["0"; 4]))
}

/// The unit whose control group a process is in. Where systemd has the groups of two versions, one of them may be unused;
/// they never name two units.
fn unit(groups: &str) -> Option<&str> {
    let of_systemd = groups.lines().filter(|line| line.starts_with("0::") || line.contains(":name=systemd:"));
    let mut units = of_systemd.filter_map(|line| unit_of(line.splitn(3, ':').nth(2)?));
    let unit = units.next()?;
    units.all(|other| other == unit).then_some(unit)
}

/// What stands below the slices, which only root makes. Whatever a unit, a user or a container calls its own groups below
/// that is its own affair.
fn unit_of(path: &str) -> Option<&str> {
    let first = path.split('/').skip(1).find(|part| kind(part) != "slice")?;
    ["service", "scope"].contains(&kind(first)).then_some(first)
}

/// What stands behind the last dot.
fn kind(unit: &str) -> &str {
    unit.rsplit_once('.').map_or("", |(_, kind)| kind)
}

/// The file that it runs, and whether only root could have put it there.
fn program(dir: &Path) -> Option<Program> {
    let exe = dir.join("exe");
    let link = fs::read_link(&exe).ok()?;
    let path = link.to_str()?;
    let path = path.strip_suffix(" (deleted)").unwrap_or(path).to_owned();
    // Through the link the file itself is seen, also where its name stands for another now.
    let found = fs::metadata(&exe).ok()?;
    // The path is looked up last: in a namespace of its own a process may have made it one that hangs.
    let trusted = has_no_users_of_its_own(dir) && is_roots(&found) && is_of_the_machine(dir, &path, &found);
    Some(Program { path, trusted })
}

/// Nobody else may write it.
fn is_roots(found: &Metadata) -> bool {
    found.uid() == 0 && found.mode() & 0o022 == 0
}

/// Whether the file is one of the machine, and none of a container: it is the one of that name where the first process
/// looks, or the process looks for names where that one does. Only root can have put a file into such directories.
fn is_of_the_machine(dir: &Path, path: &str, found: &Metadata) -> bool {
    let machine = |path: &Path| fs::metadata(format!("/proc/1/root{}", path.display()));
    let is_named = machine(Path::new(path)).is_ok_and(|named| (named.dev(), named.ino()) == (found.dev(), found.ino()));
    let parents = Path::new(path).ancestors().skip(1);
    (is_named || is_same(dir, "ns/mnt")) && parents.into_iter().all(|dir| machine(dir).is_ok_and(|it| is_roots(&it)))
}

/// In a user namespace of its own any process can be root, and say that it runs another file than it does.
fn has_no_users_of_its_own(dir: &Path) -> bool {
    is_same(dir, "ns/user")
}

fn is_same(dir: &Path, namespace: &str) -> bool {
    let of = |dir: &Path| fs::read_link(dir.join(namespace)).ok();
    of(dir).is_some_and(|own| of(Path::new("/proc/1")) == Some(own))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn v04_a_unit_is_what_stands_below_the_slices() {
        for (path, unit) in [
            ("/system.slice/tailscaled.service", Some("tailscaled.service")),
            ("/system.slice/system-getty.slice/getty@tty1.service", Some("getty@tty1.service")),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/tailscaled.service", Some("user@1000.service")),
            ("/system.slice/evil.service/system.slice/tailscaled.service", Some("evil.service")),
            ("/system.slice/docker-0123.scope/system.slice/tailscaled.service", Some("docker-0123.scope")),
            ("/docker/0123/system.slice/tailscaled.service", None),
            ("/../tailscaled.service", None),
            ("/init.scope", Some("init.scope")),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(unit_of(path), unit, "{path}");
        }
        assert_eq!(unit("0::/system.slice/a.service\n"), Some("a.service"));
        assert_eq!(unit("12:pids:/b.service\n1:name=systemd:/system.slice/a.service\n0::/\n"), Some("a.service"));
        assert_eq!(unit("9:name=systemd:/\n0::/system.slice/a.service\n"), Some("a.service"));
        assert_eq!(unit("9:name=systemd:/b.service\n0::/system.slice/a.service\n"), None);
        assert_eq!(unit("3:cpu:/system.slice/a.service\n"), None);
        assert_eq!(unit(""), None);
    }

    #[test]
    fn v04_a_process_is_roots_where_root_started_it_too() {
        let status = |users: &str| is_root(&format!("Name:\tUid:\t0\nUid:\t{users}\nGid:\t0\t0\t0\t0\n"));
        assert!(status("0\t0\t0\t0"));
        assert!(!status("1000\t0\t0\t0") && !status("1000\t1000\t1000\t1000") && !status("0\t0\t0") && !is_root(""));
    }

    #[test]
    fn links_of_sockets_and_networks_are_told_apart_from_others() {
        assert_eq!(Link::read(b"socket:[12]"), Some(Link::Socket(12)));
        assert_eq!(Link::read(b"net:[4026531840]"), Some(Link::Namespace(4_026_531_840)));
        for other in ["/socket:[12]", "socket:[]", "socket:[12", "pipe:[12]", "mnt:[12]", "socket:[-1]", "net:[x]"] {
            assert_eq!(Link::read(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn this_process_is_found_with_what_it_has_open() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = rustix::fs::fstat(&listener).unwrap().st_ino;
        let seen = look().unwrap();
        assert!(seen.has(inode) && !seen.has(u64::MAX));
        let Owners::Seen(owners) = Known::default().owners(&seen, inode, ROOT) else { panic!("it is this process") };
        let [Owner { pid, identity: Some(Identity { program: Some(program), .. }), .. }] = &owners[..] else {
            panic!("{owners:?}")
        };
        assert_eq!((*pid, Path::new(&program.path)), (std::process::id(), &*std::env::current_exe().unwrap()));
    }

    #[test]
    fn v04_a_socket_that_nobody_shows_is_the_kernels_only_where_root_made_it() {
        let processes = Processes { all: true, ..Processes::default() };
        let owners = |user| Known::default().owners(&processes, 1, user);
        assert_eq!(owners(ROOT), Owners::Seen(Vec::new()));
        assert_eq!(owners(u32::MAX), Owners::Hidden);
        let users = "root:x:0:0::/:\nsystemd-network:x:998:998::/:\nme:x:1000:998::/:\n";
        assert!(has_kernel_make(998, users) && !has_kernel_make(1000, users));
    }

    #[test]
    fn v04_a_file_that_others_can_write_or_name_is_not_trusted() {
        let dir = tempfile::TempDir::new().unwrap();
        let copy = dir.path().join("tailscaled");
        fs::copy("/bin/true", &copy).unwrap();
        let found = fs::metadata(&copy).unwrap();
        let is_own = is_of_the_machine(Path::new("/proc/self"), copy.to_str().unwrap(), &found);
        assert!(!is_own, "anybody can put files into the directory above it");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o775)).unwrap();
        assert!(!is_roots(&fs::metadata(&copy).unwrap()));
    }

    #[test]
    fn namespaces_that_are_held_open_are_found() {
        let held = File::open("/proc/self/ns/net").unwrap();
        let seen = look().unwrap();
        assert!(seen.namespaces.contains_key(&inode("/proc/self/ns/net").unwrap()));
        drop(held);
    }
}
