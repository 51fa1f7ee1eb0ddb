//! The ports that containers publish, and what keeps the internet from them.
//!
//! Docker has packets for its containers pass before the rules of UFW: a published port is open whatever UFW denies. What
//! helps is the chain `DOCKER-USER`, which Docker leaves to the operator.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use doctor::Check;
use host::{Cmd, Host};
use outcome::Failure;
use serde::Deserialize;

use crate::netfilter::{Family, Rule, Ruleset, Table};
use crate::{Scene, root_alone, told, told_if_there, unseen};

pub(crate) const NAME: &str = "published-ports";

const CHAIN: &str = "DOCKER-USER";
const NEXT: &str = "publish them at 127.0.0.1, and have the firewall drop what comes for containers by the public interface: \
DOCKER-USER in /etc/ufw/after.rules and after6.rules, as docs/host.md shows it";

/// Ports of a container that are open at an address of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Published {
    container: String,
    address: IpAddr,
    /// One port, or `FIRST-LAST`.
    ports: String,
}

pub(crate) fn published(scene: &Scene<'_>) -> Result<Check, Failure> {
    let cmd = Cmd::new("docker").args(["ps", "--no-trunc", "--format", "{{json .}}"]);
    let cmd = cmd.inherit(&["HOME", "DOCKER_HOST", "DOCKER_CONTEXT"]);
    let Some(text) = told_if_there(scene.host, &cmd)? else {
        return Ok(Check::pass(NAME, "there is no Docker on this host"));
    };
    root_alone(scene.host)?;
    let published = parse(&text).map_err(|why| unseen(&cmd, &why))?;
    // One that does not tell its addresses has none here.
    let tailnet = tailnet::status(scene.host).ok().flatten().map(|tailnet| tailnet.addresses).unwrap_or_default();
    let public: Vec<_> = published.into_iter().filter(|one| is_public(one.address, &tailnet)).collect();
    Ok(judge(&public, &gaps(scene.host)?))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    names: String,
    ports: String,
}

fn parse(text: &str) -> Result<Vec<Published>, String> {
    let mut published = Vec::new();
    for container in serde_json::Deserializer::from_str(text).into_iter() {
        let Container { names, ports } = container.map_err(|error| error.to_string())?;
        for entry in ports.split(", ").filter(|entry| !entry.is_empty()) {
            if !is_inside(entry) {
                let odd = || format!("the port `{entry}` of {names} is not understood");
                published.push(parse_entry(&names, entry).ok_or_else(odd)?);
            }
        }
    }
    Ok(published)
}

/// `PORT/PROTOCOL`, which the networks of containers alone reach.
fn is_inside(text: &str) -> bool {
    text.split_once('/').is_some_and(|(port, of)| is_port(port) && ["tcp", "udp", "sctp"].contains(&of))
}

/// `ADDRESS:PORT->PORT/PROTOCOL`.
fn parse_entry(container: &str, entry: &str) -> Option<Published> {
    let (outside, _) = entry.split_once("->").filter(|(_, inside)| is_inside(inside))?;
    let (address, ports) = outside.rsplit_once(':').filter(|(_, ports)| is_port(ports))?;
    Some(Published { container: container.to_owned(), address: parse_address(address)?, ports: ports.to_owned() })
}

fn is_port(text: &str) -> bool {
    text.split('-').all(|port| port.parse::<u16>().is_ok())
}

/// Versions of Docker write that of all addresses in several ways.
fn parse_address(text: &str) -> Option<IpAddr> {
    match text {
        "" | "*" => Some(Ipv4Addr::UNSPECIFIED.into()),
        text => text.trim_start_matches('[').trim_end_matches(']').parse().ok(),
    }
}

fn is_public(address: IpAddr, tailnet: &[IpAddr]) -> bool {
    let address = address.to_canonical();
    !address.is_loopback() && !tailnet.contains(&address)
}

