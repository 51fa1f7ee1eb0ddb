//! Ports that are handed on by the firewall: they are reached though no socket waits for anybody.
//!
//! Two forms are read: `iptables-save` (`ip6tables-save`), and `nft -j list ruleset`.
//!
//! **Invariant:** a condition that is not understood narrows nothing: the rule counts as if it was not there.
//! **Invariant:** a rule that hands on and is not understood is told as such.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::socket::Protocol;

/// What hands on in which table of iptables.
const TARGETS: [(&str, &[&str]); 2] = [("nat", &["DNAT", "REDIRECT", "NETMAP"]), ("mangle", &["TPROXY", "DNPT"])];
/// The same in the statements of nft.
const STATEMENTS: [&str; 4] = ["dnat", "redirect", "tproxy", "fwd"];
/// What of a packet says where it goes, as nft calls it; and what nft has no name for: it may be that.
const DESTINATION: [&str; 2] = ["daddr", "dport"];
const RAW: [&str; 3] = ["nh", "th", "ih"];
/// Where packets from outside come by first.
const HOOKS: [&str; 2] = ["prerouting", "ingress"];

/// What comes in there is handed on.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Forward {
    /// What is spoken; none is all.
    pub protocol: Option<Protocol>,
    /// To which addresses of the machine; none is all.
    pub address: Option<IpNet>,
    /// Through which interface; none is all.
    pub interface: Option<String>,
    /// Which ports: the first and the last of each range; none is all.
    pub ports: Vec<(u16, u16)>,
    /// To where, as the rule has it.
    pub to: String,
}

/// A rule of the firewall that hands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// What it does.
    Forward(Forward),
    /// It was not understood.
    Unread(String),
}

/// What `iptables-save` tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// The chains that it tells: of each its table and its name.
    pub chains: BTreeSet<(String, String)>,
    /// Those rules that hand on.
    pub rules: Vec<Rule>,
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.protocol.map_or("any", Protocol::as_str))?;
        match self.address {
            Some(net) if net.prefix_len() == net.max_prefix_len() => write!(f, " {}", net.addr())?,
            Some(net) => write!(f, " {net}")?,
            None => f.write_str(" *")?,
        }
        if let Some(interface) = &self.interface {
            write!(f, "%{interface}")?;
        }
        let range = |(first, last): &(u16, u16)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        };
        let ports: Vec<String> = self.ports.iter().map(range).collect();
        let ports = if ports.is_empty() { "*".to_owned() } else { ports.join(",") };
        write!(f, ":{ports} is handed on to {}", self.to)
    }
}

/// What a text of `iptables-save` says.
#[must_use]
pub fn iptables(text: &str) -> Saved {
    let (mut table, mut saved) = (String::new(), Saved::default());
    let mut found = Vec::new();
    let mut jumps = BTreeMap::<(String, String), Vec<(String, String)>>::new();
    for words in lines(text) {
        if let Some(name) = words.first().and_then(|word| word.strip_prefix('*')) {
            name.clone_into(&mut table);
        }
        if let Some(name) = words.first().and_then(|word| word.strip_prefix(':')) {
            saved.chains.insert((table.clone(), name.to_owned()));
        }
        let [append, chain, rule @ ..] = &words[..] else { continue };
        if append != "-A" {
            continue;
        }
        let chain = (table.clone(), chain.clone());
        jumps.entry(chain.clone()).or_default().extend(targets(rule).map(|to| (table.clone(), to.to_owned())));
        if targets(rule).any(|to| TARGETS.iter().any(|(of, targets)| *of == table && targets.contains(&to))) {
            found.push((chain, rule.to_vec()));
        }
    }
    let first = TARGETS.map(|(table, _)| (table.to_owned(), "PREROUTING".to_owned()));
    let from_outside = reached(&jumps, first.into());
    found.retain(|(chain, _)| from_outside.contains(chain));
    let read = |rule: Vec<String>| forward(&rule).map_or_else(|| Rule::Unread(rule.join(" ")), Rule::Forward);
    saved.rules = found.into_iter().map(|(_, rule)| read(rule)).collect();
    saved
}

