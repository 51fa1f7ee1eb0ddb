//! A Debian host that is made up: files, units and who listens, and what the programs that are run do to them.
//!
//! It knows no more than what is asked of it, and refuses the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use host::{Cmd, Host, HostError, Kind, Output, Stat, Status};

pub(crate) const TAILSCALE: &str =
    r#"{"BackendState":"Running","TailscaleIPs":["100.64.0.1","fd7a:115c:a1e0::1"],"Self":{"Online":true}}"#;

const UNIT_DROP_IN: &str = "/etc/systemd/system/ssh.service.d/zz-tailscale-only.conf";
const SERVICE: &str = "ExecStart={ path=/usr/sbin/sshd ; argv[]=/usr/sbin/sshd -D $SSHD_OPTS ; ignore_errors=no }
TriggeredBy=ssh.socket
EnvironmentFiles=/etc/default/ssh (ignore_errors=yes)
Requires=system.slice sysinit.target";

/// What is where, and what runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    pub(crate) files: BTreeMap<PathBuf, String>,
    pub(crate) units: BTreeMap<String, Unit>,
    /// Where the service listens since its last start.
    pub(crate) listens: BTreeSet<SocketAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Unit {
    pub(crate) active: bool,
    pub(crate) enabled: bool,
    pub(crate) masked: bool,
}

/// When something fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Never,
    /// The effect with this number fails, and what comes after it does not.
    Once(usize),
    /// From the effect with this number on nothing happens any more, as when the program was killed.
    From(usize),
}

pub(crate) struct Machine {
    state: Mutex<State>,
    effects: Mutex<usize>,
    fault: Mutex<Fault>,
    strangers: Mutex<BTreeSet<SocketAddr>>,
    taken: Mutex<String>,
    sleeps: Mutex<usize>,
    pub(crate) sleepless: bool,
    /// Another drop-in of the unit wins.
    pub(crate) overridden: bool,
    pub(crate) tailscale: String,
}

impl Machine {
    /// A plain Debian, by whatever starts its sshd: the service or the socket.
    pub(crate) fn debian(by_socket: bool) -> Self {
        let mut state = State::default();
        state.files.insert("/etc/ssh/sshd_config".into(), "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n".into());
        state.files.insert("/etc/default/ssh".into(), "SSHD_OPTS=\n".into());
        let unit = |on| Unit { active: on, enabled: on, masked: false };
        state.units.insert("ssh.service".into(), unit(!by_socket));
        state.units.insert("ssh.socket".into(), unit(by_socket));
        state.listens = if by_socket { BTreeSet::new() } else { everywhere() };
        Self {
            state: Mutex::new(state),
            effects: Mutex::new(0),
            fault: Mutex::new(Fault::Never),
            strangers: Mutex::default(),
            taken: Mutex::default(),
            sleeps: Mutex::default(),
            sleepless: false,
            overridden: false,
            tailscale: TAILSCALE.into(),
        }
    }

    pub(crate) fn with(self, path: &str, text: &str) -> Self {
        self.state.lock().unwrap().files.insert(path.into(), text.into());
        self
    }

    pub(crate) fn unit_is(&self, name: &str, enabled: bool, masked: bool) {
        let mut state = self.state.lock().unwrap();
        let unit = state.units.get_mut(name).unwrap();
        (unit.enabled, unit.masked) = (enabled, masked);
    }

    /// Changes a file.
    pub(crate) fn edit(&self, path: &str, change: impl FnOnce(String) -> String) {
        let mut state = self.state.lock().unwrap();
        let text = state.files.remove(Path::new(path)).unwrap_or_default();
        state.files.insert(path.into(), change(text));
    }

    /// As after a confirmation.
    pub(crate) fn forget_pending(&self) {
        self.state.lock().unwrap().files.remove(Path::new(sshd_fix::paths::PENDING));
    }

    /// As a confirmation leaves it.
    pub(crate) fn keep_confirmed(&self) {
        let mut state = self.state.lock().unwrap();
        let pending = state.files[Path::new(sshd_fix::paths::PENDING)].clone();
        state.files.insert(sshd_fix::paths::CONFIRMED.into(), pending);
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap().clone()
    }

    /// Fails there, counted from now.
    pub(crate) fn fails(&self, fault: Fault) {
        *self.effects.lock().unwrap() = 0;
        *self.fault.lock().unwrap() = fault;
    }

    pub(crate) fn effects(&self) -> usize {
        *self.effects.lock().unwrap()
    }

    /// sshd reads its files anew.
    pub(crate) fn restarted(self) -> Self {
        self.systemctl(&["restart", "ssh.service"]).unwrap();
        self
    }

