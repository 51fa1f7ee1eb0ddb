//! The filter of the kernel, as `iptables-save` and `nft` tell it.
//!
//! **Invariant:** what is not understood is an error, and never a rule that is not there.

use std::collections::BTreeMap;
use std::path::Path;

use host::{Cmd, Host};
use outcome::Failure;
use serde::Deserialize;
use serde_json::Value;

use crate::{told_if_there, unseen};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::V4 => "iptables-save",
            Self::V6 => "ip6tables-save",
        }
    }

    /// The host has it. That of the loopback interface alone may be turned off with it.
    ///
    /// # Errors
    /// Those of the host.
    pub(crate) fn is_there(self, host: &dyn Host) -> Result<bool, Failure> {
        Ok(match self {
            Self::V4 => true,
            Self::V6 => host.read(Path::new("/proc/net/if_inet6"))?.is_some_and(|addresses| !addresses.is_empty()),
        })
    }
}

/// The table `filter`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    policies: BTreeMap<String, String>,
    rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    chain: String,
    words: Vec<String>,
}

impl Rule {
    /// Where it leads to: `DROP`, `RETURN`, another chain.
    pub(crate) fn target(&self) -> Option<&str> {
        let at = self.words.iter().position(|word| word == "-j" || word == "-g")?;
        self.words.get(at + 1).map(String::as_str)
    }

    /// What it looks at, without a comment.
    pub(crate) fn matches(&self) -> Vec<&str> {
        let words: Vec<&str> =
            self.words.iter().map(String::as_str).take_while(|word| !["-j", "-g"].contains(word)).collect();
        match words.as_slice() {
            [rest @ .., "-m", "comment", "--comment", _] | ["-m", "comment", "--comment", _, rest @ ..] => {
                rest.to_vec()
            }
            _ => words,
        }
    }

    /// Whatever meets it goes no further.
    pub(crate) fn closes(&self) -> bool {
        matches!(self.target(), Some("DROP" | "REJECT"))
    }

    /// As `iptables` takes it.
    pub(crate) fn text(&self) -> String {
        self.words.join(" ")
    }
}

impl Table {
    /// Of the host; `None` where there is no program that tells.
    ///
    /// # Errors
    /// Not ready, class `unseen`, when it does not tell, or what is not understood.
    pub(crate) fn look(host: &dyn Host, family: Family) -> Result<Option<Self>, Failure> {
        let cmd = Cmd::new(family.program()).args(["-t", "filter"]);
        let Some(text) = told_if_there(host, &cmd)? else { return Ok(None) };
        Self::parse(&text).map(Some).map_err(|line| unseen(&cmd, &format!("`{line}` is not understood")))
    }

    /// # Errors
    /// The line that is none.
    fn parse(text: &str) -> Result<Self, &str> {
        let mut table = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(chain) = line.strip_prefix(':') {
                let (name, rest) = chain.split_once(' ').ok_or(line)?;
                let policy = rest.split_whitespace().next().ok_or(line)?;
                table.policies.insert(name.to_owned(), policy.to_owned());
            } else if let Some(rule) = line.strip_prefix("-A ") {
                let mut words = words(rule).ok_or(line)?.into_iter();
                let chain = words.next().ok_or(line)?;
                table.rules.push(Rule { chain, words: words.collect() });
            } else if line != "*filter" && line != "COMMIT" {
                return Err(line);
            }
        }
        Ok(table)
    }

    pub(crate) fn rules<'a>(&'a self, chain: &'a str) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(move |rule| rule.chain == chain)
    }

    /// What nobody let in is dropped, by the policy of the chain or by its last rule, and something is let in.
    pub(crate) fn keeps_out(&self) -> bool {
        let last_closes = self.rules("INPUT").last().is_some_and(|rule| rule.closes() && rule.matches().is_empty());
        let policy_closes = self.policies.get("INPUT").is_some_and(|policy| policy == "DROP");
        policy_closes && self.rules("INPUT").next().is_some() || last_closes
    }
}

/// Words as `iptables-save` quotes them; `None` where a quote does not end.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' if quoted => word.get_or_insert_default().push(chars.next()?),
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    (!quoted).then_some(words)
}

/// What `nft` tells; nothing where it is not there.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Ruleset {
    nftables: Vec<Value>,
}

impl Ruleset {
    /// Of the host.
    ///
    /// # Errors
    /// Not ready, class `unseen`, when it does not tell, or what is not understood.
    pub(crate) fn look(host: &dyn Host) -> Result<Self, Failure> {
        let cmd = Cmd::new("nft").args(["--json", "list", "ruleset"]);
        let Some(text) = told_if_there(host, &cmd)? else { return Ok(Self::default()) };
        serde_json::from_str(&text).map_err(|error| unseen(&cmd, &error.to_string()))
    }

    /// What nobody let in is dropped, and something is let in.
    pub(crate) fn keeps_out(&self, family: Family) -> bool {
        let chains = self.nftables.iter().filter_map(|entry| entry.get("chain"));
        chains.filter_map(|chain| kept_out_by(&self.nftables, chain)).flatten().any(|kept_out| *kept_out == family)
    }

    /// Docker has rules here itself, and not by `iptables`.
    pub(crate) fn is_of_docker(&self) -> bool {
        let mut tables = self.nftables.iter().filter_map(|entry| entry.get("table")?["name"].as_str());
        tables.any(|name| name.contains("docker"))
    }
}

