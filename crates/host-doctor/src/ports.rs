//! Who can reach what on the host: the port audit.

use doctor::Check;
use outcome::Failure;
use port_audit::{Report, audit};

use crate::Scene;

pub(crate) const NAME: &str = "port-audit";

/// The class that is told before others, with what mends it.
const SSHD: &str = "sshd-public";

pub(crate) fn ports(scene: &Scene<'_>) -> Result<Check, Failure> {
    let policy = sockets::policy(scene.host, None)?;
    let mut observed = sockets::observe(scene.host)?;
    let rules = sockets::rules(scene.host, policy, &mut observed)?;
    Ok(judge(&audit(&observed, &rules, false)))
}

fn judge(report: &Report) -> Check {
    let findings = report.findings();
    let told = |finding: &port_audit::Finding| {
        let owners = finding.owners().map(|owners| format!(" by {owners}")).unwrap_or_default();
        format!("{}{owners}: {}", finding.subject, finding.reason)
    };
    if let Some(first) = findings.iter().find(|finding| finding.class == SSHD).or(findings.first()) {
        let message = findings.iter().map(told).collect::<Vec<_>>().join("; ");
        return Check::fail(NAME, first.class, message, format!("{}; all of it: sudo port-audit", first.next));
    }
    let gaps: Vec<_> = report.gaps().iter().map(|gap| format!("{}: {}", gap.what, gap.why)).collect();
    if gaps.is_empty() {
        return Check::pass(NAME, report.summary().lines().next().unwrap_or_default().trim_start_matches("OK: "));
    }
    Check::warn(
        NAME,
        "port-audit-gap",
        format!("not looked at: {}", gaps.join("; ")),
        "run it by sudo; see also: sudo port-audit",
    )
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use port_audit::{Gap, Observed, Policy, Rules, Tailnet};

    use super::*;
    use crate::testing::shown;

    fn told(text: &str, gaps: Vec<Gap>) -> String {
        let observed = Observed { gaps, ..Observed::ss(text).unwrap() };
        let tailnet = Tailnet { addresses: vec!["100.64.0.1".parse().unwrap()], interface: None };
        let rules = Rules { policy: Policy::default(), tailnet, today: jiff::civil::date(2026, 1, 1) };
        shown(&judge(&audit(&observed, &rules, false)))
    }

    const PRIVATE: &str = "LISTEN 0 128 127.0.0.1:8000 0.0.0.0:* users:((\"runner-api\",pid=2,fd=3))\n\
        LISTEN 0 128 100.64.0.1:22 0.0.0.0:* users:((\"sshd\",pid=3,fd=3))\n";

    #[test]
    fn what_only_the_host_and_the_tailnet_reach_passes() {
        assert_snapshot!(told(PRIVATE, vec![]), @"
        PASS: port-audit: 2 sockets: 1 on loopback, 0 inside, 1 of the tailnet, 0 allowed
              class: ok
        ");
    }

    #[test]
    fn v05_what_anybody_reaches_fails_however_its_address_is_written() {
        for address in ["0.0.0.0", "[::]", "*", "203.0.113.1", "[2001:db8::1]", "[::ffff:0.0.0.0]"] {
            let said = told(&format!("LISTEN 0 128 {address}:8080 *:* users:((\"node\",pid=7,fd=3))"), vec![]);
            assert!(said.starts_with("FAIL"), "{address}: {said}");
        }
        let node = "LISTEN 0 128 *:80 *:* users:((\"a\u{1b}[2J\",pid=7,fd=3))\n";
        assert_snapshot!(told(&format!("{PRIVATE}{node}"), vec![]), @r"
        FAIL: port-audit: tcp [::]:80 by a\u{1b}[2J (7): it is reached from anywhere
              next: bind it to 127.0.0.1, or allow it in port_audit.toml; all of it: sudo port-audit
              class: public-listener
        ");
        let sshd = "LISTEN 0 128 [::]:22 [::]:* users:((\"sshd\",pid=3,fd=4))\n";
        assert_snapshot!(told(&format!("{node}{sshd}"), vec![]), @r"
        FAIL: port-audit: tcp [::]:80 by a\u{1b}[2J (7): it is reached from anywhere; tcp [::]:22 by sshd (3): the SSH server is reached from anywhere
              next: sshd-fix plan, then sshd-fix apply; all of it: sudo port-audit
              class: sshd-public
        ");
    }

    #[test]
    fn what_was_not_looked_at_is_told_and_nothing_less_than_a_finding() {
        let gap = || vec![Gap { what: "the rules of nft".into(), why: "not permitted".into() }];
        assert_snapshot!(told(PRIVATE, gap()), @"
        WARN: port-audit: not looked at: the rules of nft: not permitted
              next: run it by sudo; see also: sudo port-audit
              class: port-audit-gap
        ");
        assert!(told("LISTEN 0 128 *:80 *:*", gap()).starts_with("FAIL"));
    }
}
