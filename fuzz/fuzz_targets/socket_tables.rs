//! No row of a table is passed over, what is read of one is what it says, and no text drives the terminal or adds a line.

#![no_main]

use jiff::civil::date;
use libfuzzer_sys::fuzz_target;
use port_audit::{Observed, Owners, Policy, Row, Rules, Tailnet, audit, netstat, ss};

fuzz_target!(|text: &str| {
    let rows = text.lines().filter(|row| !row.trim().is_empty()).count();
    let of_ss = ss::parse(text);
    let heading = usize::from(of_ss.len() < rows);
    assert_eq!(of_ss.len() + heading, rows, "a row was passed over");
    for row in &of_ss {
        // A row that could not be read with its owners is read again without them.
        let Row::Socket(socket) = row else { continue };
        let place = socket.to_string();
        let (protocol, place) = place.split_once(' ').expect("a protocol and a place");
        let state = if protocol == "udp" { "UNCONN" } else { "LISTEN" };
        let place =
            if socket.v6only || !place.starts_with("[::]") { place.to_owned() } else { place.replacen("[::]", "*", 1) };
        let again = ss::parse(&format!("{protocol} {state} 0 0 {place} *:*"));
        let [Row::Socket(again)] = &again[..] else { panic!("{again:?}") };
        let mut without = socket.clone();
        without.owners = Owners::Hidden;
        assert_eq!(*again, without);
    }
    let of_netstat = netstat::parse(text);
    let is_heading = |row: &&str| row.contains("Active Internet connections") || row.contains("Recv-Q");
    assert!(of_netstat.len() + text.lines().filter(is_heading).count() >= rows, "a row was passed over");
    for observed in [Observed::ss(text), Observed::netstat(text)].into_iter().flatten() {
        let rules = Rules { policy: Policy::default(), tailnet: Tailnet::default(), today: date(2026, 1, 31) };
        let report = audit(&observed, &rules, true);
        for finding in report.findings() {
            assert!(!finding.to_string().chars().any(char::is_control), "{finding}");
        }
    }
});
