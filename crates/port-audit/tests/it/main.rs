//! The shipped files: the policy, and the schemas of the report and the baseline.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the test of a shipped file reads that file, and writes it when asked to"
)]

use insta::assert_snapshot;
use jiff::civil::date;
use port_audit::{Baseline, Observed, Policy, Report, Rules, Tailnet, audit};
use serde_json::Value;

const POLICY: &str = include_str!("../../../../configs/port_audit.toml");
const SCHEMAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas");

fn rules() -> Rules {
    Rules { policy: Policy::parse(POLICY).unwrap(), tailnet: Tailnet::default(), today: date(2026, 1, 31) }
}

#[test]
fn the_shipped_policy_allows_what_asks_for_addresses_and_the_time_and_no_more() {
    let text = "\
udp UNCONN 0 0 10.0.0.5%eth0:68 0.0.0.0:* users:((\"systemd-network\",pid=3,fd=6))
udp UNCONN 0 0 0.0.0.0:68 0.0.0.0:* users:((\"dhclient\",pid=4,fd=6))
udp UNCONN 0 0 [fe80::1]%eth0:546 [::]:* users:((\"systemd-network\",pid=3,fd=7))
udp UNCONN 0 0 0.0.0.0:123 0.0.0.0:* users:((\"ntpd\",pid=5,fd=7))
udp UNCONN 0 0 0.0.0.0:68 0.0.0.0:* users:((\"node\",pid=6,fd=6))
udp UNCONN 0 0 0.0.0.0:53 0.0.0.0:* users:((\"systemd-network\",pid=3,fd=6))
tcp LISTEN 0 0 0.0.0.0:68 0.0.0.0:* users:((\"dhclient\",pid=4,fd=6))
udp UNCONN 0 0 0.0.0.0:68 0.0.0.0:* users:((\"dhcpcd\",pid=7,fd=6))
udp UNCONN 0 0 [fe80::1]%eth0:546 [::]:* users:((\"dhcpcd\",pid=7,fd=7))
udp UNCONN 0 0 10.0.0.5%eth0:68 0.0.0.0:* users:((\"NetworkManager\",pid=8,fd=6))
udp UNCONN 0 0 [fe80::1]%eth0:546 [::]:* users:((\"NetworkManager\",pid=8,fd=7))
udp UNCONN 0 0 0.0.0.0:47123 0.0.0.0:* users:((\"systemd-timesyn\",pid=9,fd=6))
udp UNCONN 0 0 0.0.0.0:8053 0.0.0.0:* users:((\"systemd-timesyn\",pid=9,fd=7))
udp UNCONN 0 0 0.0.0.0:53 0.0.0.0:* users:((\"NetworkManager\",pid=8,fd=8))
";
    let report = audit(&Observed::ss(text).unwrap(), &rules(), true);
    let found: Vec<&str> = report.findings().iter().map(|finding| finding.subject.as_str()).collect();
    assert_snapshot!(found.join("\n"), @"
    tcp 0.0.0.0:68
    udp 0.0.0.0:53
    udp 0.0.0.0:53
    udp 0.0.0.0:68
    udp 0.0.0.0:8053
    ");
}

#[test]
fn the_shipped_json_schemas_are_the_generated_ones() {
    for (name, generated) in [("port-audit", Report::json_schema()), ("port-audit-baseline", Baseline::json_schema())] {
        let path = format!("{SCHEMAS}/{name}.schema.json");
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, format!("{generated:#}\n")).unwrap();
        }
        let shipped: Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_default()).unwrap_or_default();
        assert_eq!(shipped, generated, "write it anew: UPDATE_SCHEMA=1 cargo nextest run -p port-audit");
    }
}