    /// Somebody else listens there, or nobody any more.
    pub(crate) fn stranger(&self, at: Option<&str>) {
        *self.strangers.lock().unwrap() = at.map(|at| at.parse().unwrap()).into_iter().collect();
    }

    /// sshd cannot listen there.
    pub(crate) fn takes(&self, at: &str) {
        at.clone_into(&mut self.taken.lock().unwrap());
    }

    /// How often time had to pass.
    pub(crate) fn sleeps(&self) -> usize {
        *self.sleeps.lock().unwrap()
    }

    /// Where sshd listens, or systemd for it.
    fn served(&self) -> BTreeSet<SocketAddr> {
        let state = self.state.lock().unwrap();
        let socket = &state.units["ssh.socket"];
        if socket.active { everywhere() } else { state.listens.clone() }
    }

    /// Somebody listens at these addresses.
    pub(crate) fn listeners(&self) -> BTreeSet<SocketAddr> {
        self.served().union(&self.strangers.lock().unwrap()).copied().collect()
    }

    /// What the next boot makes of it: what is enabled is started, first of all what puts back.
    pub(crate) fn reboot(&self) {
        self.fails(Fault::Never);
        {
            let mut state = self.state.lock().unwrap();
            state.listens.clear();
            state.units.values_mut().for_each(|unit| unit.active = false);
        }
        let armed = self.state().files.contains_key(Path::new(sshd_fix::paths::BOOT_WANTED));
        let pending = self.state().files.contains_key(Path::new(sshd_fix::paths::PENDING));
        if armed && pending {
            sshd_fix::boot(self, &|_| ()).unwrap();
        }
        for name in ["ssh.socket", "ssh.service"] {
            let unit = self.state().units[name].clone();
            if unit.enabled && !unit.masked {
                self.systemctl(&["start", name]).unwrap();
            }
        }
        if armed && pending {
            sshd_fix::revert(self, &|_| ()).unwrap();
        }
    }

    /// Whether the next effect happens.
    fn happens(&self, path: &Path) -> Result<(), HostError> {
        let mut effects = self.effects.lock().unwrap();
        *effects += 1;
        let failed = match *self.fault.lock().unwrap() {
            Fault::Never => false,
            Fault::Once(at) => *effects == at,
            Fault::From(at) => *effects >= at,
        };
        if failed {
            Err(HostError::Io { path: path.to_owned(), source: std::io::Error::other("fault") })
        } else {
            Ok(())
        }
    }

