//! The sockets that wait for somebody, as `SOCK_DIAG` tells them (`linux/inet_diag.h`, `linux/packet_diag.h`). Of what it
//! does not tell, the tables in `/proc` do.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use port_audit::Protocol;
use rustix::net::netlink::SOCK_DIAG;

use super::netlink::{DiagError, Netlink, attribute, u32_at};
use super::tables::{self, Version};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const AF_PACKET: u8 = 17;
/// `INET_DIAG_SKV6ONLY`.
const V6ONLY: u16 = 11;
/// Of `inet_diag_msg`, in bytes.
const INET: usize = 72;
/// Of `packet_diag_msg`, in bytes.
const PACKET: usize = 16;
/// `PACKET_DIAG_INFO`, which begins with the interface.
const PACKET_INFO: u16 = 0;
/// `PACKET_DIAG_UID`, which is told with it.
const PACKET_UID: u16 = 5;

/// The state of a socket of TCP or SCTP that listens.
pub(crate) const LISTENS: u8 = 10;
/// The state of one that is connected to nobody.
pub(crate) const UNCONNECTED: u8 = 7;

/// A socket as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) protocol: Protocol,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    /// The index of the interface that it is bound to; 0 is none.
    pub(crate) interface: u32,
    pub(crate) v6only: bool,
    pub(crate) inode: u64,
    /// Who made it.
    pub(crate) user: u32,
}

/// A protocol whose sockets were not told.
#[derive(Debug)]
pub(crate) struct Untold {
    pub(crate) protocol: Protocol,
    pub(crate) why: DiagError,
}

/// The sockets of the calling thread's network namespace, and of which protocols they were not told.
pub(crate) fn sockets() -> Result<(Vec<Raw>, Vec<Untold>), DiagError> {
    let mut netlink = Netlink::open(Some(SOCK_DIAG))?;
    let (mut all, mut untold) = (Vec::new(), Vec::new());
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::UdpLite, Protocol::Sctp, Protocol::Raw] {
        for version in [Version::V4, Version::V6] {
            let answer = netlink.dump(SOCK_DIAG_BY_FAMILY, &question(protocol, version));
            let read = answer.and_then(|messages| read(&messages, |message| inet(protocol, message)));
            take(protocol, read, || tables::inet(protocol, version), &mut all, &mut untold);
        }
    }
    let answer = netlink.dump(SOCK_DIAG_BY_FAMILY, &packet_question());
    take(Protocol::Packet, answer.and_then(|messages| read(&messages, packet)), tables::packet, &mut all, &mut untold);
    // One of no kind of frame gets none.
    all.retain(|raw| raw.protocol != Protocol::Packet || raw.port != 0);
    Ok((all, untold))
}

fn read(messages: &[Vec<u8>], each: impl Fn(&[u8]) -> Option<Raw>) -> Result<Vec<Raw>, DiagError> {
    messages.iter().map(|message| each(message).ok_or(DiagError::Form)).collect()
}

/// A protocol that the kernel does not speak has no sockets; of one that it only does not tell of there is the table.
fn take(
    protocol: Protocol,
    answer: Result<Vec<Raw>, DiagError>,
    table: impl FnOnce() -> Option<Vec<Raw>>,
    all: &mut Vec<Raw>,
    untold: &mut Vec<Untold>,
) {
    let answer = answer.or_else(|why| match &why {
        DiagError::Refused(error) if error.kind() == ErrorKind::NotFound && !is_spoken(protocol) => Ok(Vec::new()),
        _ => table().ok_or(why),
    });
    match answer {
        Ok(sockets) => all.extend(sockets),
        Err(why) => untold.push(Untold { protocol, why }),
    }
}

/// Whether the kernel speaks a protocol. Where that cannot be read it may.
fn is_spoken(protocol: Protocol) -> bool {
    fs::read_to_string("/proc/thread-self/net/protocols").map_or(true, |spoken| is_among(protocol, &spoken))
}

/// The kernel calls them `UDP-Lite` and `UDPLITEv6`.
fn is_among(protocol: Protocol, spoken: &str) -> bool {
    let plain = |name: &str| name.replace('-', "").to_lowercase();
    let mut names = spoken.lines().filter_map(|line| line.split_whitespace().next());
    names.any(|name| plain(name).trim_end_matches("v6") == protocol.as_str())
}

