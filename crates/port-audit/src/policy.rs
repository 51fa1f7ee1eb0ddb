//! `port_audit.toml`: what may be reached by anybody, and why.
//!
//! ```toml
//! schema = 1
//!
//! [[allow]]
//! protocol = "udp"                         # tcp, udp, udplite, sctp, raw, packet
//! port = 68                                # or "60000-61000"
//! address = "0.0.0.0"                      # an address or a network; default: any
//! interface = "eth0"                       # default: any
//! unit = "systemd-networkd.service"        # whose it must be: all of what is named of unit and program, else see below
//! program = "/usr/lib/systemd/systemd-networkd"
//! reason = "DHCP"
//! expires = "2027-01-31"                   # the last day; default: never
//! ```
//!
//! In the place of unit and program stands `unowned = true` for a socket of the kernel's own, and `forwarded = true` for
//! what the firewall hands on without a socket.
//!
//! **Invariant:** an entry without an owner or a reason is none.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use jiff::civil::Date;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::socket::{Owner, Owners, Protocol, Socket, last_part};

/// The number in `schema`.
const SCHEMA: u32 = 1;

/// What may be reached by anybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    pub(crate) allow: Vec<Allow>,
}

/// Why a policy is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPolicy(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    #[serde(default)]
    allow: Vec<Allow>,
}

/// Sockets of one kind that may be reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allow {
    protocol: Protocol,
    port: Ports,
    #[serde(default, deserialize_with = "network")]
    address: Option<IpNet>,
    interface: Option<String>,
    unit: Option<String>,
    program: Option<String>,
    #[serde(default)]
    unowned: bool,
    #[serde(default)]
    forwarded: bool,
    pub(crate) reason: String,
    expires: Option<Date>,
}

/// One port, or several beside one another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ports(RangeInclusive<u16>);

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            One(u64),
            Range(String),
        }
        let range = match Form::deserialize(deserializer)? {
            Form::One(port) => u16::try_from(port).ok().map(|port| port..=port),
            Form::Range(text) => text.split_once('-').and_then(|(first, last)| {
                let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
                (first <= last).then_some(first..=last)
            }),
        };
        range.map(Self).ok_or_else(|| de::Error::custom("a port is a number up to 65535, or \"FIRST-LAST\""))
    }
}

fn network<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpNet>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let one = text.parse::<IpAddr>().map(IpNet::from);
    let net = one.or_else(|_| text.parse());
    net.map(Some).map_err(|_| de::Error::custom(format!("`{text}` is no address and no network")))
}

impl Policy {
    /// What `text` says.
    ///
    /// # Errors
    /// [`BadPolicy`] for what is no TOML, has another schema, an unknown key, an entry that names no owner or no reason.
    pub fn parse(text: &str) -> Result<Self, BadPolicy> {
        let bad = |why: String| BadPolicy(format!("port_audit.toml: {why}"));
        let file: File = toml::from_str(text).map_err(|error| bad(error.to_string().trim_end().to_owned()))?;
        if file.schema != SCHEMA {
            return Err(bad(format!("schema {} is not {SCHEMA}", file.schema)));
        }
        for (entry, number) in file.allow.iter().zip(1..) {
            if let Some(why) = entry.wrong() {
                return Err(bad(format!("entry {number} of allow {why}")));
            }
        }
        Ok(Self { allow: file.allow })
    }
}

impl Allow {
    fn wrong(&self) -> Option<&'static str> {
        let owner = self.unit.is_some() || self.program.is_some();
        if usize::from(owner) + usize::from(self.unowned) + usize::from(self.forwarded) != 1 {
            return Some("must name unit and program, or one of them, or be unowned, or forwarded");
        }
        self.reason.trim().is_empty().then_some("gives no reason")
    }

    /// Whether it is about a socket at this place, whoever has it.
    pub(crate) fn is_about(&self, socket: &Socket) -> bool {
        !self.forwarded
            && self.is_at(socket.protocol, (socket.port, socket.port), &socket.addresses(), socket.interface.as_deref())
    }

    /// Whether it allows what the firewall hands on of all these ports and addresses: the first and the last of each.
    pub(crate) fn forwards(
        &self,
        protocol: Protocol,
        ports: (u16, u16),
        addresses: &[IpAddr],
        interface: Option<&str>,
    ) -> bool {
        self.forwarded && self.is_at(protocol, ports, addresses, interface)
    }

    fn is_at(&self, protocol: Protocol, ports: (u16, u16), addresses: &[IpAddr], interface: Option<&str>) -> bool {
        self.protocol == protocol
            && self.port.0.contains(&ports.0)
            && self.port.0.contains(&ports.1)
            && self.address.is_none_or(|net| addresses.iter().all(|address| net.contains(address)))
            && (self.interface.is_none() || self.interface.as_deref() == interface)
    }

    /// Whether it allows a socket that nobody is seen to have. Where no text says who has one, its place decides alone.
    pub(crate) fn is_of_unseen(&self, owners: &Owners) -> bool {
        match owners {
            Owners::Seen(owners) => self.unowned && owners.is_empty(),
            Owners::Hidden => false,
            Owners::Untold => true,
        }
    }

    /// Whether it names this one.
    pub(crate) fn names(&self, owner: &Owner) -> bool {
        if self.unit.is_none() && self.program.is_none() {
            return false;
        }
        let Some(identity) = &owner.identity else { return self.names_by_name(&owner.name) };
        if self.unit.is_some() && identity.starts == self.unit {
            return true;
        }
        let is_program = |path: &String| identity.program.as_ref().is_some_and(|it| it.trusted && it.path == *path);
        (self.unit.is_none() || self.unit == identity.unit) && self.program.as_ref().is_none_or(is_program)
    }

    /// Text has no more than a name, of which the kernel keeps 15 bytes.
    fn names_by_name(&self, name: &str) -> bool {
        let stem = |unit: &String| unit.split('.').next().unwrap_or_default().to_owned();
        let program = self.program.as_ref().map(|path| last_part(path).to_owned());
        let called = program.or_else(|| self.unit.as_ref().map(stem)).unwrap_or_default();
        !name.is_empty() && (called == name || called.len() > 15 && called.get(..15) == Some(name))
    }

    /// The last day is over.
    pub(crate) fn is_over(&self, today: Date) -> bool {
        self.expires.is_some_and(|last| today > last)
    }
}

