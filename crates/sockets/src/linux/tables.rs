//! The tables of sockets in `/proc/net`, for what the kernel does not tell otherwise. They say neither to which interface a
//! socket is bound, nor whether IPv4 comes in at `::`: what is not known lets more in.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use port_audit::Protocol;

use super::diag::{LISTENS, Raw, UNCONNECTED};

/// Which of the two a table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V4,
    V6,
}

/// The sockets of a protocol that wait for somebody; nothing where there is no such table, or it is not understood.
pub(crate) fn inet(protocol: Protocol, version: Version) -> Option<Vec<Raw>> {
    let six = if version == Version::V6 { "6" } else { "" };
    let text = fs::read_to_string(format!("/proc/thread-self/net/{}{six}", protocol.as_str())).ok()?;
    rows(&text, |row| row_of_inet(protocol, row))
}

/// The sockets for frames.
pub(crate) fn packet() -> Option<Vec<Raw>> {
    rows(&fs::read_to_string("/proc/thread-self/net/packet").ok()?, row_of_packet)
}

/// Those of all rows below the heading that wait for somebody; nothing where one of the rows is not understood.
fn rows(text: &str, read: impl Fn(&[&str]) -> Option<(Raw, bool)>) -> Option<Vec<Raw>> {
    let rows = text.lines().skip(1).map(|row| read(&row.split_whitespace().collect::<Vec<_>>()));
    let rows = rows.collect::<Option<Vec<_>>>()?;
    Some(rows.into_iter().filter(|(_, waits)| *waits).map(|(raw, _)| raw).collect())
}

/// `NUMBER: LOCAL:PORT PEER:PORT STATE QUEUES TIMER RETRIES USER TIMEOUT INODE ...`, and whether it waits for somebody.
fn row_of_inet(protocol: Protocol, row: &[&str]) -> Option<(Raw, bool)> {
    let [_, local, _, state, _, _, _, user, _, inode, ..] = row else { return None };
    let (address, port) = local.split_once(':')?;
    let raw = Raw {
        protocol,
        address: self::address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        interface: 0,
        v6only: false,
        inode: inode.parse().ok()?,
        user: user.parse().ok()?,
    };
    let state = u8::from_str_radix(state, 16).ok()?;
    let waits = match protocol {
        Protocol::Tcp | Protocol::Sctp => state == LISTENS,
        Protocol::Udp | Protocol::UdpLite => state == UNCONNECTED,
        Protocol::Raw | Protocol::Packet => true,
    };
    Some((raw, waits))
}

/// Words of 32 bits, each as the machine has it.
fn address(hex: &str) -> Option<IpAddr> {
    let words = (0..hex.len()).step_by(8).map(|at| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok());
    let bytes = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect::<Vec<u8>>();
    let v4 = <[u8; 4]>::try_from(&bytes[..]).map(|bytes| Ipv4Addr::from(bytes).into());
    v4.or_else(|_| <[u8; 16]>::try_from(&bytes[..]).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}

/// `SOCKET REFERENCES TYPE KIND INTERFACE RUNNING MEMORY USER INODE`.
fn row_of_packet(row: &[&str]) -> Option<(Raw, bool)> {
    let [_, _, _, kind, interface, _, _, user, inode] = row else { return None };
    let raw = Raw {
        protocol: Protocol::Packet,
        address: Ipv4Addr::UNSPECIFIED.into(),
        port: u16::from_str_radix(kind, 16).ok()?,
        interface: interface.parse().ok()?,
        v6only: false,
        inode: inode.parse().ok()?,
        user: user.parse().ok()?,
    };
    Some((raw, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  100: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12345 2 0000000000000000 0
  101: 0100007F:0035 0100007F:C001 01 00000000:00000000 00:00000000 00000000   101        0 777 2 0000000000000000 0
";

    #[cfg(target_endian = "little")]
    #[test]
    fn rows_are_read() {
        let read = rows(UDP, |row| row_of_inet(Protocol::Udp, row)).unwrap();
        let [Raw { port: 68, inode: 12345, .. }] = &read[..] else { panic!("{read:?}") };
        let raw = rows(UDP, |row| row_of_inet(Protocol::Raw, row)).unwrap();
        assert_eq!(raw.iter().map(|raw| raw.user).collect::<Vec<_>>(), [0, 101], "in any state");
        assert_eq!(address("0100007F"), Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(address("00000000000000000000000001000000"), Some(Ipv6Addr::LOCALHOST.into()));
        let packet = "sk RefCnt Type Proto Iface R Rmem User Inode\n0000000000000000 3 3 0806 2 1 0 0 99\n";
        let read = rows(packet, row_of_packet).unwrap();
        let [Raw { port: 0x0806, interface: 2, inode: 99, user: 0, .. }] = &read[..] else { panic!("{read:?}") };
    }

    #[test]
    fn v04_a_row_that_is_not_understood_makes_the_table_none() {
        for (from, to) in [
            (":0044", ""),
            ("00000000:0044", "0000000:0044"),
            ("12345", "x"),
            (" 07 ", " xx "),
            ("0 12345 2 0000000000000000 0", ""),
        ] {
            let text = UDP.replacen(from, to, 1);
            assert_ne!(text, UDP, "{from}");
            assert_eq!(rows(&text, |row| row_of_inet(Protocol::Udp, row)), None, "{from}");
        }
        assert_eq!(rows("heading\n1 2 3", row_of_packet), None);
        for none in ["", "1", "010000", "0100007F01", "0100007F0100007F", "é100007F"] {
            assert_eq!(address(none), None, "{none}");
        }
    }
}