/// `inet_diag_req_v2`: all sockets that wait for somebody.
fn question(protocol: Protocol, version: Version) -> [u8; 56] {
    let (number, states) = match protocol {
        Protocol::Tcp => (6, 1 << LISTENS),
        Protocol::Sctp => (132, 1 << LISTENS),
        Protocol::Udp => (17, 1 << UNCONNECTED),
        Protocol::UdpLite => (136, 1 << UNCONNECTED),
        Protocol::Raw | Protocol::Packet => (255, u32::MAX),
    };
    let mut question = [0; 56];
    question[0] = if version == Version::V4 { AF_INET } else { AF_INET6 };
    question[1] = number;
    question[4..8].copy_from_slice(&states.to_ne_bytes());
    question
}

/// `packet_diag_req`, with `PACKET_SHOW_INFO`.
fn packet_question() -> [u8; 20] {
    let mut question = [0; 20];
    question[0] = AF_PACKET;
    question[8..12].copy_from_slice(&1_u32.to_ne_bytes());
    question
}

/// `inet_diag_msg`: family, state, and the socket's id from the fourth byte on.
fn inet(protocol: Protocol, message: &[u8]) -> Option<Raw> {
    let address = message.get(8..24)?;
    let address = match *message.first()? {
        AF_INET => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(&address[..4]).ok()?)),
        AF_INET6 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?)),
        _ => return None,
    };
    Some(Raw {
        protocol,
        address,
        port: u16::from_be_bytes(message.get(4..6)?.try_into().ok()?),
        interface: u32_at(message, 40)?,
        v6only: attribute(message.get(INET..)?, V6ONLY) == Some(&[1]),
        inode: u32_at(message, 68)?.into(),
        user: u32_at(message, 64)?,
    })
}

/// `packet_diag_msg`: family, type, kind of frame, inode.
fn packet(message: &[u8]) -> Option<Raw> {
    Some(Raw {
        protocol: Protocol::Packet,
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        port: u16::from_ne_bytes(message.get(2..4)?.try_into().ok()?),
        interface: u32_at(attribute(message.get(PACKET..)?, PACKET_INFO)?, 0)?,
        v6only: false,
        inode: u32_at(message, 4)?.into(),
        user: u32_at(attribute(message.get(PACKET..)?, PACKET_UID)?, 0)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_found_under_each_of_its_names() {
        let spoken = "protocol  size sockets\nPACKET 1 0\nUDPLITEv6 1 0\nRAWv6 1\nTCP 1\n";
        for protocol in [Protocol::Packet, Protocol::UdpLite, Protocol::Raw, Protocol::Tcp] {
            assert!(is_among(protocol, spoken), "{protocol:?}");
        }
        assert!(!is_among(Protocol::Sctp, spoken) && !is_among(Protocol::Udp, spoken));
        assert!(is_among(Protocol::UdpLite, "UDP-Lite 1"));
    }

    #[test]
    fn v04_what_is_refused_is_read_from_the_table_or_told_as_unseen() {
        let refused = |number| Err(DiagError::Refused(std::io::Error::from_raw_os_error(number)));
        let seen = |protocol, answer, table: Option<Vec<Raw>>| {
            let (mut all, mut untold) = (Vec::new(), Vec::new());
            take(protocol, answer, || table, &mut all, &mut untold);
            (all.len(), untold.len())
        };
        let socket = Raw {
            protocol: Protocol::Raw,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 1,
            interface: 0,
            v6only: false,
            inode: 1,
            user: 0,
        };
        assert_eq!(seen(Protocol::Tcp, Ok(vec![]), None), (0, 0));
        assert_eq!(seen(Protocol::Tcp, refused(2), Some(vec![socket])), (1, 0), "it is spoken");
        assert_eq!(seen(Protocol::Tcp, refused(2), None), (0, 1));
        assert_eq!(seen(Protocol::Tcp, refused(1), None), (0, 1));
        assert_eq!(seen(Protocol::Tcp, Err(DiagError::Form), None), (0, 1));
    }

    #[test]
    fn a_message_that_is_cut_short_is_none() {
        let mut message = vec![0; INET];
        message[0] = AF_INET6;
        message[64..68].copy_from_slice(&1000_u32.to_ne_bytes());
        assert_eq!(inet(Protocol::Tcp, &message).map(|raw| raw.user), Some(1000));
        assert!((0..INET).all(|length| inet(Protocol::Tcp, &message[..length]).is_none()));
        assert!((0..PACKET + 8).all(|length| packet(&vec![0; length]).is_none()));
        message[0] = 1;
        assert_eq!(inet(Protocol::Tcp, &message), None, "another family");
    }
}
