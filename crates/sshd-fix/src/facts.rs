//! What is seen of a host before anything is decided.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use host::{Cmd, Host, Kind, Status};
use jiff::Timestamp;
use outcome::Failure;
use serde::Deserialize;
use tailnet::Tailnet;

use crate::config::{self, Config};
use crate::journal::{self, Journal};
use crate::operator::{self, Operator};
use crate::paths::{
    BOOT_UNIT, BOOT_WANTED, DROP_IN, NOT_TO_BE_RUN, PENDING, REVERT_UNIT, RUNTIME, TIMER_UNIT, TIMER_WANTED,
    unit_drop_in,
};
use crate::table::{self, Table};
use crate::units::{self, Service, Unit};

/// What was seen, or why it was not: what was not seen is never taken for something.
pub type Observed<T> = Result<T, Failure>;

/// A host as it is now.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Who runs this.
    pub uid: u32,
    /// When.
    pub now: Timestamp,
    /// The program that runs, by its path.
    pub program: PathBuf,
    /// The tailnet; `None` where there is no Tailscale.
    pub tailnet: Observed<Option<Tailnet>>,
    /// The addresses of the interfaces.
    pub interfaces: Observed<Vec<(String, IpAddr)>>,
    /// How the operator got here.
    pub operator: Observed<Operator>,
    /// Where anybody listens or talks by TCP.
    pub table: Observed<Table>,
    /// sshd; `None` where no unit starts one.
    pub sshd: Observed<Option<Sshd>>,
    /// The administrator forbade sshd to be started.
    pub not_to_be_run: Observed<bool>,
    /// A change that waits to be confirmed.
    pub pending: Observed<Option<Journal>>,
    /// Units of an earlier change are still there.
    pub leftovers: Observed<bool>,
}

/// What there is of sshd.
#[derive(Debug, Clone)]
pub struct Sshd {
    /// What starts it.
    pub service: Service,
    /// The sockets that start it.
    pub sockets: Vec<Unit>,
    /// Where it listens now, or systemd for whatever it starts.
    pub held: BTreeSet<SocketAddr>,
    /// Its files.
    pub config: Config,
    /// Where it would listen if it were started now, as it says itself; why it would not start at all.
    pub effective: Result<BTreeSet<String>, String>,
    /// Units that it requires by a link, which `systemctl disable` takes away.
    pub linked: BTreeSet<String>,
    /// The drop-in of its configuration.
    pub drop_in: DropIn,
    /// The drop-in of its unit.
    pub unit_drop_in: DropIn,
}

/// A file that will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropIn {
    /// Its path.
    pub path: PathBuf,
    /// Its directory is there.
    pub has_dir: bool,
    /// What is there already.
    pub kept: Option<Kept>,
}

/// A file as it is to be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its permission bits.
    pub mode: u32,
    /// All of it.
    pub text: String,
}

/// Looks at a host. It changes nothing but the empty directory that every start of sshd makes, without which sshd checks
/// no configuration.
///
/// `program` is the running program's own path.
pub fn observe(host: &dyn Host, program: &Path) -> Facts {
    let table = table::read(host);
    let sshd = table.clone().and_then(|table| sshd(host, &table));
    let ports = match &sshd {
        Ok(Some(sshd)) => sshd.ports(),
        _ => [22].into(),
    };
    let operator = table.clone().and_then(|table| operator::operator(host, &table, &ports));
    Facts {
        uid: host.uid(),
        now: Timestamp::try_from(host.now()).unwrap_or(Timestamp::MAX),
        program: program.to_owned(),
        tailnet: tailnet::status(host),
        interfaces: interfaces(host),
        operator,
        table,
        sshd,
        not_to_be_run: host.stat(Path::new(NOT_TO_BE_RUN)).map(|stat| stat.is_some()).map_err(Failure::from),
        pending: journal::read(host, PENDING),
        leftovers: leftovers(host),
    }
}

impl Sshd {
    /// The ports at which it would listen if it were started now.
    pub fn named(&self) -> BTreeSet<u16> {
        let port = |line: &String| line.rsplit_once(':')?.1.parse().ok();
        self.effective.iter().flatten().filter_map(port).collect()
    }

    /// If it were started now, it would listen wherever it does; what a socket holds for it is the socket's affair.
    pub(crate) fn is_as_its_files_say(&self) -> bool {
        let says =
            |at: &SocketAddr| self.effective.as_ref().is_ok_and(|lines| lines.contains(&format!("listenaddress {at}")));
        self.effective.is_err() || self.sockets.iter().any(|socket| socket.active) || self.held.iter().all(says)
    }

    /// Those, and the ones at which it or a socket for it listens.
    pub fn ports(&self) -> BTreeSet<u16> {
        let sockets =
            self.sockets.iter().filter(|socket| socket.active).flat_map(|socket| socket.ports.iter().copied());
        self.named().into_iter().chain(sockets).chain(self.held.iter().map(SocketAddr::port)).collect()
    }
}