/// As it is told in a finding.
impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expires {
            Some(last) => write!(f, "{} (until {last})", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::socket::{Identity, Program};

    const ENTRY: &str =
        "schema = 1\n[[allow]]\nprotocol = \"tcp\"\nport = 80\nunit = \"web.service\"\nreason = \"the web\"\n";

    fn with(from: &str, to: &str) -> String {
        assert!(ENTRY.contains(from), "{from}");
        Policy::parse(&ENTRY.replace(from, to)).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_policy_says_why() {
        assert_eq!(Policy::parse("schema = 1"), Ok(Policy::default()));
        assert_eq!(Policy::parse(ENTRY).unwrap().allow.len(), 1);
        assert_snapshot!(with("schema = 1", "schema = 2"), @"port_audit.toml: schema 2 is not 1");
        assert_snapshot!(with("the web", " "), @"port_audit.toml: entry 1 of allow gives no reason");
        let owners =
            "port_audit.toml: entry 1 of allow must name unit and program, or one of them, or be unowned, or forwarded";
        assert_eq!(with("unit = \"web.service\"\n", ""), owners);
        assert_eq!(with("unit", "unowned = true\nunit"), owners);
        assert_eq!(with("unit = \"web.service\"", "unowned = true\nforwarded = true"), owners);
        for (from, to, why) in [
            ("80", "\"90-80\"", "a port is a number up to 65535, or \"FIRST-LAST\""),
            ("80", "65536", "a port is a number up to 65535, or \"FIRST-LAST\""),
            ("80", "\"http\"", "a port is a number up to 65535, or \"FIRST-LAST\""),
            ("tcp", "icmp", "unknown variant `icmp`"),
            ("unit", "who = 1\nunit", "unknown field `who`"),
            ("unit", "address = \"host\"\nunit", "`host` is no address and no network"),
            ("unit", "expires = \"soon\"\nunit", "failed to parse"),
        ] {
            let said = with(from, to);
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn an_entry_is_about_the_places_that_it_names() {
        let about = |more: &str, address: &str, interface: Option<&str>| {
            let (address, v6only) = address.strip_suffix(" v6only").map_or((address, false), |address| (address, true));
            let policy = Policy::parse(&ENTRY.replace("unit", &format!("{more}\nunit"))).unwrap();
            let socket = Socket {
                protocol: Protocol::Tcp,
                address: address.parse().unwrap(),
                port: 80,
                interface: interface.map(str::to_owned),
                v6only,
                owners: Owners::Untold,
                namespace: crate::socket::Namespace::Host,
            };
            policy.allow[0].is_about(&socket)
        };
        assert!(about("", "::", None) && about("", "0.0.0.0", Some("eth0")));
        let one = "address = \"203.0.113.1\"";
        assert!(about(one, "203.0.113.1", None) && about(one, "::ffff:203.0.113.1", None));
        assert!(!about(one, "203.0.113.2", None) && !about(one, "0.0.0.0", None));
        assert!(about("address = \"203.0.113.0/24\"", "203.0.113.9", None));
        // IPv4 comes in at `::` too, unless the socket says otherwise.
        assert!(!about("address = \"::\"", "::", None) && about("address = \"::\"", ":: v6only", None));
        assert!(about("interface = \"eth0\"", "0.0.0.0", Some("eth0")));
        assert!(
            !about("interface = \"eth0\"", "0.0.0.0", Some("eth1")) && !about("interface = \"eth0\"", "0.0.0.0", None)
        );
    }

    #[test]
    fn an_entry_names_a_unit_a_program_or_both() {
        let policy =
            |owner: &str| Policy::parse(&ENTRY.replace("unit = \"web.service\"", owner)).unwrap().allow.remove(0);
        let owner = |unit: &str, path: &str, trusted| {
            let program = Some(Program { path: path.into(), trusted });
            Owner {
                pid: 7,
                name: "web".into(),
                identity: Some(Identity { unit: Some(unit.into()), starts: None, program, is_root: false }),
            }
        };
        let (unit, program) = ("unit = \"web.service\"", "program = \"/usr/bin/node\"");
        let cases = [
            owner("web.service", "/usr/bin/node", true),
            owner("web.service", "/srv/web/node", false),
            owner("other.service", "/usr/bin/node", true),
            owner("other.service", "/usr/bin/node", false),
        ];
        let named = |entry: &str| cases.iter().map(|owner| policy(entry).names(owner)).collect::<Vec<_>>();
        assert_eq!(named(unit), [true, true, false, false]);
        assert_eq!(named(program), [true, false, true, false]);
        assert_eq!(named(&format!("{unit}\n{program}")), [true, false, false, false]);
        for kernel in ["unowned = true", "forwarded = true"] {
            assert_eq!(named(kernel), [false; 4]);
        }
    }
}
