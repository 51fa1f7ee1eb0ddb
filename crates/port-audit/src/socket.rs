//! A socket that waits for somebody, as the kernel has it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP that listens.
    Tcp,
    /// UDP that is connected to nobody.
    Udp,
    /// UDP-Lite that is connected to nobody (RFC 3828).
    UdpLite,
    /// SCTP that listens.
    Sctp,
    /// Every packet of an IP protocol; the port is the protocol's number.
    Raw,
    /// Every frame of a kind; the port is its `EtherType`.
    Packet,
}

impl Protocol {
    /// As `ss` and the policy call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::UdpLite => "udplite",
            Self::Sctp => "sctp",
            Self::Raw => "raw",
            Self::Packet => "packet",
        }
    }
}

/// A socket that somebody may reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Socket {
    /// What is spoken.
    pub protocol: Protocol,
    /// Where it is bound; unspecified is every address of the machine.
    pub address: IpAddr,
    /// Where it is bound; see [`Protocol`] for those that have no port.
    pub port: u16,
    /// The one interface that it is bound to.
    pub interface: Option<String>,
    /// Of `::`: IPv4 does not come in. Where it is not known it is `false`, by which more comes in.
    pub v6only: bool,
    /// Who has it open.
    pub owners: Owners,
    /// In which network it is.
    pub namespace: Namespace,
}

/// Who has a socket open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owners {
    /// These. All processes were looked at: where it is nobody, the kernel has it.
    Seen(Vec<Owner>),
    /// Not all processes could be looked at.
    Hidden,
    /// Of no socket the text says who has it.
    Untold,
}

impl Owners {
    /// Those who were seen.
    pub fn seen(&self) -> &[Owner] {
        if let Self::Seen(owners) = self { owners } else { &[] }
    }
}

/// A network namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Namespace {
    /// The one of the machine.
    Host,
    /// Another one, by its inode number.
    Other {
        /// The inode number.
        id: u64,
        /// Something may lead out of the machine from it, other than through the machine's own namespace; unknown is
        /// `true`.
        exposed: bool,
    },
}

/// A process that has a socket open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Its id.
    pub pid: u32,
    /// What it calls itself: anybody may call itself anything.
    pub name: String,
    /// What can be told of it that it cannot choose; `None` where only text was read.
    pub identity: Option<Identity>,
}

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Identity {
    /// The systemd unit of its control group; for a socket that systemd itself has open, the unit of that socket.
    pub unit: Option<String>,
    /// Of a socket that systemd has open: the service that it starts for it.
    pub starts: Option<String>,
    /// Its program.
    pub program: Option<Program>,
    /// It runs as root, and root started it.
    pub is_root: bool,
}

/// The program of a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Program {
    /// Its path, without the mark of one that was replaced since.
    pub path: String,
    /// Only root can have put it there, and it is one of the machine itself and of no container.
    pub trusted: bool,
}

impl Program {
    /// The last part of its path.
    pub(crate) fn name(&self) -> &str {
        last_part(&self.path)
    }
}

pub(crate) fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// `tcp [::]:22`, `udp 0.0.0.0%eth0:68`: as `ss` writes it.
impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.protocol.as_str())?;
        match self.address {
            // Frames have no such address.
            _ if self.protocol == Protocol::Packet => f.write_str("*")?,
            IpAddr::V4(address) => write!(f, "{address}")?,
            IpAddr::V6(address) => write!(f, "[{address}]")?,
        }
        if let Some(interface) = &self.interface {
            write!(f, "%{interface}")?;
        }
        write!(f, ":{}", self.port)
    }
}

impl Socket {
    /// The addresses that it is bound to: where IPv4 comes in at `::`, both wildcards.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        if self.address == ANY_V6 && !self.v6only { vec![ANY_V4, ANY_V6] } else { vec![plain(self.address)] }
    }
}

/// The address without the IPv6 form of IPv4.
pub(crate) fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// The wildcard of IPv4.
pub(crate) const ANY_V4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// The wildcard of IPv6.
pub(crate) const ANY_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