impl Facts {
    /// Where the ports of sshd are listened at now.
    pub(crate) fn listeners(&self, sshd: &Sshd) -> Option<BTreeSet<SocketAddr>> {
        self.table.as_ref().ok().map(|table| table.listeners(&sshd.ports()))
    }

    /// The interface that has the address.
    pub(crate) fn interface_of(&self, address: Ipv4Addr) -> Option<&str> {
        let interfaces = self.interfaces.as_ref().ok()?.iter().filter(|(name, _)| name != "lo");
        interfaces.clone().find(|(_, known)| *known == IpAddr::V4(address)).map(|(name, _)| name.as_str())
    }
}

fn sshd(host: &dyn Host, table: &Table) -> Observed<Option<Sshd>> {
    let (service, sockets) = units::sshd(host)?;
    let Some(service) = service else { return Ok(None) };
    let systemd = sockets.iter().any(|socket| socket.active).then_some(1);
    let mut held = BTreeSet::new();
    for process in service.pid.into_iter().chain(systemd) {
        held.extend(table.held(&operator::sockets(host, process)?));
    }
    Ok(Some(Sshd {
        held,
        config: config::read(host)?,
        effective: effective(host, &service)?,
        linked: linked(host, &service)?,
        drop_in: drop_in(host, DROP_IN)?,
        unit_drop_in: drop_in(host, &unit_drop_in(&service.unit.name))?,
        service,
        sockets,
    }))
}

/// `sshd -T` as the unit would start it.
fn effective(host: &dyn Host, service: &Service) -> Observed<Result<BTreeSet<String>, String>> {
    host.run(&Cmd::new("install").args(["-d", "-m", "0755", RUNTIME]))?;
    let output = host.run(&Cmd::new(&service.program).arg("-T").args(&service.arguments).env("LC_ALL", "C"))?;
    if output.status != Status::Exited(0) || output.cut {
        return Ok(Err(output.stderr_text()));
    }
    let text = output.stdout_text();
    Ok(Ok(text.lines().filter(|line| line.starts_with("listenaddress ")).map(str::to_owned).collect()))
}

#[derive(Deserialize)]
struct Interface {
    ifname: String,
    addr_info: Vec<Address>,
}

#[derive(Deserialize)]
struct Address {
    local: Option<IpAddr>,
}

pub(crate) fn interfaces(host: &dyn Host) -> Observed<Vec<(String, IpAddr)>> {
    let output = host.run(&Cmd::new("ip").args(["-json", "address", "show"]))?;
    let untold = |why: String| {
        Failure::not_ready("interfaces", format!("`ip -json address show`: {why}"), "install iproute2 4.10 or later")
    };
    if !output.success() || output.cut {
        return Err(untold(format!("{}: {}", output.status, output.stderr_text())));
    }
    let found: Vec<Interface> = serde_json::from_slice(&output.stdout).map_err(|error| untold(error.to_string()))?;
    let addresses = |interface: Interface| {
        let name = interface.ifname;
        interface.addr_info.into_iter().filter_map(move |address| Some((name.clone(), address.local?)))
    };
    Ok(found.into_iter().flat_map(addresses).collect())
}

/// What `RequiredBy=` of a socket makes when it is enabled.
fn linked(host: &dyn Host, service: &Service) -> Observed<BTreeSet<String>> {
    let dir = format!("/etc/systemd/system/{}.requires", service.unit.name);
    let names = host.list(Path::new(&dir))?.unwrap_or_default();
    Ok(names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect())
}

fn drop_in(host: &dyn Host, path: &str) -> Observed<DropIn> {
    let path = PathBuf::from(path);
    let odd =
        |why: &str| Failure::refused("odd-file", format!("{} {why}", path.display()), "move it away, then plan again");
    let has_dir = host.stat(path.parent().unwrap_or(Path::new("/")))?.is_some();
    let kept = match host.stat(&path)? {
        None => None,
        Some(stat) if stat.kind != Kind::File => return Err(odd("is not a regular file")),
        Some(stat) => {
            let bytes = host.read(&path)?.unwrap_or_default();
            let text = String::from_utf8(bytes).map_err(|_| odd("is not UTF-8"))?;
            Some(Kept { mode: stat.mode, text })
        }
    };
    Ok(DropIn { path, has_dir, kept })
}

pub(crate) fn leftovers(host: &dyn Host) -> Observed<bool> {
    let mut there = false;
    for unit in [PENDING, BOOT_WANTED, TIMER_WANTED, BOOT_UNIT, REVERT_UNIT, TIMER_UNIT] {
        there |= host.stat(Path::new(unit))?.is_some();
    }
    Ok(there)
}
