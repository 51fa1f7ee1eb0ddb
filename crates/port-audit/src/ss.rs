//! The text of `ss -tlnp` and `ss -tulnp`: what a machine says on which this program does not run.
//!
//! **Invariant:** a row that is not understood to its last byte is told as such, and is never left out.

use std::net::{IpAddr, Ipv6Addr};

use crate::rows::{Row, rows};
use crate::socket::{ANY_V6, Namespace, Owner, Owners, Protocol, Socket};

/// The rows of a table, with or without a heading above them. `*` as an address is that of IPv6, which lets IPv4 in too.
pub fn parse(text: &str) -> Vec<Row> {
    // A process may call itself as a heading: below the first row there is none.
    rows(text, |above, row| above == 0 && is_heading(row), |row| socket(row).map(Row::Socket))
}

fn is_heading(row: &str) -> bool {
    let mut words = row.split_whitespace().filter(|word| *word != "Netid");
    words.next() == Some("State") && words.next() == Some("Recv-Q")
}

fn socket(row: &str) -> Option<Socket> {
    let (head, owners) = match row.split_once("users:") {
        Some((head, users)) => (head, Owners::Seen(owners(users.trim_end())?)),
        None => (row, Owners::Hidden),
    };
    let words: Vec<&str> = head.split_whitespace().collect();
    let (protocol, words) = match *words.first()? {
        "tcp" => (Protocol::Tcp, &words[1..]),
        "udp" => (Protocol::Udp, &words[1..]),
        "sctp" => (Protocol::Sctp, &words[1..]),
        // `ss -t` alone has no such column.
        _ => (Protocol::Tcp, &words[..]),
    };
    let waits = if protocol == Protocol::Udp { "UNCONN" } else { "LISTEN" };
    let [state, received, sent, local, _peer] = words else { return None };
    let numbers = [received, sent].iter().all(|word| word.parse::<u64>().is_ok());
    if *state != waits || !numbers {
        return None;
    }
    let (place, port) = local.rsplit_once(':')?;
    let (address, interface) = address(place)?;
    Some(Socket {
        protocol,
        address,
        port: port.parse().ok()?,
        interface,
        // `ss` writes `*` for what lets IPv4 in too.
        v6only: address == ANY_V6 && place.starts_with('['),
        owners,
        namespace: Namespace::Host,
    })
}

/// `0.0.0.0`, `0.0.0.0%eth0`, `[::]`, `[fe80::1]%eth0`, `*`, `*%eth0`.
fn address(place: &str) -> Option<(IpAddr, Option<String>)> {
    let (address, interface) = match place.split_once('%') {
        Some((_, "")) => return None,
        Some((address, interface)) => (address, Some(interface.to_owned())),
        None => (place, None),
    };
    let address = match address {
        "*" => ANY_V6,
        _ => match address.strip_prefix('[') {
            Some(v6) => IpAddr::V6(v6.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?),
            None => address.parse().ok()?,
        },
    };
    Some((address, interface))
}