    fn config(&self, main: &str) -> Result<BTreeSet<String>, String> {
        let state = self.state.lock().unwrap();
        let text = |path: &Path| state.files.get(path).cloned().unwrap_or_default();
        let main = text(Path::new(main));
        let mut lines: Vec<String> = main.lines().map(str::to_owned).collect();
        for pattern in main.lines().filter_map(|line| line.strip_prefix("Include ")) {
            let dir = Path::new(pattern).parent().unwrap();
            let included = state.files.keys().filter(|path| path.parent() == Some(dir));
            lines.extend(included.flat_map(|path| text(path).lines().map(str::to_owned).collect::<Vec<_>>()));
        }
        if let Some(wrong) = lines.iter().find(|line| line.starts_with("Wrong")) {
            return Err(format!("Bad configuration option: {wrong}"));
        }
        let ports: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("Port ")).collect();
        let ports = if ports.is_empty() { vec!["22"] } else { ports };
        let addresses: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("ListenAddress ")).collect();
        let addresses = if addresses.is_empty() { vec!["0.0.0.0", "[::]"] } else { addresses };
        Ok(addresses.iter().flat_map(|address| ports.iter().map(move |port| format!("{address}:{port}"))).collect())
    }

    fn systemctl(&self, words: &[&str]) -> Result<String, String> {
        let verb = words[0];
        if ["daemon-reload", "reset-failed"].contains(&verb) || words.contains(&"--no-block") {
            return Ok(String::new());
        }
        let names = words[1..].iter().filter(|word| !word.starts_with("--") && !word.ends_with(".target"));
        for name in names {
            self.unit(verb, name, words.contains(&"--now"))?;
        }
        Ok(String::new())
    }

    fn unit(&self, verb: &str, name: &str, now: bool) -> Result<(), String> {
        let listens = self.config("/etc/ssh/sshd_config");
        let mut state = self.state.lock().unwrap();
        if name.starts_with("sshd-fix") {
            let wanted = match name {
                "sshd-fix-boot.service" => sshd_fix::paths::BOOT_WANTED,
                _ => sshd_fix::paths::TIMER_WANTED,
            };
            if verb == "enable" {
                state.files.insert(wanted.into(), String::new());
            }
            return Ok(());
        }
        let serves = state.units["ssh.service"].active;
        let unit = state.units.get_mut(name).ok_or_else(|| format!("Unit {name} not found"))?;
        match verb {
            "enable" | "add-wants" => unit.enabled = true,
            "disable" => {
                unit.enabled = false;
                unit.active &= !now;
            }
            "mask" => unit.masked = true,
            "unmask" => unit.masked = false,
            "stop" => unit.active = false,
            "start" | "restart" if unit.masked => return Err(format!("Unit {name} is masked")),
            "start" if unit.active => return Ok(()),
            "start" if name == "ssh.socket" && serves => return Err("Socket service ssh.service already active".into()),
            "start" | "restart" => {
                unit.active = false;
                let listens = listens?;
                if let Some(unit) = state.units.get_mut(name) {
                    unit.active = true;
                }
                if name == "ssh.service" {
                    let (strangers, taken) = (self.strangers.lock().unwrap(), self.taken.lock().unwrap());
                    let free = listens.iter().filter(|at| **at != *taken).map(|at| at.parse().unwrap());
                    state.listens = free.filter(|at| !strangers.contains(at)).collect();
                }
            }
            other => return Err(format!("unknown verb {other}")),
        }
        if !state.units["ssh.service"].active {
            state.listens.clear();
        }
        Ok(())
    }

    fn show(&self, words: &[&str]) -> String {
        let state = self.state.lock().unwrap();
        let shown = words.iter().skip(2).map(|name| match (*name, state.units.get(*name)) {
            (_, Some(unit)) => {
                let active = if unit.active { "active" } else { "inactive" };
                let enablement = if unit.masked { "masked" } else if unit.enabled { "enabled" } else { "disabled" };
                let service = *name == "ssh.service";
                let pid = u32::from(service && unit.active) * 500;
                let more = if service {
                    let retries = if state.files.contains_key(Path::new(UNIT_DROP_IN)) && !self.overridden {
                        "Restart=always\nRestartUSec=1s\nRestartPreventExitStatus=\nStartLimitIntervalUSec=0"
                    } else {
                        "Restart=on-failure\nRestartUSec=100ms\nRestartPreventExitStatus=255\nStartLimitIntervalUSec=10s"
                    };
                    format!("{retries}\n{SERVICE}")
                } else {
                    "Listen=[::]:22 (Stream)".into()
                };
                format!("Id={name}\nLoadState=loaded\nActiveState={active}\nUnitFileState={enablement}\nFragmentPath=/lib/systemd/system/{name}\nMainPID={pid}\n{more}")
            }
            (_, None) => format!("Id={name}\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\nMainPID=0"),
        });
        shown.collect::<Vec<_>>().join("\n\n")
    }

    /// What a program says, and what it does.
    fn program(&self, program: &str, args: &[&str]) -> Result<String, String> {
        match (program, args) {
            ("systemctl", ["show", "--property=SubState", _]) => Ok("SubState=waiting\n".into()),
            ("systemctl", ["show", ..]) => Ok(self.show(args)),
            ("systemctl", ["is-active", _]) => Ok("active".into()),
            ("systemctl", _) => self.systemctl(args),
            ("tailscale", _) => Ok(self.tailscale.clone()),
            ("ip", _) => Ok(r#"[{"ifname":"lo","addr_info":[{"local":"127.0.0.1"},{"local":"::1"}]},{"ifname":"eth0","addr_info":[{"local":"203.0.113.1"}]},{"ifname":"tailscale0","addr_info":[{"local":"100.64.0.1"}]}]"#.into()),
            ("/usr/sbin/sshd", [mode, rest @ ..]) => {
                let main = if let ["-f", main, ..] = rest { main } else { "/etc/ssh/sshd_config" };
                let listens = self.config(main)?;
                Ok(if *mode == "-t" { String::new() } else { listens.iter().map(|at| format!("listenaddress {at}\n")).collect() })
            }
            ("rm", ["-rf", paths @ ..]) => {
                let mut state = self.state.lock().unwrap();
                state.files.retain(|file, _| !paths.iter().any(|path| file.starts_with(path)));
                Ok(String::new())
            }
            ("install", ["-m", "0755", _, to]) => {
                self.state.lock().unwrap().files.insert(to.into(), "program".into());
                Ok(String::new())
            }
            ("sleep", _) => {
                *self.sleeps.lock().unwrap() += 1;
                if self.sleepless { Err("interrupted".into()) } else { Ok(String::new()) }
            }
            ("install" | "mkdir" | "sync" | "find" | "systemd-run", _) => Ok(String::new()),
            _ => Err(format!("unknown: {program} {args:?}")),
        }
    }
}

