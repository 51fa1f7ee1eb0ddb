//! The text of `netstat -anv -p tcp` and `netstat -anv -p udp` on macOS, one or both.
//!
//! Read are protocol, local address and state. It tells no interface that a socket is bound to, not whether IPv4 comes in
//! at `::`, and its columns of processes differ from version to version.
//!
//! **Invariant:** a row whose place or state is not understood is told as such, and is never left out.

use std::net::IpAddr;

use crate::rows::{Row, rows};
use crate::socket::{ANY_V4, ANY_V6, Namespace, Owners, Protocol, Socket};

/// The states of TCP in which a socket waits for nobody new.
const OTHER_STATES: [&str; 10] = [
    "CLOSED",
    "CLOSE_WAIT",
    "CLOSING",
    "ESTABLISHED",
    "FIN_WAIT_1",
    "FIN_WAIT_2",
    "LAST_ACK",
    "SYN_RCVD",
    "SYN_SENT",
    "TIME_WAIT",
];

/// The rows of the tables, with or without headings above them.
pub fn parse(text: &str) -> Vec<Row> {
    rows(text, |_, row| is_heading(row), read)
}

fn is_heading(row: &str) -> bool {
    row.starts_with("Active Internet connections") || row.split_whitespace().take(2).eq(["Proto", "Recv-Q"])
}

fn read(row: &str) -> Option<Row> {
    let mut words = row.split_whitespace();
    let [kind, received, sent, local, peer] = std::array::from_fn(|_| words.next());
    let (protocol, version) = kind?.split_at_checked(3)?;
    [received?, sent?].iter().try_for_each(|word| word.parse::<u64>().map(drop)).ok()?;
    let waits = match protocol {
        "tcp" => {
            let state = words.next()?;
            let listens = state == "LISTEN";
            (listens || OTHER_STATES.contains(&state)).then_some(listens)?
        }
        "udp" => peer? == "*.*" && local? != "*.*",
        _ => return None,
    };
    if !waits {
        return Some(Row::Connection);
    }
    let (address, port) = local?.rsplit_once('.')?;
    let (address, interface) = place(address, version)?;
    Some(Row::Socket(Socket {
        protocol: if protocol == "tcp" { Protocol::Tcp } else { Protocol::Udp },
        address,
        port: port.parse().ok()?,
        interface,
        v6only: false,
        owners: Owners::Untold,
        namespace: Namespace::Host,
    }))
}