/// `(("sshd",pid=1,fd=3),("systemd",pid=1,fd=4))`. A name with a quote in it cannot be told from what stands around it.
fn owners(users: &str) -> Option<Vec<Owner>> {
    let mut rest = users.strip_prefix('(')?.strip_suffix(')')?;
    let mut owners = Vec::new();
    loop {
        let (name, after) = rest.strip_prefix("(\"")?.split_once('"')?;
        let (numbers, after) = after.strip_prefix(",pid=")?.split_once(')')?;
        let (pid, fd) = numbers.split_once(",fd=")?;
        fd.parse::<u32>().ok()?;
        owners.push(Owner { pid: pid.parse().ok()?, name: name.to_owned(), identity: None });
        if after.is_empty() {
            return Some(owners);
        }
        rest = after.strip_prefix(',')?;
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use insta::assert_snapshot;

    use super::*;

    fn told(text: &str) -> String {
        let mut told = String::new();
        for row in parse(text) {
            match row {
                Row::Socket(socket) => {
                    let owners: Vec<_> =
                        socket.owners.seen().iter().map(|it| format!("{} {}", it.name, it.pid)).collect();
                    writeln!(told, "{socket} v6only={} {owners:?}", socket.v6only).unwrap();
                }
                Row::Connection => unreachable!("`-l` shows none"),
                Row::Unread { line, text } => writeln!(told, "line {line} unread: {text:?}").unwrap(),
            }
        }
        told
    }

    #[test]
    fn each_form_of_an_address_is_read() {
        assert_snapshot!(told("State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n\
            LISTEN 0      128          0.0.0.0:22        0.0.0.0:*    users:((\"sshd\",pid=7,fd=3))\n\
            LISTEN 0      128             [::]:22           [::]:*    users:((\"sshd\",pid=7,fd=4),(\"systemd\",pid=1,fd=44))\n\
            LISTEN 0      5     0.0.0.0%ts0:1006      0.0.0.0:*\n\
            LISTEN 0      5   [fe80::1]%ts0:1007         [::]:*\n\
            LISTEN 0      5               *:1004            *:*    users:((\"a b\",pid=9,fd=3))\n\
            LISTEN 0      5   [::ffff:127.0.0.1]:1008           *:*   \n"), @r#"
        tcp 0.0.0.0:22 v6only=false ["sshd 7"]
        tcp [::]:22 v6only=true ["sshd 7", "systemd 1"]
        tcp 0.0.0.0%ts0:1006 v6only=false []
        tcp [fe80::1]%ts0:1007 v6only=false []
        tcp [::]:1004 v6only=false ["a b 9"]
        tcp [::ffff:127.0.0.1]:1008 v6only=false []
        "#);
        assert_snapshot!(told("Netid State  Recv-Q Send-Q Local Address:Port Peer Address:PortProcess\n\
            udp   UNCONN 0      0            0.0.0.0:68        0.0.0.0:*    users:((\"dhclient\",pid=3,fd=6))\n\
            tcp   LISTEN 0      128        127.0.0.1:631       0.0.0.0:*   \n"), @r#"
        udp 0.0.0.0:68 v6only=false ["dhclient 3"]
        tcp 127.0.0.1:631 v6only=false []
        "#);
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for row in [
            "LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((\"a b\"),((\"x\",pid=1,fd=3))",
            "LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((\"x\",pid=1,fd=1)\",pid=77,fd=3))",
            "LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:((\"new",
            "line\",pid=7,fd=3))",
            "LISTEN 0 128 0.0.0.0:ssh 0.0.0.0:*",
            "LISTEN 0 128 0.0.0.0:70000 0.0.0.0:*",
            "LISTEN 0 128 host:22 0.0.0.0:*",
            "LISTEN 0 128 [::1:22 [::]:*",
            "LISTEN 0 128 0.0.0.0%:22 0.0.0.0:*",
            "LISTEN 0 0.0.0.0:22 0.0.0.0:*",
            "LISTEN x 128 0.0.0.0:22 0.0.0.0:*",
            "LISTEN 0 128 0.0.0.0:22 0.0.0.0:* more",
            "ESTAB 0 0 10.0.0.1:22 10.0.0.2:999",
            "udp LISTEN 0 0 0.0.0.0:53 0.0.0.0:*",
            "u_str LISTEN 0 0 /run/x 1 * 0",
            "nonsense",
        ] {
            assert_eq!(parse(row), [Row::Unread { line: 1, text: row.to_owned() }], "{row}");
        }
        assert_eq!(parse("\n  \n"), []);
    }

    #[test]
    fn v04_a_name_hides_no_row_and_poses_as_none() {
        let row = |name: &str| format!("LISTEN 0 5 0.0.0.0:80 0.0.0.0:* users:((\"{name}\",pid=7,fd=3))\n");
        for name in [
            "a b\"),((\"x",
            "x\",pid=1,fd=1)",
            "new\nline",
            "\nState Recv-Q ",
            "\n\n",
            "\nNetid State",
            "\u{85}\u{2028}\"",
        ] {
            let rows = parse(&(row("a") + &row(name) + &row("b")));
            let unread = rows.iter().filter(|row| matches!(row, Row::Unread { .. })).count();
            assert!(unread > 0 && rows.len() - unread == 2, "{name:?}: {rows:?}");
        }
        let twice = parse("State Recv-Q\nState Recv-Q\n");
        assert_eq!(twice, [Row::Unread { line: 2, text: "State Recv-Q".into() }]);
    }

    proptest::proptest! {
        #[test]
        fn every_row_becomes_one(text in "[ -~\n]{0,200}") {
            let rows = text.lines().filter(|row| !row.trim().is_empty()).count();
            assert_eq!(parse(&text).len(), rows);
        }

        #[test]
        fn what_a_row_is_made_of_is_read_from_it(v6: u128, v4: u32, port: u16, name in "[^\"\n\r]{0,15}", pid: u32) {
            let (v6, v4) = (Ipv6Addr::from(v6), std::net::Ipv4Addr::from(v4));
            for address in [format!("[{v6}]"), v4.to_string(), format!("{v4}%eth0"), format!("[{v6}]%eth0")] {
                let row = format!("LISTEN 0 5 {address}:{port} 0.0.0.0:* users:((\"{name}\",pid={pid},fd=3))");
                let rows = parse(&row);
                let [Row::Socket(socket)] = &rows[..] else { panic!("{row}: {rows:?}") };
                assert_eq!(socket.to_string(), format!("tcp {address}:{port}"));
                assert_eq!(socket.owners, Owners::Seen(vec![Owner { pid, name: name.clone(), identity: None }]));
            }
        }
    }
}