fn everywhere() -> BTreeSet<SocketAddr> {
    ["0.0.0.0:22", "[::]:22"].map(|at| at.parse().unwrap()).into()
}

/// A row of the kernel's table.
fn row(at: SocketAddr, inode: usize) -> (bool, String) {
    let words = |bytes: &[u8]| -> String {
        bytes.chunks(4).map(|four| format!("{:08X}", u32::from_le_bytes(four.try_into().unwrap()))).collect()
    };
    let address = match at {
        SocketAddr::V4(v4) => words(&v4.ip().octets()),
        SocketAddr::V6(v6) => words(&v6.ip().octets()),
    };
    let row = format!("0: {address}:{:04X} 0:0 0A 0:0 00:0 0 0 0 {inode} 1\n", at.port())
        .replace(" 0:0 0A", &format!(" {}:0000 0A", "0".repeat(address.len())));
    (at.is_ipv4(), row)
}

impl Host for Machine {
    fn run(&self, cmd: &Cmd) -> Result<Output, HostError> {
        let program = cmd.program().to_string_lossy();
        let args: Vec<_> = cmd.arguments().iter().map(|arg| arg.to_string_lossy()).collect();
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        let looks = ["tailscale", "ip", "/usr/sbin/sshd", "sleep"].contains(&program.as_ref())
            || args.first().is_some_and(|verb| ["show", "is-active"].contains(verb));
        if !looks {
            self.happens(Path::new(&*program))?;
        }
        let (code, stdout, stderr) = match self.program(&program, &args) {
            Ok(said) => (0, said, String::new()),
            Err(why) => (1, String::new(), why),
        };
        let (stdout, stderr) = (stdout.into_bytes(), stderr.into_bytes());
        Ok(Output { status: Status::Exited(code), stdout, stderr, cut: false, elapsed: Duration::ZERO })
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
        let rows = |v4: bool| -> String {
            let rows = self.listeners().into_iter().zip(900..).map(|(at, inode)| row(at, inode));
            "  sl  local_address\n".to_owned()
                + &rows.filter(|(is_v4, _)| *is_v4 == v4).map(|(_, row)| row).collect::<String>()
        };
        let told = match path.to_str().unwrap() {
            "/proc/net/tcp" => Some(rows(true)),
            "/proc/net/tcp6" => Some(rows(false)),
            "/proc/self/stat" => Some("700 (sshd-fix) S 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 9000".into()),
            "/proc/1/stat" => Some("1 (systemd) S 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1".into()),
            _ => self.state.lock().unwrap().files.get(path).cloned(),
        };
        Ok(told.map(String::into_bytes))
    }

    fn write_atomic(&self, path: &Path, bytes: &[u8], _mode: u32) -> Result<(), HostError> {
        self.happens(path)?;
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        self.state.lock().unwrap().files.insert(path.to_owned(), text);
        Ok(())
    }

    fn stat(&self, path: &Path) -> Result<Option<Stat>, HostError> {
        let state = self.state.lock().unwrap();
        let file =
            state.files.get(path).map(|text| Stat { kind: Kind::File, mode: 0o644, uid: 0, len: text.len() as u64 });
        Ok(file)
    }

    fn remove(&self, path: &Path) -> Result<(), HostError> {
        self.happens(path)?;
        self.state.lock().unwrap().files.remove(path);
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Option<Vec<OsString>>, HostError> {
        if dir == Path::new("/proc/500/fd") || dir == Path::new("/proc/1/fd") {
            let own = self.served();
            let fds = self.listeners().into_iter().enumerate().filter(|(_, at)| own.contains(at));
            return Ok(Some(fds.map(|(fd, _)| fd.to_string().into()).collect()));
        }
        let state = self.state.lock().unwrap();
        let below = state.files.keys().filter(|path| path.parent() == Some(dir));
        Ok(Some(below.filter_map(|path| path.file_name().map(Into::into)).collect()))
    }

    fn follow(&self, path: &Path) -> Result<Option<PathBuf>, HostError> {
        let fd = path
            .strip_prefix("/proc/500/fd")
            .or_else(|_| path.strip_prefix("/proc/1/fd"))
            .ok()
            .and_then(|fd| fd.to_str()?.parse::<usize>().ok());
        Ok(fd.map(|fd| format!("socket:[{}]", 900 + fd).into()))
    }

    fn env(&self, _name: &str) -> Option<OsString> {
        None
    }

    fn uid(&self) -> u32 {
        0
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
    }

    fn random(&self, len: usize) -> Vec<u8> {
        vec![0; len]
    }
}