/// Why packets from the internet get to containers, by families of the host; nothing where they are dropped.
fn gaps(host: &dyn Host) -> Result<Vec<(Family, String)>, Failure> {
    let (public, nft) = (public_interfaces(host)?, Ruleset::look(host)?);
    let mut gaps = Vec::new();
    for family in Family::BOTH {
        if family.is_there(host)? {
            let guarded = match Table::look(host, family)? {
                _ if nft.is_of_docker() => Err("Docker has rules of nftables, which are not read".to_owned()),
                Some(table) if leads_to_docker(&table) => guarded(&table, &public),
                // A process of Docker's takes what comes, as any of the host itself.
                Some(table) if table.keeps_out() || nft.keeps_out(family) => Ok(()),
                Some(_) => Err("Docker's proxy listens, and no firewall drops what comes in".to_owned()),
                None => Err("there is no iptables".to_owned()),
            };
            gaps.extend(guarded.err().map(|why| (family, format!("{}: {why}", family.name()))));
        }
    }
    Ok(gaps)
}

/// Docker hands packets of this family on to containers, rather than leave them to its proxy.
fn leads_to_docker(table: &Table) -> bool {
    table.rules("FORWARD").any(|rule| rule.target().is_some_and(|to| to.starts_with("DOCKER") && to != CHAIN))
}

#[derive(Deserialize)]
struct Route {
    dev: Option<String>,
    #[serde(default)]
    nexthops: Vec<Hop>,
}

#[derive(Deserialize)]
struct Hop {
    dev: String,
}

/// Those that lead to the internet, by either family.
fn public_interfaces(host: &dyn Host) -> Result<BTreeSet<String>, Failure> {
    let mut interfaces = BTreeSet::new();
    for family in ["-4", "-6"] {
        let cmd = Cmd::new("ip").args([family, "-json", "route", "show", "default"]);
        let text = told(host, &cmd)?;
        let routes: Vec<Route> = match text.as_str() {
            "" => vec![],
            text => serde_json::from_str(text).map_err(|error| unseen(&cmd, &error.to_string()))?,
        };
        let hops = |route: Route| route.dev.into_iter().chain(route.nexthops.into_iter().map(|hop| hop.dev));
        interfaces.extend(routes.into_iter().flat_map(hops));
    }
    Ok(interfaces)
}

/// What a rule of the chain does to a new packet that comes in by a public interface.
enum Effect<'a> {
    DropsAll,
    /// Those of this interface.
    Drops(&'a str),
    Nothing,
    MayPass,
}

fn effect<'a>(rule: &'a Rule, public: &BTreeSet<String>) -> Effect<'a> {
    // A plus sign at the end stands for anything.
    let is_private = |interface: &str| !public.contains(interface) && !interface.ends_with('+');
    let matches = rule.matches();
    if rule.closes() {
        return match matches.as_slice() {
            [] => Effect::DropsAll,
            ["!", "-i", but] if is_private(but) => Effect::DropsAll,
            ["-i", interface] => Effect::Drops(interface),
            _ => Effect::Nothing,
        };
    }
    match (matches.as_slice(), rule.target()) {
        (_, Some("LOG" | "NFLOG") | None) => Effect::Nothing,
        (["-i", interface], _) if is_private(interface) => Effect::Nothing,
        (["-m", "conntrack", "--ctstate", states] | ["-m", "state", "--state", states], _) if are_answers(states) => {
            Effect::Nothing
        }
        _ => Effect::MayPass,
    }
}

fn are_answers(states: &str) -> bool {
    states.split(',').all(|state| ["ESTABLISHED", "RELATED"].contains(&state))
}

/// What comes in by a public interface gets to no container, but for answers.
///
/// # Errors
/// Why it does.
fn guarded(table: &Table, public: &BTreeSet<String>) -> Result<(), String> {
    let leads_here = |rule: &&Rule| rule.target() == Some(CHAIN) && rule.matches().is_empty();
    let passes = |rule: &&Rule| rule.target().is_some_and(|to| to == "ACCEPT" || to.starts_with("DOCKER"));
    let before = table.rules("FORWARD").take_while(|rule| !leads_here(rule)).find(passes);
    if !table.rules("FORWARD").any(|rule| leads_here(&rule)) {
        return Err(format!("nothing leads to {CHAIN}"));
    }
    if let Some(rule) = before {
        return Err(format!("before {CHAIN} comes `{}`", rule.text()));
    }
    let mut open = public.clone();
    for rule in table.rules(CHAIN) {
        match effect(rule, public) {
            Effect::DropsAll => return Ok(()),
            Effect::Drops(interface) if open.remove(interface) && open.is_empty() => return Ok(()),
            Effect::Drops(_) | Effect::Nothing => {}
            // Docker's own end of the chain.
            Effect::MayPass if rule.text() == "-j RETURN" => break,
            Effect::MayPass => return Err(format!("{CHAIN} lets pass `{}`", rule.text())),
        }
    }
    let open: Vec<_> = open.into_iter().collect();
    let what = if open.is_empty() { "from anywhere".to_owned() } else { format!("by {}", open.join(", ")) };
    Err(format!("{CHAIN} does not drop what comes in {what}"))
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { container, address, ports } = self;
        if address.is_ipv6() {
            write!(f, "{container} at [{address}]:{ports}")
        } else {
            write!(f, "{container} at {address}:{ports}")
        }
    }
}

