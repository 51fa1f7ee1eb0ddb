//! Hosts of a test, each with a network of its own, and the switch between them.
//!
//! **Invariant:** the hosts reach each other and nothing else, whatever else goes on in the machine.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;

use nix::sched::{CloneFlags, unshare};

use crate::broken::{Broken, Trying as _, run};
use crate::namespace::Held;
use crate::rights;

/// Hosts that are connected by Ethernet.
///
/// ```no_run
/// let network = real_parts::Network::of(2).unwrap();
/// let [one, other] = network.hosts() else { unreachable!("two were asked for") };
/// one.command("ping").arg("-c1").arg(other.address().to_string()).status().unwrap();
/// ```
#[derive(Debug)]
pub struct Network {
    hosts: Vec<Host>,
    // Dropped with its ports, and with them the other ends.
    _switch: Namespace,
}

/// One host. It goes on as long as one of its clones or a process on it does.
#[derive(Debug, Clone)]
pub struct Host {
    namespace: Namespace,
    address: Ipv4Addr,
}

/// A network with nothing in it but loopback, which is down.
#[derive(Debug, Clone)]
pub(crate) struct Namespace(Arc<Held>);

impl Network {
    /// Makes `count` hosts with the addresses 10.0.0.1, 10.0.0.2 and so on, each on a device `eth0`. Every network has
    /// the same addresses and none has another's.
    ///
    /// # Errors
    /// When a capability, `ip` or a part of the kernel is missing, with its name.
    pub fn of(count: u8) -> Result<Self, Broken> {
        let switch = Namespace::new()?;
        switch.ip(&["link", "add", "name", "switch", "up", "type", "bridge"])?;
        let hosts = (1..=count).map(|number| Host::plugged(&switch, number)).collect::<Result<_, _>>()?;
        Ok(Self { hosts, _switch: switch })
    }

    /// The hosts, by address.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }
}

impl Host {
    fn plugged(switch: &Namespace, number: u8) -> Result<Self, Broken> {
        let namespace = Namespace::new()?;
        let address = Ipv4Addr::new(10, 0, 0, number);
        let (port, path) = (format!("port{number}"), namespace.path());
        switch.ip(&["link", "add", "name", &port, "type", "veth", "peer", "name", "eth0", "netns", &path])?;
        switch.ip(&["link", "set", "dev", &port, "master", "switch", "up"])?;
        namespace.ip(&["link", "set", "dev", "lo", "up"])?;
        namespace.ip(&["address", "add", &format!("{address}/24"), "dev", "eth0"])?;
        namespace.ip(&["link", "set", "dev", "eth0", "up"])?;
        Ok(Self { namespace, address })
    }

    /// One that nothing is plugged into.
    ///
    /// # Errors
    /// As [`Network::of`].
    pub(crate) fn unplugged(address: Ipv4Addr) -> Result<Self, Broken> {
        let namespace = Namespace::new()?;
        namespace.ip(&["link", "set", "dev", "lo", "up"])?;
        Ok(Self { namespace, address })
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Where the other hosts reach it.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A program on this host, as root. One that is to run as another user has to become it by itself, for instance by
    /// `setpriv`: only root gets here. Ending the child ends the program.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.namespace.command(program)
    }
}

impl Namespace {
    /// # Errors
    /// As [`Network::of`].
    pub(crate) fn new() -> Result<Self, Broken> {
        let enter = || unshare(CloneFlags::CLONE_NEWNET).map_err(|error| refused(&error.to_string()));
        Ok(Self(Arc::new(Held::by("net", enter)?.0)))
    }

    /// Good for every process as long as this one holds it.
    pub(crate) fn path(&self) -> String {
        self.0.path()
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg("--").arg(program);
        command
    }

    fn ip(&self, args: &[&str]) -> Result<(), Broken> {
        run(self.command("ip").args(args)).map(drop).map_err(|error| refused(&error.to_string()))
    }

    /// Many commands of `ip`, a line each, in the time of one. The first that fails is the last.
    ///
    /// # Errors
    /// As [`Network::of`].
    pub(crate) fn ips(&self, lines: &str) -> Result<(), Broken> {
        let (reader, mut writer) = io::pipe().trying("tell ip what to do")?;
        writer.write_all(lines.as_bytes()).trying("tell ip what to do")?;
        drop(writer);
        let mut ip = self.command("ip");
        run(ip.args(["-batch", "-"]).stdin(reader)).map(drop).map_err(|error| refused(&error.to_string()))
    }
}

fn refused(error: &str) -> Broken {
    rights::lacking("network", error, "it takes iproute2 (cargo xtask setup), and veth and bridge in the kernel")
}
