//! Whether the kernel has rules that may hand on what comes in from outside: what is cheap to ask before a program is run.
//!
//! Rules of `nf_tables` are in chains, of which those that packets from outside come by are asked for over netlink
//! (`linux/netfilter/nf_tables.h`). Those of the older kind are in tables that `/proc` names.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;

use rustix::io::Errno;
use rustix::net::netlink::NETFILTER;

use super::netlink::{DiagError, Netlink, attribute, text, u32_at};

/// `NFNL_SUBSYS_NFTABLES` and `NFT_MSG_GETCHAIN`.
const GET_CHAIN: u16 = 10 << 8 | 4;
/// Of `nfgenmsg`, in bytes.
const HEAD: usize = 4;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_USE: u16 = 6;
const NFTA_HOOK_HOOKNUM: u16 = 1;
/// `NF_INET_PRE_ROUTING`, `NF_NETDEV_INGRESS`; `NF_INET_INGRESS`.
const FROM_OUTSIDE: [u32; 2] = [0, 5];
/// Tables of the older kind in which a rule can hand on.
const OLD: [&str; 2] = ["nat", "mangle"];

/// A table of the firewall: its family, as `nft` calls it, and its name.
pub(crate) type Table = (String, String);

/// A chain of `nf_tables`: its table and its name.
pub(crate) type Chain = (Table, String);

/// The chains of `nf_tables` that have rules and that packets from outside come by first.
pub(crate) fn chains() -> Result<BTreeSet<Chain>, DiagError> {
    let mut netlink = match Netlink::open(Some(NETFILTER)) {
        // A kernel without any of it.
        Err(DiagError::Io(error)) if is(&error, Errno::PROTONOSUPPORT) => return Ok(BTreeSet::new()),
        opened => opened?,
    };
    let messages = match netlink.dump(GET_CHAIN, &[0; HEAD]) {
        Err(DiagError::Refused(error)) if is(&error, Errno::INVAL) => return Ok(BTreeSet::new()),
        answer => answer?,
    };
    let chains = messages.iter().map(|message| chain(message).ok_or(DiagError::Form));
    let chains = chains.collect::<Result<Vec<_>, _>>()?;
    Ok(chains.into_iter().filter(|(_, counts)| *counts).map(|(chain, _)| chain).collect())
}

fn is(error: &std::io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// A chain, and whether it counts: it has rules, and packets from outside come by it first.
fn chain(message: &[u8]) -> Option<(Chain, bool)> {
    let (family, rest) = (*message.first()?, message.get(HEAD..)?);
    let table = (self::family(family), text(attribute(rest, NFTA_CHAIN_TABLE)?));
    let number = |bytes: &[u8]| u32_at(bytes, 0).map(u32::from_be);
    let is_outer = match attribute(rest, NFTA_CHAIN_HOOK) {
        Some(hook) => FROM_OUTSIDE.contains(&number(attribute(hook, NFTA_HOOK_HOOKNUM)?)?),
        None => false,
    };
    let is_used = attribute(rest, NFTA_CHAIN_USE).and_then(number) != Some(0);
    let name = text(attribute(rest, NFTA_CHAIN_NAME)?);
    Some(((table, name), is_outer && is_used))
}

fn family(number: u8) -> String {
    match number {
        1 => "inet".into(),
        2 => "ip".into(),
        5 => "netdev".into(),
        7 => "bridge".into(),
        10 => "ip6".into(),
        other => format!("family {other}"),
    }
}

/// The tables of the older kind that the kernel has: those of `ip` or `ip6`.
pub(crate) fn old_tables(family: &str) -> Result<BTreeSet<String>, DiagError> {
    match fs::read_to_string(format!("/proc/thread-self/net/{family}_tables_names")) {
        Ok(names) => Ok(OLD
            .iter()
            .filter(|name| names.lines().any(|line| line == **name))
            .map(|name| (*name).to_owned())
            .collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(family: u8, hook: Option<u32>, used: u32) -> Vec<u8> {
        let mut message = vec![family, 0, 0, 0];
        message.extend(attribute(NFTA_CHAIN_TABLE, b"nat\0"));
        message.extend(attribute(NFTA_CHAIN_NAME, b"pre\0"));
        if let Some(hook) = hook {
            message.extend(attribute(NFTA_CHAIN_HOOK | 0x8000, &attribute(NFTA_HOOK_HOOKNUM, &hook.to_be_bytes())));
        }
        message.extend(attribute(NFTA_CHAIN_USE, &used.to_be_bytes()));
        message
    }

    #[test]
    fn v04_a_chain_counts_where_packets_from_outside_come_by_it() {
        let of = |family: &str, counts| Some((((family.to_owned(), "nat".to_owned()), "pre".to_owned()), counts));
        assert_eq!(chain(&message(2, Some(0), 1)), of("ip", true));
        assert_eq!(chain(&message(10, Some(0), 9)), of("ip6", true));
        assert_eq!(chain(&message(1, Some(5), 1)), of("inet", true));
        assert_eq!(chain(&message(5, Some(0), 1)), of("netdev", true));
        assert_eq!(chain(&message(99, Some(0), 1)), of("family 99", true));
        assert_eq!(chain(&message(2, Some(0), 0)), of("ip", false), "without a rule");
        assert_eq!(chain(&message(2, Some(4), 1)), of("ip", false), "what goes out");
        assert_eq!(chain(&message(2, None, 1)), of("ip", false), "one that others lead to");
        let uncounted = &message(2, Some(0), 0)[..36];
        assert_eq!(chain(uncounted), of("ip", true), "nobody says how many rules it has");
        assert_eq!(chain(&[2, 0]), None);
        assert_eq!(chain(&[2, 0, 0, 0]), None);
        let named = [attribute(NFTA_CHAIN_TABLE, b"nat\0"), attribute(NFTA_CHAIN_NAME, b"pre\0")].concat();
        let hook = [&[2, 0, 0, 0][..], &named, &attribute(NFTA_CHAIN_HOOK, &[])].concat();
        assert_eq!(chain(&hook), None);
        assert_eq!(
            chain(&[&[2, 0, 0, 0][..], &attribute(NFTA_CHAIN_TABLE, b"nat\0")].concat()),
            None,
            "without a name"
        );
    }
}