impl Published {
    fn families(&self) -> &'static [Family] {
        match self.address.to_canonical() {
            IpAddr::V4(_) => &[Family::V4],
            // It may take what comes by IPv4 too.
            IpAddr::V6(address) if address.is_unspecified() => &Family::BOTH,
            IpAddr::V6(_) => &[Family::V6],
        }
    }
}

fn judge(public: &[Published], gaps: &[(Family, String)]) -> Check {
    let is_open = |one: &&Published| gaps.iter().any(|(family, _)| one.families().contains(family));
    let listed = |all: Vec<&Published>| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (open, guarded): (Vec<_>, Vec<_>) = public.iter().partition(is_open);
    let why = gaps.iter().map(|(_, why)| why.as_str()).collect::<Vec<_>>().join("; ");
    if !open.is_empty() {
        let message = format!("open to the internet, past UFW: {}; {why}", listed(open));
        return Check::fail(NAME, "published-open", message, NEXT);
    }
    if !gaps.is_empty() {
        let message = format!("none is open to the internet; the next one would be: {why}");
        return Check::warn(NAME, "docker-unguarded", message, NEXT);
    }
    if !guarded.is_empty() {
        let message = format!("{}; what comes from the internet is dropped", listed(guarded));
        return Check::warn(NAME, "published-guarded", message, "publish them at 127.0.0.1 or the tailnet's address");
    }
    Check::pass(NAME, "none but at loopback and the tailnet; what else comes from the internet is dropped")
}

#[cfg(test)]
mod tests {
    use host::{Fake, HostError};
    use insta::assert_snapshot;

    use super::*;
    use crate::testing::looked;

    const GUARD: &str = "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN\n\
        -A DOCKER-USER -i tailscale0 -j RETURN\n-A DOCKER-USER -i eth0 -j DROP\n-A DOCKER-USER -j RETURN\n";

    fn filter(chain: &str) -> String {
        format!(
            "# Generated\n*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n\
            -A FORWARD -j DOCKER-FORWARD\n-A FORWARD -j ufw-before-forward\n{chain}COMMIT\n"
        )
    }

