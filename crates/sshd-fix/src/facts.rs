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
    BOOT_UNIT, BOOT_WANTED, DROP_IN, PENDING, REVERT_UNIT, RUNTIME, TIMER_UNIT, TIMER_WANTED, unit_drop_in,
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
    /// The drop-in of its configuration that is there already.
    pub drop_in: Option<Kept>,
    /// The drop-in of its unit that is there already.
    pub unit_drop_in: Option<Kept>,
    /// The directory that it is in is there already.
    pub unit_drop_in_dir: bool,
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
        pending: journal::read(host, PENDING),
        leftovers: leftovers(host),
    }
}

impl Sshd {
    /// The ports that its files and its sockets name.
    pub fn ports(&self) -> BTreeSet<u16> {
        let held = self.sockets.iter().filter(|socket| socket.active).flat_map(|socket| socket.ports.iter().copied());
        self.config.ports().into_iter().chain(held).collect()
    }
}

impl Facts {
    /// Where the ports of sshd are listened at now.
    pub(crate) fn listeners(&self, sshd: &Sshd) -> Option<BTreeSet<SocketAddr>> {
        self.table.as_ref().ok().map(|table| table.listeners(&sshd.ports()))
    }

    /// The interface that has the address.
    pub(crate) fn interface_of(&self, address: Ipv4Addr) -> Option<&str> {
        let interfaces = self.interfaces.as_ref().ok()?;
        interfaces.iter().find(|(_, known)| *known == IpAddr::V4(address)).map(|(name, _)| name.as_str())
    }
}

fn sshd(host: &dyn Host, table: &Table) -> Observed<Option<Sshd>> {
    let (service, sockets) = units::sshd(host)?;
    let Some(service) = service else { return Ok(None) };
    let path = unit_drop_in(&service.unit.name);
    let systemd = sockets.iter().any(|socket| socket.active).then_some(1);
    let mut held = BTreeSet::new();
    for process in service.pid.into_iter().chain(systemd) {
        held.extend(table.held(&operator::sockets(host, process)?));
    }
    Ok(Some(Sshd {
        held,
        config: config::read(host)?,
        effective: effective(host, &service)?,
        drop_in: kept(host, DROP_IN)?,
        unit_drop_in: kept(host, &path)?,
        unit_drop_in_dir: host.stat(Path::new(&path).parent().unwrap_or(Path::new("/")))?.is_some(),
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

fn kept(host: &dyn Host, path: &str) -> Observed<Option<Kept>> {
    let path = Path::new(path);
    let odd =
        |why: &str| Failure::refused("odd-file", format!("{} {why}", path.display()), "move it away, then plan again");
    let Some(stat) = host.stat(path)? else { return Ok(None) };
    if stat.kind != Kind::File {
        return Err(odd("is not a regular file"));
    }
    let Some(bytes) = host.read(path)? else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|_| odd("is not UTF-8"))?;
    Ok(Some(Kept { mode: stat.mode, text }))
}

pub(crate) fn leftovers(host: &dyn Host) -> Observed<bool> {
    let mut there = false;
    for unit in [BOOT_WANTED, TIMER_WANTED, BOOT_UNIT, REVERT_UNIT, TIMER_UNIT] {
        there |= host.stat(Path::new(unit))?.is_some();
    }
    Ok(there)
}