fn kept_out_by(entries: &[Value], chain: &Value) -> Option<&'static [Family]> {
    let families: &[Family] = match chain["family"].as_str()? {
        "ip" => &[Family::V4],
        "ip6" => &[Family::V6],
        "inet" => &Family::BOTH,
        _ => return None,
    };
    if chain["hook"] != "input" || chain["type"] != "filter" {
        return None;
    }
    let of_it = |rule: &&Value| {
        rule["family"] == chain["family"] && rule["table"] == chain["table"] && rule["chain"] == chain["name"]
    };
    let last = entries.iter().filter_map(|entry| entry.get("rule")).rfind(of_it)?;
    let last_closes = last["expr"].as_array().is_some_and(|expr| {
        expr.iter().all(|part| ["drop", "reject", "counter"].iter().any(|word| part.get(word).is_some()))
            && expr.iter().any(|part| part.get("counter").is_none())
    });
    (chain["policy"] == "drop" || last_closes).then_some(families)
}

#[cfg(test)]
mod tests {
    use host::Fake;
    use insta::assert_snapshot;

    use super::*;

    fn keeps_out(rules: &str) -> bool {
        Table::parse(&format!("# Generated\n*filter\n{rules}\nCOMMIT\n# Completed")).unwrap().keeps_out()
    }

    #[test]
    fn a_filter_keeps_out_by_its_policy_or_its_last_rule() {
        assert!(keeps_out(":INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT"));
        assert!(keeps_out(":INPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j DROP"));
        assert!(keeps_out(
            ":INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment \"a \\\"b\\\"\" -j REJECT --reject-with x"
        ));
        for open in [
            "",
            ":INPUT ACCEPT [0:0]",
            ":INPUT DROP [0:0]",
            ":INPUT ACCEPT [0:0]\n-A INPUT -j DROP\n-A INPUT -j ACCEPT",
            ":INPUT ACCEPT [0:0]\n-A INPUT -i eth1 -j DROP",
            ":INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment x -p tcp -j DROP",
            ":FORWARD DROP [0:0]\n-A FORWARD -j DROP",
        ] {
            assert!(!keeps_out(open), "{open}");
        }
        assert!(!Table::parse("").unwrap().keeps_out());
    }

    #[test]
    fn v05_what_cannot_be_read_is_no_table() {
        for odd in
            ["nothing", ":INPUT", "-A", "-A INPUT -m comment --comment \"x -j DROP", "*nat", "[1:2] -A INPUT -j DROP"]
        {
            assert_eq!(Table::parse(odd), Err(odd), "{odd}");
        }
        let fake = Fake::new().answer("iptables-save", 0, "nothing").answer("ip6tables-save", 4, "");
        let look = |family| Table::look(&fake, family).unwrap_err().text();
        assert_snapshot!(look(Family::V4), @"
        unseen: `iptables-save -t filter` does not tell: `nothing` is not understood
        next: run it by hand, and mend what it says
        ");
        assert_snapshot!(look(Family::V6), @"
        unseen: `ip6tables-save -t filter` does not tell: exit 4
        next: run it by hand, and mend what it says
        ");
    }

    #[test]
    fn a_ruleset_of_nft_keeps_out_the_families_of_its_chain() {
        let told = |chain: &str, rule: &str| {
            let text = format!(
                r#"{{"nftables":[{{"metainfo":{{}}}},{{"chain":{{"table":"t","name":"c",{chain}}}}},{{"rule":{{{rule}}}}}]}}"#
            );
            let ruleset = Ruleset::look(&Fake::new().answer("nft --json", 0, text)).unwrap();
            Family::BOTH.into_iter().filter(|family| ruleset.keeps_out(*family)).collect::<Vec<_>>()
        };
        let input = r#""family":"inet","type":"filter","hook":"input","policy":"drop""#;
        let rule = r#""family":"inet","table":"t","chain":"c","expr":[{"match":{}},{"accept":null}]"#;
        assert_eq!(told(input, rule), Family::BOTH);
        assert_eq!(told(&input.replace("inet", "ip6"), &rule.replace("inet", "ip6")), [Family::V6]);
        assert_eq!(
            told(
                &input.replace("drop", "accept"),
                &rule.replace(r#"{"match":{}},{"accept":null}"#, r#"{"counter":{}},{"drop":null}"#)
            ),
            Family::BOTH
        );
        for (chain, rule) in [
            (&*input.replace("drop", "accept"), rule),
            (&input.replace("input", "forward"), rule),
            (&input.replace("filter", "nat"), rule),
            (&input.replace("inet", "bridge"), &rule.replace("inet", "bridge")),
            (input, &rule.replace("\"c\"", "\"other\"")),
            (input, &rule.replace("inet", "ip")),
            (&input.replace("drop", "accept"), &rule.replace("accept", "drop")),
            (&input.replace("drop", "accept"), &rule.replace(r#"{"match":{}},{"accept":null}"#, r#"{"counter":{}}"#)),
        ] {
            assert_eq!(told(chain, rule), [], "{chain} {rule}");
        }
        for odd in ["", "{}", "[]", r#"{"nftables":{}}"#, "table inet filter {}"] {
            assert!(Ruleset::look(&Fake::new().answer("nft --json", 0, odd)).is_err(), "{odd}");
        }
    }
}