    /// A host where `docker ps` and the filters say that; its way out is eth0.
    fn host(ports: &str, v4: &str, v6: &str) -> Fake {
        let fake = Fake::new().user(0).file("/proc/net/if_inet6", "fe80 eth0\n", 0o444, 0);
        let fake = fake.answer("docker ps", 0, format!(r#"{{"Names":"web","Ports":"{ports}","State":"running"}}"#));
        let status = r#"{"BackendState":"Running","TailscaleIPs":["100.64.0.1","fd7a:115c:a1e0::1"]}"#;
        let fake = fake.answer("tailscale status --json", 0, status);
        let fake = fake.answer(
            "ip -4 -json route show default",
            0,
            r#"[{"dst":"default","gateway":"203.0.113.2","dev":"eth0"}]"#,
        );
        let fake =
            fake.answer("ip -6 -json route show default", 0, r#"[{"dst":"default","nexthops":[{"dev":"eth0"}]}]"#);
        let fake = fake.answer("nft --json list ruleset", 0, r#"{"nftables":[{"table":{"name":"nat"}}]}"#);
        fake.answer("iptables-save -t filter", 0, v4).answer("ip6tables-save -t filter", 0, v6)
    }

    fn published(ports: &str, v4: &str, v6: &str) -> String {
        looked(&host(ports, v4, v6), NAME)
    }

    #[test]
    fn v05_ports_at_all_addresses_are_public_however_they_are_written() {
        for address in [
            "0.0.0.0",
            "[::]",
            "::",
            "*",
            "",
            "203.0.113.1",
            "[2001:db8::1]",
            "[::ffff:0.0.0.0]",
            "100.64.0.2",
            "10.0.0.1",
        ] {
            let said = published(&format!("{address}:8080->80/tcp"), &filter(""), &filter(""));
            assert!(said.starts_with("FAIL"), "{address}: {said}");
        }
        for address in
            ["127.0.0.1", "127.1.2.3", "[::1]", "::1", "100.64.0.1", "[fd7a:115c:a1e0::1]", "[::ffff:127.0.0.1]"]
        {
            let said = published(&format!("{address}:8080->80/tcp"), &filter(GUARD), &filter(GUARD));
            assert!(said.starts_with("PASS"), "{address}: {said}");
        }
        let both = "0.0.0.0:8080->80/tcp, [::]:8000-8002->8000-8002/udp, 127.0.0.1:1->1/tcp, 9000-9001/tcp";
        assert_snapshot!(published(both, &filter(""), &filter("")), @"
        FAIL: published-ports: open to the internet, past UFW: web at 0.0.0.0:8080, web at [::]:8000-8002; IPv4: DOCKER-USER does not drop what comes in by eth0; IPv6: DOCKER-USER does not drop what comes in by eth0
              next: publish them at 127.0.0.1, and have the firewall drop what comes for containers by the public interface: DOCKER-USER in /etc/ufw/after.rules and after6.rules, as docs/host.md shows it
              class: published-open
        ");
        assert_snapshot!(published("", &filter(GUARD), &filter(GUARD)), @"
        PASS: published-ports: none but at loopback and the tailnet; what else comes from the internet is dropped
              class: ok
        ");
    }

    #[test]
    fn what_docker_user_drops_is_a_warning() {
        let all = "0.0.0.0:8080->80/tcp";
        assert_snapshot!(published(all, &filter(GUARD), &filter(GUARD)), @"
        WARN: published-ports: web at 0.0.0.0:8080; what comes from the internet is dropped
              next: publish them at 127.0.0.1 or the tailnet's address
              class: published-guarded
        ");
        assert_snapshot!(published(all, &filter(GUARD), &filter("")), @"
        WARN: published-ports: none is open to the internet; the next one would be: IPv6: DOCKER-USER does not drop what comes in by eth0
              next: publish them at 127.0.0.1, and have the firewall drop what comes for containers by the public interface: DOCKER-USER in /etc/ufw/after.rules and after6.rules, as docs/host.md shows it
              class: docker-unguarded
        ");
        assert_snapshot!(published("", &filter(""), &filter("")), @"
        WARN: published-ports: none is open to the internet; the next one would be: IPv4: DOCKER-USER does not drop what comes in by eth0; IPv6: DOCKER-USER does not drop what comes in by eth0
              next: publish them at 127.0.0.1, and have the firewall drop what comes for containers by the public interface: DOCKER-USER in /etc/ufw/after.rules and after6.rules, as docs/host.md shows it
              class: docker-unguarded
        ");
        let proxied = "*filter\n:INPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\nCOMMIT\n";
        assert_snapshot!(published(all, &filter(GUARD), proxied), @"
        WARN: published-ports: none is open to the internet; the next one would be: IPv6: Docker's proxy listens, and no firewall drops what comes in
              next: publish them at 127.0.0.1, and have the firewall drop what comes for containers by the public interface: DOCKER-USER in /etc/ufw/after.rules and after6.rules, as docs/host.md shows it
              class: docker-unguarded
        ");
        let kept_out = proxied.replace("ACCEPT [0:0]", "DROP [0:0]\n-A INPUT -i lo -j ACCEPT");
        assert!(published(all, &filter(GUARD), &kept_out).starts_with("WARN"), "the proxy is behind the firewall");
        let nft = |cmd: &Cmd| {
            let answer = Fake::new().answer("nft", 0, r#"{"nftables":[{"table":{"name":"docker-bridges"}}]}"#);
            (cmd.program() == "nft").then(|| answer.run(cmd))
        };
        let base = Fake::new().script(nft).user(0).answer("docker ps", 0, "").answer("tailscale", 1, "");
        let base = base.answer("ip -", 0, "[]").answer("iptables-save", 0, filter("-A DOCKER-USER -j DROP\n"));
        assert_snapshot!(looked(&base, NAME), @"
        WARN: published-ports: none is open to the internet; the next one would be: IPv4: Docker has rules of nftables, which are not read
              next: publish them at 127.0.0.1, and have the firewall drop what comes for containers by the public interface: DOCKER-USER in /etc/ufw/after.rules and after6.rules, as docs/host.md shows it
              class: docker-unguarded
        ");
        let without_v6 = host(all, &filter(GUARD), "").file("/proc/net/if_inet6", "", 0o444, 0);
        assert!(looked(&without_v6, NAME).starts_with("WARN"));
    }

    #[test]
    fn v05_the_chain_is_in_place_only_where_it_drops_before_anything_passes() {
        let said = |chain: &str| {
            let public = BTreeSet::from(["eth0".to_owned()]);
            let fake = Fake::new().answer("iptables-save", 0, filter(chain));
            guarded(&Table::look(&fake, Family::V4).unwrap().unwrap(), &public).err().unwrap_or_default()
        };
        let rules =
            |rules: &[&str]| said(&rules.iter().map(|rule| format!("-A DOCKER-USER {rule}\n")).collect::<String>());
        for good in [
            &["-j DROP"][..],
            &["-i eth0 -j REJECT --reject-with icmp-port-unreachable"],
            &["! -i tailscale0 -j DROP"],
            &["-i eth0 -m comment --comment \"a \\\"b\" -j DROP"],
            &["-i tailscale0 -j ACCEPT", "-i docker0 -j RETURN", "-j LOG", "-i eth0 -p tcp -j DROP", "-i eth0 -j DROP"],
            &["-m state --state ESTABLISHED -j ACCEPT", "-i eth0 -j DROP"],
        ] {
            assert_eq!(rules(good), "", "{good:?}");
        }
        let bad = [
            &[][..],
            &["-j RETURN", "-i eth0 -j DROP"],
            &["-i eth1 -j DROP"],
            &["! -i eth0 -j DROP"],
            &["! -i eth+ -j DROP"],
            &["-i eth0 -p tcp -j DROP"],
            &["-i eth0 -s 10.0.0.0/8 -j DROP"],
            &["-i eth+ -j RETURN", "-i eth0 -j DROP"],
            &["-i eth0 -j ACCEPT", "-i eth0 -j DROP"],
            &["-p tcp -m tcp --dport 443 -j RETURN", "-i eth0 -j DROP"],
            &["-m conntrack --ctstate NEW,ESTABLISHED -j RETURN", "-i eth0 -j DROP"],
            &["-j mine", "-i eth0 -j DROP"],
            &["-i eth0 -g mine", "-i eth0 -j DROP"],
        ];
        assert_snapshot!(bad.map(|bad| rules(bad) + "\n").concat(), @"
        DOCKER-USER does not drop what comes in by eth0
        DOCKER-USER does not drop what comes in by eth0
        DOCKER-USER does not drop what comes in by eth0
        DOCKER-USER does not drop what comes in by eth0
        DOCKER-USER does not drop what comes in by eth0
        DOCKER-USER does not drop what comes in by eth0
        DOCKER-USER does not drop what comes in by eth0
        DOCKER-USER lets pass `-i eth+ -j RETURN`
        DOCKER-USER lets pass `-i eth0 -j ACCEPT`
        DOCKER-USER lets pass `-p tcp -m tcp --dport 443 -j RETURN`
        DOCKER-USER lets pass `-m conntrack --ctstate NEW,ESTABLISHED -j RETURN`
        DOCKER-USER lets pass `-j mine`
        DOCKER-USER lets pass `-i eth0 -g mine`
        ");
        let around = |text: &str| {
            let fake = Fake::new().answer("iptables-save", 0, text);
            guarded(&Table::look(&fake, Family::V4).unwrap().unwrap(), &["eth0".to_owned()].into()).unwrap_err()
        };
        assert_snapshot!(around(&filter(GUARD).replace("-A FORWARD -j DOCKER-USER\n", "")), @"nothing leads to DOCKER-USER");
        assert_snapshot!(around(&filter(GUARD).replace("-A FORWARD -j DOCKER-USER", "-A FORWARD -i eth1 -j DOCKER-USER")), @"nothing leads to DOCKER-USER");
        assert_snapshot!(around(&filter(GUARD).replace("-A FORWARD -j DOCKER-USER", "-A FORWARD -o docker0 -j ACCEPT\n-A FORWARD -j DOCKER-USER")), @"before DOCKER-USER comes `-o docker0 -j ACCEPT`");
        assert_snapshot!(around(""), @"nothing leads to DOCKER-USER");
    }

    #[test]
    fn where_no_way_leads_out_only_what_drops_all_is_enough() {
        let host = |guard: &str| {
            let empty =
                |cmd: &Cmd| cmd.to_string().starts_with("ip ").then(|| Fake::new().answer("ip", 0, "[ ]\n").run(cmd));
            let base = Fake::new().script(empty).user(0).answer("docker ps", 0, "").answer("tailscale", 1, "");
            let base = base.answer("nft", 0, r#"{"nftables":[]}"#);
            let filter = filter(guard);
            looked(&base.answer("iptables-save", 0, filter.clone()).answer("ip6tables-save", 0, filter), NAME)
        };
        assert_snapshot!(host(GUARD), @"
        WARN: published-ports: none is open to the internet; the next one would be: IPv4: DOCKER-USER does not drop what comes in from anywhere
              next: publish them at 127.0.0.1, and have the firewall drop what comes for containers by the public interface: DOCKER-USER in /etc/ufw/after.rules and after6.rules, as docs/host.md shows it
              class: docker-unguarded
        ");
        assert!(host("-A DOCKER-USER ! -i tailscale0 -j DROP\n").starts_with("PASS"));
    }

    #[test]
    fn v05_what_cannot_be_read_is_no_pass() {
        for odd in [
            "8080",
            "0.0.0.0->80/tcp",
            "x:8080->80/tcp",
            "80/",
            "/tcp",
            "65536/tcp",
            "a-b/tcp",
            "0.0.0.0:80->80/tcp,[::]:80->80/tcp,",
        ] {
            let said = published(odd, &filter(GUARD), &filter(GUARD));
            assert!(said.ends_with("class: unseen"), "{odd}: {said}");
        }
        assert_snapshot!(published("x:8080->80/tcp", "", ""), @r#"
        FAIL: published-ports: `docker ps --no-trunc --format "{{json .}}"` does not tell: the port `x:8080->80/tcp` of web is not understood
              next: run it by hand, and mend what it says
              class: unseen
        "#);
        let docker = |code, text: &str| looked(&Fake::new().user(0).answer("docker ps", code, text), NAME);
        assert_snapshot!(docker(1, ""), @r#"
        FAIL: published-ports: `docker ps --no-trunc --format "{{json .}}"` does not tell: exit 1
              next: run it by hand, and mend what it says
              class: unseen
        "#);
        assert!(docker(0, r#"{"Names":"web"}"#).starts_with("FAIL"));
        assert!(docker(0, "CONTAINER ID   IMAGE").starts_with("FAIL"));
        let with = |call: &'static str, answer: &'static str| {
            let script = move |cmd: &Cmd| {
                cmd.to_string().starts_with(call).then(|| Fake::new().answer(call, 0, answer).run(cmd))
            };
            let fake = Fake::new().script(script).user(0).answer("docker ps", 0, "").answer("tailscale", 1, "");
            let fake = fake.answer("ip -", 0, "[]").answer("nft", 0, r#"{"nftables":[]}"#);
            let fake = fake.answer("iptables-save", 0, filter(GUARD));
            looked(&fake.answer("ip6tables-save", 0, filter(GUARD)), NAME)
        };
        for (call, answer) in
            [("iptables-save", "*nat\n"), ("iptables-save", "odd"), ("ip -4", "default via"), ("ip -6", "{}")]
        {
            assert!(with(call, answer).starts_with("FAIL"), "{call}");
        }
    }

    #[test]
    fn without_docker_nothing_is_published() {
        let missing = |_: &Cmd| Some(Err(HostError::NotFound { program: "docker".into() }));
        assert_snapshot!(looked(&Fake::new().script(missing), NAME), @"
        PASS: published-ports: there is no Docker on this host
              class: ok
        ");
        assert_snapshot!(looked(&Fake::new().answer("docker ps", 0, ""), NAME), @"
        FAIL: published-ports: only root is told
              next: run it by sudo
              class: not-root
        ");
    }
}