/// The words of each line. Within quotes, where a comment stands, neither a blank nor the end of a line ends anything.
fn lines(text: &str) -> Vec<Vec<String>> {
    let (mut lines, mut words, mut word) = (Vec::new(), Vec::new(), None::<String>);
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars().chain(['\n']) {
        match c {
            _ if escaped => {
                word.get_or_insert_default().push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            _ if quoted => word.get_or_insert_default().push(c),
            _ if c.is_whitespace() => {
                words.extend(word.take());
                if c == '\n' && !words.is_empty() {
                    lines.push(std::mem::take(&mut words));
                }
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    lines
}

/// Everything that is come to from `next`.
fn reached<T: Ord + Clone>(jumps: &BTreeMap<T, Vec<T>>, mut next: Vec<T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    while let Some(chain) = next.pop() {
        if seen.insert(chain.clone()) {
            next.extend(jumps.get(&chain).into_iter().flatten().cloned());
        }
    }
    seen
}

/// Where a rule leads to, and what else stands as if it did: a comment may.
fn targets(rule: &[String]) -> impl Iterator<Item = &str> {
    let leads = |word: &str| ["-j", "-g", "--jump", "--goto"].contains(&word);
    rule.windows(2).filter(move |pair| leads(&pair[0])).map(|pair| pair[1].as_str())
}

fn forward(rule: &[String]) -> Option<Forward> {
    let mut forward = Forward::default();
    let mut words = rule.iter().map(String::as_str);
    let (mut negated, mut to_port) = (false, None);
    while let Some(word) = words.next() {
        let was_negated = std::mem::replace(&mut negated, word == "!");
        match word {
            // All protocols but one, and one that has no ports, are more than can be told.
            "-p" | "--protocol" => forward.protocol = named(words.next()?).filter(|_| !was_negated),
            "-d" | "--destination" if !was_negated => forward.address = Some(network(words.next()?)?),
            "-i" | "--in-interface" if !was_negated => {
                // `eth+` is every interface that begins so.
                forward.interface = Some(words.next()?.to_owned()).filter(|name| !name.ends_with('+'));
            }
            "--dport" | "--dports" | "--destination-port" | "--destination-ports" if !was_negated => {
                forward.ports = words.next()?.split(',').map(ports).collect::<Option<_>>()?;
            }
            "--to-destination" | "--to" | "--on-ip" | "--dst-pfx" => words.next()?.clone_into(&mut forward.to),
            "--to-ports" | "--on-port" => to_port = words.next(),
            // It says nothing, whatever it looks like.
            "--comment" => drop(words.next()),
            _ => {}
        }
    }
    forward.to = place(&forward.to, to_port);
    Some(forward)
}

fn place(address: &str, port: Option<&str>) -> String {
    let address = if address.is_empty() { "this machine" } else { address };
    port.map_or_else(|| address.to_owned(), |port| format!("{address}:{port}"))
}

fn named(protocol: &str) -> Option<Protocol> {
    match protocol {
        "tcp" | "6" => Some(Protocol::Tcp),
        "udp" | "17" => Some(Protocol::Udp),
        "udplite" | "136" => Some(Protocol::UdpLite),
        "sctp" | "132" => Some(Protocol::Sctp),
        _ => None,
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// `80`, `80:90`, `80-90`, `80:`.
fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once([':', '-']).unwrap_or((text, text));
    let first = if first.is_empty() && !last.is_empty() { 0 } else { first.parse().ok()? };
    let last = if last.is_empty() { u16::MAX } else { last.parse().ok()? };
    (first <= last).then_some((first, last))
}

/// A chain of nft: its family, its table and its name.
pub type Chain = [String; 3];

/// The rules of `nft -j list ruleset`; none where it is no such text. Of chains that `is_told` another program has told is
/// left out what iptables wrote: nft does not always understand that. What nft wrote into such a chain iptables does not
/// always tell.
#[must_use]
pub fn nft(text: &str, is_told: impl Fn(&Chain) -> bool) -> Option<Vec<Rule>> {
    let ruleset: Value = serde_json::from_str(text).ok()?;
    let all = ruleset.get("nftables")?.as_array()?;
    let of = |kind: &'static str| all.iter().filter_map(move |it| it.get(kind));
    let is_hooked = |chain: &&Value| HOOKS.contains(&word(chain, "hook"));
    let mut first: Vec<Chain> = of("chain").filter(is_hooked).map(|chain| place_of(chain, "name")).collect();
    // A rule can lead to what a map of its table has by the map's name: all of that counts as come to.
    first.extend(of("map").flat_map(|map| led_to(map, std::slice::from_ref(map))));
    let mut jumps = BTreeMap::<Chain, Vec<Chain>>::new();
    let mut found = Vec::new();
    for rule in of("rule") {
        let expressions = rule.get("expr")?.as_array()?;
        let chain = place_of(rule, "chain");
        jumps.entry(chain.clone()).or_default().extend(led_to(rule, expressions));
        found.extend(nft_rule(expressions, &chain).map(|rule| (chain, rule)));
    }
    let from_outside = reached(&jumps, first);
    found.retain(|(chain, _)| from_outside.contains(chain));
    found.retain(|(chain, rule)| matches!(rule, Rule::Forward(_)) || !is_told(chain));
    Some(found.into_iter().map(|(_, rule)| rule).collect())
}

fn word<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn place_of(of: &Value, chain: &str) -> Chain {
    ["family", "table", chain].map(|name| word(of, name).to_owned())
}

/// The chains of the same table that these expressions lead to, also by a map.
fn led_to(of: &Value, expressions: &[Value]) -> Vec<Chain> {
    let mut found = Vec::new();
    let mut next: Vec<&Value> = expressions.iter().collect();
    while let Some(value) = next.pop() {
        match value {
            Value::Array(values) => next.extend(values),
            Value::Object(values) => {
                let jumps = ["jump", "goto"].iter().filter_map(|name| values.get(*name)?.get("target")?.as_str());
                found.extend(jumps.map(|name| [word(of, "family").into(), word(of, "table").into(), name.to_owned()]));
                next.extend(values.values());
            }
            _ => {}
        }
    }
    found
}

fn nft_rule(expressions: &[Value], chain: &Chain) -> Option<Rule> {
    let act = expressions.iter().find_map(|it| STATEMENTS.iter().find_map(|statement| it.get(statement)));
    let Some(to) = act.map(nft_to).or_else(|| rewritten(expressions)) else {
        let unread = || Rule::Unread(format!("{} {} {}: a rule of iptables", chain[0], chain[1], chain[2]));
        return expressions.iter().any(is_of_iptables).then(unread);
    };
    let mut forward = Forward { to, ..Forward::default() };
    for condition in expressions.iter().filter_map(|it| it.get("match")) {
        narrow(&mut forward, condition);
    }
    Some(Rule::Forward(forward))
}

/// What nft shows of a rule that only iptables understands and that may hand on. Older ones say no more than that it is
/// there.
fn is_of_iptables(expression: &Value) -> bool {
    let hands_on = |name: &str| TARGETS.iter().any(|(_, targets)| targets.contains(&name));
    expression.get("xt").is_some_and(|xt| match word(xt, "type") {
        "match" | "watcher" => false,
        "target" => hands_on(word(xt, "name")),
        _ => true,
    })
}

/// To where a rule hands on that writes into the packets themselves: NAT without a state.
fn rewritten(expressions: &[Value]) -> Option<String> {
    let (mut address, mut port, mut hands_on) = (String::new(), None, false);
    for mangle in expressions.iter().filter_map(|it| it.get("mangle")) {
        let Some(payload) = mangle.get("key").and_then(|key| key.get("payload")) else { continue };
        let (field, value) = (word(payload, "field"), mangle.get("value").map(shown).unwrap_or_default());
        hands_on |= DESTINATION.contains(&field) || RAW.contains(&word(payload, "base"));
        match field {
            "daddr" => address = value,
            "dport" => port = Some(value),
            _ => {}
        }
    }
    hands_on.then(|| place(&address, port.as_deref()))
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn nft_to(act: &Value) -> String {
    let text = |name: &str| act.get(name).map(shown);
    let address = text("addr").or_else(|| text("dev")).unwrap_or_default();
    place(&address, text("port").as_deref())
}

/// Takes a condition that is understood.
fn narrow(forward: &mut Forward, condition: &Value) {
    if word(condition, "op") != "==" {
        return;
    }
    let (Some(left), Some(right)) = (condition.get("left"), condition.get("right")) else { return };
    if let Some(meta) = left.get("meta") {
        match word(meta, "key") {
            "iifname" | "iif" => {
                let is_name = |name: &&str| !name.ends_with('*') && !name.starts_with('@');
                forward.interface = right.as_str().filter(is_name).map(str::to_owned);
            }
            "l4proto" => forward.protocol = right.as_str().and_then(named),
            _ => {}
        }
    } else if let Some(payload) = left.get("payload") {
        match (word(payload, "protocol"), word(payload, "field")) {
            ("ip" | "ip6", "daddr") => forward.address = nft_network(right),
            (protocol, "dport") => {
                forward.protocol = named(protocol).or(forward.protocol);
                forward.ports = nft_ports(right).unwrap_or_default();
            }
            _ => {}
        }
    }
}

fn nft_network(right: &Value) -> Option<IpNet> {
    if let Some(text) = right.as_str() {
        return network(text);
    }
    let prefix = right.get("prefix")?;
    network(&format!("{}/{}", prefix.get("addr")?.as_str()?, prefix.get("len")?))
}

fn nft_ports(right: &Value) -> Option<Vec<(u16, u16)>> {
    let port = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
    if let Some(set) = right.get("set").and_then(Value::as_array) {
        return set.iter().map(nft_ports).collect::<Option<Vec<_>>>().map(|all| all.concat());
    }
    if let Some([first, last]) = right.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        return Some(vec![(port(first)?, port(last)?)]);
    }
    port(right).map(|port| vec![(port, port)])
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn told(rules: Vec<Rule>) -> String {
        let line = |rule| match rule {
            Rule::Forward(forward) => forward.to_string(),
            Rule::Unread(rule) => format!("unread: {rule}"),
        };
        rules.into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_docker_and_people_write_is_read() {
        let text = "\
*filter
-A INPUT -p tcp --dport 22 -j DNAT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A PREROUTING -i eth0 -p tcp -m multiport --dports 80,8000:8010 -j DNAT --to-destination 10.0.0.5
-A PREROUTING -d 203.0.113.1/32 ! -i eth0 -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353
-A PREROUTING ! -p tcp -j DNAT --to-destination 10.0.0.6
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT -p tcp --dport 1 -j REDIRECT
-A OTHER -p tcp --dport 2 -j REDIRECT
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 9090 -j DNAT --to-destination 172.17.0.3:90
-A PREROUTING -p tcp --dport http -j REDIRECT
COMMIT
";
        assert_snapshot!(told(iptables(text).rules), @"
        tcp *%eth0:80,8000-8010 is handed on to 10.0.0.5
        udp 203.0.113.1:53 is handed on to this machine:5353
        any *:* is handed on to 10.0.0.6
        tcp *:8080 is handed on to 172.17.0.2:80
        tcp 127.0.0.1:9090 is handed on to 172.17.0.3:90
        unread: -p tcp --dport http -j REDIRECT
        ");
        assert_eq!(iptables(""), Saved::default());
    }

    #[test]
    fn what_nft_has_is_read() {
        let text = r#"{"nftables": [{"metainfo": {"json_schema_version": 1}},
            {"chain": {"family": "ip", "table": "nat", "name": "pre", "handle": 1, "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}},
            {"chain": {"family": "ip", "table": "nat", "name": "web", "handle": 2}},
            {"chain": {"family": "ip", "table": "nat", "name": "out", "type": "nat", "hook": "output", "prio": -100}},
            {"rule": {"family": "ip", "table": "nat", "chain": "pre", "expr": [
                {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}}, {"jump": {"target": "web"}}]}},
            {"rule": {"family": "ip", "table": "nat", "chain": "web", "expr": [
                {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": {"set": [80, {"range": [8000, 8010]}]}}},
                {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": {"prefix": {"addr": "203.0.113.0", "len": 24}}}},
                {"dnat": {"addr": "10.0.0.5", "port": 80}}]}},
            {"rule": {"family": "ip", "table": "nat", "chain": "pre", "expr": [
                {"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "lo"}},
                {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 53}}, {"redirect": {"port": 5353}}]}},
            {"rule": {"family": "ip", "table": "nat", "chain": "out", "expr": [{"redirect": {"port": 1}}]}},
            {"rule": {"family": "ip", "table": "nat", "chain": "pre", "expr": [{"redirect": null}]}}
        ]}"#;
        assert_snapshot!(told(nft(text, |_| false).unwrap()), @"
        tcp 203.0.113.0/24:80,8000-8010 is handed on to 10.0.0.5:80
        udp *:53 is handed on to this machine:5353
        any *:* is handed on to this machine
        ");
        assert_eq!(nft("table ip nat {", |_| false), None);
        assert_eq!(nft("{}", |_| false), None);
        assert_eq!(nft(r#"{"nftables": []}"#, |_| false), Some(vec![]));
    }

    #[test]
    fn chains_that_lead_to_one_another_are_gone_through_once() {
        let text = "*nat\n-A PREROUTING -j A\n-A A -j B\n-A B -j A\n-A B -p tcp --dport 1 -j REDIRECT\n";
        assert_snapshot!(told(iptables(text).rules), @"tcp *:1 is handed on to this machine");
    }

    #[test]
    fn v04_no_comment_hides_a_rule_or_narrows_it() {
        let text = "\
*nat
-A PREROUTING -m comment --comment \"-d 127.0.0.1/32 -i lo\" -p tcp --dport 1 -j REDIRECT
-A PREROUTING -m comment --comment -j -p tcp --dport 2 -j DNAT --to-destination 10.0.0.1
-A PREROUTING -m comment --comment \"a \\\" b
*filter
COMMIT\" -p tcp --dport 3 -j REDIRECT --to-ports 30
-A PREROUTING -m comment --comment \"# x\" -p tcp --dport 4 -j REDIRECT
COMMIT
*mangle
-A PREROUTING -p tcp --dport 5 -j TPROXY --on-port 50 --on-ip 127.0.0.1 --tproxy-mark 0x1/0x1
-A PREROUTING -p tcp --dport 6 -j DNAT
-A PREROUTING -d 2001:db8::/64 -j DNPT --src-pfx 2001:db8::/64 --dst-pfx fd00:1::/64
";
        assert_snapshot!(told(iptables(text).rules), @"
        tcp *:1 is handed on to this machine
        tcp *:2 is handed on to 10.0.0.1
        tcp *:3 is handed on to this machine:30
        tcp *:4 is handed on to this machine
        tcp *:5 is handed on to 127.0.0.1:50
        any 2001:db8::/64:* is handed on to fd00:1::/64
        ");
        assert_eq!(iptables(text).chains, BTreeSet::new(), "none was named");
    }

    #[test]
    fn each_form_of_ports_is_read_and_others_are_not() {
        assert_eq!(ports("80"), Some((80, 80)));
        assert_eq!(ports("80:90"), Some((80, 90)));
        assert_eq!(ports("80:"), Some((80, 65535)));
        assert_eq!(ports(":80"), Some((0, 80)));
        for none in ["", ":", "http", "90:80", "65536", "1:2:3"] {
            assert_eq!(ports(none), None, "{none}");
        }
    }

    #[test]
    fn v04_maps_marks_and_what_only_iptables_understands_hide_nothing_in_nft() {
        let chain = r#"{"chain": {"family": "inet", "table": "t", "name": "pre", "hook": "prerouting"}}"#;
        let rule = |chain: &str, expr: &str| {
            format!(r#"{{"rule": {{"family": "inet", "table": "t", "chain": "{chain}", "expr": [{expr}]}}}}"#)
        };
        let told = |rest: &[String]| {
            told(nft(&format!(r#"{{"nftables": [{chain}, {}]}}"#, rest.join(", ")), |_| false).unwrap())
        };
        let by_map = r#"{"vmap": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": "@ports"}}"#;
        let map = r#"{"map": {"family": "inet", "table": "t", "name": "ports", "elem": [[80, {"jump": {"target": "web"}}]]}}"#;
        assert_snapshot!(told(&[map.into(), rule("pre", by_map), rule("web", r#"{"dnat": {"addr": "10.0.0.5"}}"#)]), @"any *:* is handed on to 10.0.0.5");
        let inline = r#"{"vmap": {"key": {}, "data": {"set": [[80, {"goto": {"target": "web"}}]]}}}"#;
        assert_snapshot!(told(&[rule("pre", inline), rule("web", r#"{"tproxy": {"addr": "127.0.0.1", "port": 50}}"#)]), @"any *:* is handed on to 127.0.0.1:50");
        let proto = r#"{"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "tcp"}}"#;
        let port = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "th", "field": "dport"}}, "right": 80}}"#;
        assert_snapshot!(told(&[rule("pre", &format!(r#"{proto}, {port}, {{"fwd": {{"dev": "eth1"}}}}"#))]), @"tcp *:80 is handed on to eth1");
        let names =
            r#"{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": {"set": ["lo", "eth0"]}}}"#;
        let set =
            r#"{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "@mine"}}"#;
        assert_snapshot!(told(&[rule("pre", &format!(r#"{names}, {set}, {{"redirect": null}}"#))]), @"any *:* is handed on to this machine");
        for (xt, is_told) in [
            (r#"{"xt": null}"#, true),
            (r#"{"xt": {"type": "target", "name": "DNAT"}}"#, true),
            (r#"{"xt": {"type": "target", "name": "DNPT"}}"#, true),
            (r#"{"xt": {"type": "target", "name": "LOG"}}"#, false),
            (r#"{"xt": {"type": "match", "name": "addrtype"}}"#, false),
        ] {
            let unread = if is_told { "unread: inet t pre: a rule of iptables" } else { "" };
            assert_eq!(told(&[rule("pre", xt)]), unread, "{xt}");
        }
    }

    #[test]
    fn v04_what_writes_into_the_packets_where_they_go_hands_on_too() {
        let told = |expr: &str| {
            let text = format!(
                r#"{{"nftables": [{{"chain": {{"family": "ip", "table": "t", "name": "pre", "hook": "prerouting"}}}},
                {{"rule": {{"family": "ip", "table": "t", "chain": "pre", "expr": [{expr}]}}}}]}}"#
            );
            told(nft(&text, |_| false).unwrap())
        };
        let mangle = |key: &str, value: &str| format!(r#"{{"mangle": {{"key": {{{key}}}, "value": {value}}}}}"#);
        let field = |of: &str, field: &str, value: &str| {
            mangle(&format!(r#""payload": {{"protocol": "{of}", "field": "{field}"}}"#), value)
        };
        let port =
            r#"{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 8081}}"#;
        let (address, to) = (field("ip", "daddr", r#""172.17.0.2""#), field("tcp", "dport", "80"));
        assert_snapshot!(told(&format!(r#"{port}, {address}, {to}, {{"notrack": null}}"#)), @"tcp *:8081 is handed on to 172.17.0.2:80");
        assert_snapshot!(told(&to), @"any *:* is handed on to this machine:80");
        assert_snapshot!(told(&mangle(r#""payload": {"base": "nh", "offset": 120, "len": 40}"#, "1")), @"any *:* is handed on to this machine");
        for other in [
            field("ip", "saddr", r#""192.0.2.1""#),
            field("ip", "dscp", "1"),
            mangle(r#""meta": {"key": "mark"}"#, "1"),
            mangle(r#""tcp option": {"name": "maxseg", "field": "size"}"#, "1000"),
        ] {
            assert_eq!(told(&other), "", "{other}");
        }
    }

    #[test]
    fn v04_what_iptables_wrote_is_left_out_of_a_chain_that_it_told_and_of_no_other() {
        let chain = |name: &str| {
            format!(
                r#"{{"chain": {{"family": "ip", "table": "nat", "name": "{name}", "hook": "prerouting"}}}},
                {{"rule": {{"family": "ip", "table": "nat", "chain": "{name}", "expr": [{{"xt": null}}]}}}},
                {{"rule": {{"family": "ip", "table": "nat", "chain": "{name}", "expr": [{{"xt": null}}, {{"dnat": {{}}}}]}}}}"#
            )
        };
        let text = format!(r#"{{"nftables": [{}, {}]}}"#, chain("PREROUTING"), chain("prerouting"));
        let left = |family: &str, name: &str| nft(&text, |chain| *chain == [family, "nat", name]).unwrap().len();
        assert_eq!([left("ip", "PREROUTING"), left("ip", "other"), left("ip6", "PREROUTING")], [3, 4, 4]);
    }

    proptest::proptest! {
        #[test]
        fn a_rule_that_hands_on_is_told_whatever_else_it_says(before in "[ -~]{0,40}", ports in "[0-9:,]{0,9}") {
            let before: String = before.chars().filter(|c| !"\"\\'*".contains(*c)).collect();
            let text = format!("*nat\n-A PREROUTING {before} --dport {ports} -j DNAT --to-destination 10.0.0.1\n");
            assert_eq!(iptables(&text).rules.len(), 1, "{text}");
        }

        #[test]
        fn no_text_breaks_it(text in "[ -~\n]{0,200}") {
            let _ = (iptables(&text), nft(&text, |_| false));
        }
    }
}
