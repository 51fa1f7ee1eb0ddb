//! The kernel's table of TCP sockets, `/proc/net/tcp` and `/proc/net/tcp6`: no program and no name of a process is in it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use host::Host;
use outcome::Failure;

const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// `TCP_ESTABLISHED` of the kernel's `tcp_states.h`.
const ESTABLISHED: u8 = 1;
/// `TCP_LISTEN`.
const LISTEN: u8 = 10;

/// The TCP sockets of a network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table(Vec<Socket>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Socket {
    local: SocketAddr,
    peer: SocketAddr,
    state: u8,
    inode: u64,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// This machine's.
    pub local: SocketAddr,
    /// The other one.
    pub peer: SocketAddr,
}

impl Table {
    /// Where somebody listens at one of these ports.
    pub fn listeners(&self, ports: &BTreeSet<u16>) -> BTreeSet<SocketAddr> {
        let listening = self.0.iter().filter(|socket| socket.state == LISTEN && ports.contains(&socket.local.port()));
        listening.map(|socket| socket.local).collect()
    }

    /// Where these sockets listen.
    pub(crate) fn held(&self, inodes: &[u64]) -> BTreeSet<SocketAddr> {
        let listening = self.0.iter().filter(|socket| socket.state == LISTEN && inodes.contains(&socket.inode));
        listening.map(|socket| socket.local).collect()
    }

    /// The connection that a socket is an end of.
    pub(crate) fn connection(&self, inode: u64) -> Option<Connection> {
        let socket = self.0.iter().find(|socket| socket.inode == inode && socket.state == ESTABLISHED)?;
        Some(Connection { local: socket.local, peer: socket.peer })
    }
}

/// Addresses, for a person; `nowhere` for none.
pub fn listed<'a>(addresses: impl IntoIterator<Item = &'a SocketAddr>) -> String {
    let listed: Vec<_> = addresses.into_iter().map(ToString::to_string).collect();
    if listed.is_empty() { "nowhere".to_owned() } else { listed.join(", ") }
}

/// The table of this process's network.
///
/// # Errors
/// Not ready, class `socket-table`, when it cannot be read to its last byte: an empty table would read as nobody listening.
pub(crate) fn read(host: &dyn Host) -> Result<Table, Failure> {
    let unread = |why: String| {
        Failure::not_ready(
            "socket-table",
            format!("the table of sockets cannot be read: {why}"),
            "run it as root on Linux",
        )
    };
    let mut sockets = Vec::new();
    for (path, needed) in TABLES.into_iter().zip([true, false]) {
        let bytes = host.read(path.as_ref()).map_err(|error| unread(error.to_string()))?;
        match bytes {
            Some(bytes) => sockets
                .extend(parse(&String::from_utf8_lossy(&bytes)).map_err(|row| unread(format!("{path}: `{row}`")))?),
            // IPv6 can be switched off.
            None if needed => return Err(unread(format!("there is no {path}"))),
            None => {}
        }
    }
    Ok(Table(sockets))
}

fn parse(text: &str) -> Result<Vec<Socket>, String> {
    let mut rows = text.lines();
    let heading = rows.next().unwrap_or_default();
    if !heading.trim_start().starts_with("sl ") {
        return Err(heading.to_owned());
    }
    rows.map(|row| socket(row).ok_or_else(|| row.to_owned())).collect()
}

fn socket(row: &str) -> Option<Socket> {
    let words: Vec<&str> = row.split_whitespace().collect();
    let [_number, local, peer, state, _queues, _timer, _retransmits, _user, _timeout, inode, ..] = words.as_slice()
    else {
        return None;
    };
    Some(Socket {
        local: address(local)?,
        peer: address(peer)?,
        state: u8::from_str_radix(state, 16).ok()?,
        inode: inode.parse().ok()?,
    })
}

/// Words of 32 bits in the order of the machine, little-endian on all that are supported. IPv4 in IPv6 is told as IPv4.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_le_bytes);
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, four) in bytes.chunks_mut(4).enumerate() {
                four.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use insta::assert_debug_snapshot;

    use super::*;

    const V4: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 01004064:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 126 1 00000000af69267e 100 0 0 10 0
   1: 01004064:0016 02004064:C350 01 00000000:00000000 02:000A7214 00000000     0        0 127 2 00000000af69267e 20 4 30 10 -1\n";
    const V6: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 128 1 00000000af69267e 100 0 0 10 0
   1: 0000000000000000FFFF000001004064:0016 0000000000000000FFFF000002004064:C351 01 00000000:00000000 02:000A7214 00000000     0        0 129 2 00000000af69267e 20 4 30 10 -1
   2: 5C117AFD0000E0A10000000001000000:0017 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 130 1 00000000af69267e 100 0 0 10 0\n";

    #[test]
    fn listeners_and_connections_are_read_as_the_kernel_writes_them() {
        let host = host::Fake::new().file(TABLES[0], V4, 0o444, 0).file(TABLES[1], V6, 0o444, 0);
        let table = read(&host).unwrap();
        assert_debug_snapshot!(table.listeners(&[22, 23].into()), @"
        {
            100.64.0.1:22,
            [::]:22,
            [fd7a:115c:a1e0::1]:23,
        }
        ");
        assert_debug_snapshot!([table.connection(127), table.connection(129), table.connection(126)], @"
        [
            Some(
                Connection {
                    local: 100.64.0.1:22,
                    peer: 100.64.0.2:50000,
                },
            ),
            Some(
                Connection {
                    local: 100.64.0.1:22,
                    peer: 100.64.0.2:50001,
                },
            ),
            None,
        ]
        ");
    }

    #[test]
    fn v04_a_table_that_cannot_be_read_is_not_empty() {
        let check = |v4: Option<&str>, v6: Option<&str>| {
            let files = TABLES.into_iter().zip([v4, v6]);
            let host = files.fold(host::Fake::new(), |host, (path, text)| match text {
                Some(text) => host.file(path, text, 0o444, 0),
                None => host,
            });
            read(&host).err().map(|failure| failure.reason)
        };
        assert_debug_snapshot!(
            [check(Some(V4), None), check(None, Some(V6)), check(Some(""), None), check(Some(V4), Some("")), check(Some(&V4[..300]), None)],
            @r#"
        [
            None,
            Some(
                "the table of sockets cannot be read: there is no /proc/net/tcp",
            ),
            Some(
                "the table of sockets cannot be read: /proc/net/tcp: ``",
            ),
            Some(
                "the table of sockets cannot be read: /proc/net/tcp6: ``",
            ),
            Some(
                "the table of sockets cannot be read: /proc/net/tcp: `   1: 01004064:0016 02004064:C350 01 00000000:00000000 02:000A7214 00000000 `",
            ),
        ]
        "#
        );
    }
}
