//! The interfaces of a network namespace and their addresses, as rtnetlink tells them (`linux/rtnetlink.h`,
//! `linux/if_link.h`, `linux/if_addr.h`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::netlink::{DiagError, Netlink, attribute, text, u32_at};

const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
/// Of `ifinfomsg`, in bytes.
const LINK: usize = 16;
/// Of `ifaddrmsg`, in bytes.
const ADDRESS: usize = 8;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// `IFF_UP`.
const UP: u32 = 1;
/// `IFF_LOOPBACK`, which nobody can set; the type of a tap its maker chooses.
const LOOPBACK: u32 = 8;

/// The end of a pair, of which the other end is somewhere on this machine.
const VETH: &str = "veth";
/// What leads nowhere by itself.
const INNER: [&str; 3] = [VETH, "bridge", "dummy"];

/// The interfaces of a namespace.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pub(crate) names: BTreeMap<u32, String>,
    /// One of those that are up may lead out of the machine.
    pub(crate) exposed: bool,
    /// So may the other ends of its pairs: one is bridged with what leads out.
    pub(crate) bridged: bool,
}

/// An interface, by what `RTM_NEWLINK` says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    index: u32,
    name: String,
    kind: String,
    master: Option<u32>,
    is_loopback: bool,
    is_up: bool,
}

impl Link {
    /// Its name, of which nobody takes it for the loopback interface that it is not.
    fn told(&self) -> String {
        let Self { index, name, .. } = self;
        if name == "lo" && !self.is_loopback { format!("#{index} {name}") } else { name.clone() }
    }
}

/// Those of the calling thread's namespace.
pub(crate) fn links() -> Result<Links, DiagError> {
    let messages = Netlink::open(None)?.dump(RTM_GETLINK, &[0; LINK])?;
    let links = messages.iter().map(|message| link(message).ok_or(DiagError::Form));
    Ok(judged(&links.collect::<Result<Vec<_>, _>>()?))
}

fn link(message: &[u8]) -> Option<Link> {
    let rest = message.get(LINK..)?;
    let kind = attribute(rest, IFLA_LINKINFO).and_then(|info| attribute(info, IFLA_INFO_KIND));
    Some(Link {
        index: u32_at(message, 4)?,
        name: text(attribute(rest, IFLA_IFNAME)?),
        kind: kind.map(text).unwrap_or_default(),
        master: attribute(rest, IFLA_MASTER).and_then(|master| u32_at(master, 0)),
        is_loopback: u32_at(message, 8)? & LOOPBACK != 0,
        is_up: u32_at(message, 8)? & UP != 0,
    })
}

fn judged(links: &[Link]) -> Links {
    let leads_out = |link: &Link| link.is_up && !link.is_loopback && !INNER.contains(&link.kind.as_str());
    let outward: BTreeSet<u32> = links.iter().filter(|link| leads_out(link)).filter_map(|link| link.master).collect();
    let is_bridged = |link: &Link| link.kind == VETH && link.master.is_some_and(|master| outward.contains(&master));
    Links {
        names: links.iter().map(|link| (link.index, link.told())).collect(),
        exposed: links.iter().any(leads_out),
        bridged: links.iter().any(is_bridged),
    }
}

/// The interfaces of the calling thread's namespace that have one of these addresses, by name.
pub(crate) fn interfaces(addresses: &[IpAddr]) -> Result<Vec<String>, DiagError> {
    let messages = Netlink::open(None)?.dump(RTM_GETADDR, &[0; ADDRESS])?;
    let mut found = BTreeSet::new();
    for message in &messages {
        let (index, address) = address(message).ok_or(DiagError::Form)?;
        if address.is_some_and(|address| addresses.contains(&address)) {
            found.insert(index);
        }
    }
    let Links { names, .. } = links()?;
    Ok(found.into_iter().map(|index| name(&names, index)).collect())
}

/// What an interface is called; one without a name may be any.
pub(crate) fn name(names: &BTreeMap<u32, String>, index: u32) -> String {
    names.get(&index).cloned().unwrap_or_else(|| format!("#{index}"))
}

/// `ifaddrmsg`: family, length of the prefix, flags, scope, index. The address of its own end where there are two.
fn address(message: &[u8]) -> Option<(u32, Option<IpAddr>)> {
    let (index, rest) = (u32_at(message, 4)?, message.get(ADDRESS..)?);
    let own = attribute(rest, IFA_LOCAL).or_else(|| attribute(rest, IFA_ADDRESS));
    let v4 = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    let v6 = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into());
    Some((index, own.and_then(|bytes| v4(bytes).or_else(|_| v6(bytes)).ok())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, kind: &str, master: u32) -> Link {
        let master = Some(master).filter(|master| *master != 0);
        Link { index, name: format!("if{index}"), kind: kind.into(), master, is_loopback: false, is_up: true }
    }

    fn told(links: &[Link]) -> (bool, bool) {
        let Links { exposed, bridged, .. } = judged(links);
        (exposed, bridged)
    }

    #[test]
    fn what_leads_out_is_neither_loopback_nor_an_end_of_a_pair() {
        let loopback = Link { is_loopback: true, ..link(1, "", 0) };
        let docker = [loopback.clone(), link(2, "bridge", 0), link(3, "veth", 2), link(4, "dummy", 0)];
        assert_eq!(told(&docker), (false, false));
        assert_eq!(told(&[loopback, link(2, "", 0)]), (true, false));
        assert_eq!(told(&[link(2, "macvlan", 0)]), (true, false));
        assert_eq!(told(&[Link { is_up: false, ..link(2, "sit", 0) }]), (false, false));
    }

    #[test]
    fn v04_what_is_only_called_lo_is_not_loopback() {
        let named = |is_loopback| judged(&[Link { name: "lo".into(), is_loopback, ..link(2, "macvlan", 0) }]).names;
        assert_eq!((named(true)[&2].as_str(), named(false)[&2].as_str()), ("lo", "#2 lo"));
    }

    #[test]
    fn a_pair_is_bridged_where_its_bridge_has_what_leads_out() {
        let network = [link(2, "", 0), link(3, "bridge", 0), link(4, "veth", 3)];
        assert_eq!(told(&network), (true, false));
        assert_eq!(told(&[link(2, "", 3), link(3, "bridge", 0), link(4, "veth", 3)]), (true, true));
        assert_eq!(
            told(&[link(2, "", 3), link(3, "bridge", 0), link(4, "bridge", 0), link(5, "veth", 4)]),
            (true, false)
        );
    }

    #[test]
    fn the_interface_of_loopback_is_found_by_its_address() {
        assert_eq!(interfaces(&[Ipv4Addr::LOCALHOST.into()]).unwrap(), ["lo"]);
        assert_eq!(interfaces(&[Ipv4Addr::new(192, 0, 2, 1).into()]).unwrap(), Vec::<String>::new());
        assert_eq!(name(&links().unwrap().names, u32::MAX), "#4294967295");
    }
}