/// `*`, `127.0.0.1`, `::1`, `fe80::1%en0` of a socket for IPv4 (`4`), IPv6 (`6`) or both (`46`).
fn place(address: &str, version: &str) -> Option<(IpAddr, Option<String>)> {
    let any = match version {
        "4" => ANY_V4,
        "6" | "46" => ANY_V6,
        _ => return None,
    };
    if address == "*" {
        return Some((any, None));
    }
    let (address, zone) = address.split_once('%').map_or((address, None), |(address, zone)| (address, Some(zone)));
    let address: IpAddr = address.parse().ok()?;
    if address.is_ipv4() && version == "6" || address.is_ipv6() && version == "4" || zone == Some("") {
        return None;
    }
    // Of a link-local address the zone is the interface; loopback is called otherwise than on Linux.
    Some((address, zone.map(|zone| if zone == "lo0" { "lo".to_owned() } else { zone.to_owned() })))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use insta::assert_snapshot;

    use super::*;

    fn told(text: &str) -> String {
        let line = |row| match row {
            Row::Socket(socket) => socket.to_string(),
            Row::Connection => "a connection".into(),
            Row::Unread { line, text } => format!("line {line} unread: {text}"),
        };
        parse(text).into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_macos_prints_is_read() {
        let text = "\
Active Internet connections (including servers)
Proto Recv-Q Send-Q  Local Address          Foreign Address        (state)      rxbytes      txbytes  rhiwat  shiwat          process:pid    state  options
tcp4       0      0  127.0.0.1.8080         *.*                    LISTEN             0            0  131072  131072        Google Chrome He:512   00180 00000006
tcp46      0      0  *.3000                 *.*                    LISTEN             0            0  131072  131072             node:88    00100 00000006
tcp6       0      0  *.22                   *.*                    LISTEN             0            0  131072  131072          launchd:1     00180 00000006
tcp4       0      0  10.0.0.5.50122         17.57.146.20.5223      ESTABLISHED     5032         9216  131072  131072              apsd:300  00102 00000008
tcp6       0      0  fe80::aede:48ff:.49152 fe80::aede:48ff:.59  TIME_WAIT          0            0  131072  131072                 x:0    00000 00000000
tcp6       0      0  fe80::1%lo0.88         *.*                    LISTEN             0            0  131072  131072                 x:9    00000 00000000
Active Internet connections (including servers)
Proto Recv-Q Send-Q  Local Address          Foreign Address        (state)     rhiwat shiwat    pid   epid state
udp4       0      0  *.5353                 *.*                                786896   9216    250      0 00100
udp6       0      0  fe80::1%en0.546        *.*                                786896   9216    250      0 00100
udp46      0      0  *.*                    *.*                                786896   9216    250      0 00100
udp4       0      0  10.0.0.5.61020         17.253.4.125.123                   786896   9216    250      0 00100
";
        assert_snapshot!(told(text), @"
        tcp 127.0.0.1:8080
        tcp [::]:3000
        tcp [::]:22
        a connection
        a connection
        tcp [fe80::1]%lo:88
        udp 0.0.0.0:5353
        udp [fe80::1]%en0:546
        a connection
        a connection
        ");
    }

    #[test]
    fn v04_what_is_not_understood_of_netstat_is_told() {
        for row in [
            "tcp        0      0 0.0.0.0:22              0.0.0.0:*               LISTEN      123/sshd",
            "tcp4 0 0 *.22 *.* WAITING",
            "tcp4 0 0 *.22 *.*",
            "tcp4 0 0 *.ssh *.* LISTEN",
            "tcp4 0 0 *.70000 *.* LISTEN",
            "tcp4 0 0 *.* *.* LISTEN",
            "tcp4 0 0 ::1.22 *.* LISTEN",
            "tcp6 0 0 127.0.0.1.22 *.* LISTEN",
            "tcp6 0 0 fe80::aede:48ff:.22 *.* LISTEN",
            "tcp6 0 0 fe80::1%.22 *.* LISTEN",
            "tcp 0 0 *.22 *.* LISTEN",
            "tcp5 0 0 *.22 *.* LISTEN",
            "tcp4 x 0 *.22 *.* LISTEN",
            "udp4 0 0 *.dns *.*",
            "udp4 0 0",
            "icm4 0 0 *.* *.*",
            "\u{e9}\u{e9}",
            "f00 stream 0 0 0 0 0 0 /var/run/x",
        ] {
            assert_eq!(parse(row), [Row::Unread { line: 1, text: row.to_owned() }], "{row}");
        }
        assert_eq!(parse("\n  \n"), []);
    }

    proptest::proptest! {
        #[test]
        fn every_row_becomes_one(text in "[ -~\n]{0,200}") {
            let rows = text.lines().filter(|row| !row.trim().is_empty()).count();
            assert_eq!(parse(&text).len(), rows);
        }

        #[test]
        fn what_a_row_is_made_of_is_read_from_it(v6: u128, v4: u32, port: u16) {
            let (v6, v4) = (Ipv6Addr::from(v6), std::net::Ipv4Addr::from(v4));
            for (kind, address) in [("tcp6", v6.to_string()), ("tcp4", v4.to_string()), ("tcp46", v4.to_string())] {
                let rows = parse(&format!("{kind} 0 0 {address}.{port} *.* LISTEN 1 2 3"));
                let [Row::Socket(socket)] = &rows[..] else { panic!("{rows:?}") };
                assert_eq!((socket.address.to_string(), socket.port), (address, port));
            }
        }
    }
}
