//! What the firewall hands on, as its own programs tell it: where the kernel has rules of that kind.

use std::collections::BTreeSet;
use std::time::Duration;

use host::{Cmd, Host, HostError};
use port_audit::Gap;
use port_audit::nat::{self, Rule, Saved};

use super::chains::{self, Chain, Table};

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest text that is read, in bytes.
const MOST: usize = 64 << 20;
/// Where the programs of root are, which not everybody's PATH names.
const SBIN: &str = "/usr/local/sbin:/usr/sbin:/sbin";
/// Families that have tables of iptables, and the program for each.
const FAMILIES: [(&str, &str); 2] = [("ip", "iptables"), ("ip6", "ip6tables")];
/// The tables of iptables that packets from outside come by.
const TABLES: [&str; 3] = ["nat", "mangle", "raw"];

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) rules: Vec<Rule>,
    pub(crate) gaps: Vec<Gap>,
}

/// The rules of the calling thread's network namespace that hand on.
pub(crate) fn look(host: &dyn Host) -> Found {
    Kernel::look().rules(host)
}

/// Chains and tables with rules that may hand on, in the calling thread's network namespace.
#[derive(Debug, Default)]
struct Kernel {
    /// The chains of `nf_tables`.
    new: BTreeSet<Chain>,
    /// The tables of the older kind.
    old: BTreeSet<Table>,
    /// Which of them the kernel does not tell.
    gaps: Vec<Gap>,
}

impl Kernel {
    fn look() -> Self {
        let mut kernel = Self::default();
        match chains::chains() {
            Ok(chains) => kernel.new = chains,
            Err(error) => kernel.gaps.push(gap("the firewall's chains", error.to_string())),
        }
        for (family, program) in FAMILIES {
            match chains::old_tables(family) {
                Ok(tables) => kernel.old.extend(tables.into_iter().map(|table| (family.to_owned(), table))),
                Err(error) => kernel.gaps.push(gap(&format!("the tables of {program}"), error.to_string())),
            }
        }
        kernel
    }

    /// What the programs tell of these tables.
    fn rules(&self, host: &dyn Host) -> Found {
        let mut found = Found { gaps: self.gaps.clone(), ..Found::default() };
        found.ask(host, self);
        found
    }
}

fn gap(what: &str, why: String) -> Gap {
    Gap { what: what.to_owned(), why }
}

impl Found {
    fn gap(&mut self, what: &str, why: String) {
        self.gaps.push(gap(what, why));
    }

    fn ask(&mut self, host: &dyn Host, kernel: &Kernel) {
        let (mut old, mut new) = (BTreeSet::new(), BTreeSet::new());
        for (family, program) in FAMILIES {
            if kernel.old.iter().any(|(of, _)| of == family) {
                old.extend(self.saved(host, (family, program), "legacy", kernel).into_iter().map(|(table, _)| table));
            }
            if kernel.new.iter().any(|((of, table), _)| of == family && TABLES.contains(&table.as_str())) {
                new.extend(self.saved(host, (family, program), "nft", kernel));
            }
        }
        let untold: Vec<&Table> = kernel.old.difference(&old).collect();
        if !untold.is_empty() {
            let tables: Vec<String> = untold.iter().map(|(family, name)| format!("{family} {name}")).collect();
            self.gap("the firewall", format!("no iptables-legacy-save tells the tables {}", tables.join(", ")));
        }
        self.nft(host, &kernel.new, &new);
    }

    /// Asks `nft` of all chains: a table of iptables can have chains of others, and its chains rules of others that iptables
    /// passes over. It may be missing where another program has told every chain.
    fn nft(&mut self, host: &dyn Host, chains: &BTreeSet<Chain>, told: &BTreeSet<Chain>) {
        if chains.is_empty() {
            return;
        }
        let untold: Vec<&Chain> = chains.difference(told).collect();
        let is_told =
            |[family, table, name]: &[String; 3]| told.contains(&((family.clone(), table.clone()), name.clone()));
        match said(host, "nft", &["-j", "list", "ruleset"]) {
            Ok(Some(text)) => match nat::nft(&text, is_told) {
                Some(rules) => self.rules.extend(rules),
                None => self.gap("nft", "its answer is not understood".into()),
            },
            Ok(None) if untold.is_empty() => {}
            Ok(None) => {
                let chains = untold.iter().map(|((family, table), name)| format!("{family} {table} {name}"));
                let chains = chains.collect::<Vec<_>>().join(", ");
                self.gap("the firewall", format!("there is no nft to tell the chains {chains}"));
            }
            Err(why) => self.gap("nft", why),
        }
    }

    /// The chains that iptables tells of one kind. The program that is called for no kind tells one of both, and nobody
    /// knows which: then it told no chain of a table that is there in both.
    fn saved(&mut self, host: &dyn Host, of: (&str, &str), kind: &str, kernel: &Kernel) -> BTreeSet<Chain> {
        let (family, program) = of;
        let is_in_both = |table: &Table| kernel.old.contains(table) && kernel.new.iter().any(|(of, _)| of == table);
        for (program, is_plain) in [(format!("{program}-{kind}-save"), false), (format!("{program}-save"), true)] {
            match said(host, &program, &[]) {
                Ok(Some(text)) => {
                    let Saved { chains, rules } = nat::iptables(&text);
                    self.rules.extend(rules);
                    let chains = chains.into_iter().map(|(table, name)| ((family.to_owned(), table), name));
                    return chains.filter(|(table, _)| !(is_plain && is_in_both(table))).collect();
                }
                Ok(None) => {}
                Err(why) => {
                    self.gap(&program, why);
                    break;
                }
            }
        }
        BTreeSet::new()
    }
}

/// What a program says; nothing where there is none.
fn said(host: &dyn Host, program: &str, args: &[&str]) -> Result<Option<String>, String> {
    let path = host.env("PATH").unwrap_or_default();
    let path = format!("{}:{SBIN}", path.to_string_lossy());
    let cmd = Cmd::new(program).args(args.iter().copied()).env("PATH", path).timeout(PATIENCE).output_cap(MOST);
    match host.run(&cmd) {
        Ok(output) if output.success() && !output.cut => Ok(Some(output.stdout_text())),
        Ok(output) if output.cut => Err("its answer is too long".into()),
        Ok(output) => Err(format!("{}: {}", output.status, output.stderr_text())),
        Err(HostError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use host::Fake;
    use insta::assert_snapshot;

    use super::*;

    const NAT: &str =
        "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.0.0.1\nCOMMIT";
    const OF_IPTABLES: (&str, &str, &str) = ("ip", "nat", "PREROUTING");
    const MINE: (&str, &str, &str) = ("inet", "mine", "pre");
    const RULESET: &str = r#"{"nftables": [
        {"chain": {"family": "ip", "table": "nat", "name": "PREROUTING", "hook": "prerouting"}},
        {"rule": {"family": "ip", "table": "nat", "chain": "PREROUTING", "expr": [{"xt": null}]}},
        {"chain": {"family": "ip", "table": "nat", "name": "prerouting", "hook": "prerouting"}},
        {"rule": {"family": "ip", "table": "nat", "chain": "prerouting", "expr": [{"dnat": {"addr": "172.17.0.2"}}]}},
        {"chain": {"family": "inet", "table": "mine", "name": "pre", "hook": "prerouting"}},
        {"rule": {"family": "inet", "table": "mine", "chain": "pre", "expr": [{"redirect": {"port": 8080}}]}}]}"#;

    /// A machine that has these programs, by what each says, and no other.
    fn with(programs: &[(&str, i32, &str)]) -> Fake {
        let host = programs.iter().fold(Fake::new(), |host, (call, code, text)| host.answer(call, *code, *text));
        host.script(|cmd| Some(Err(HostError::NotFound { program: cmd.program().to_string_lossy().into_owned() })))
    }

    fn told(kernel: &Kernel, programs: &[(&str, i32, &str)]) -> String {
        let found = kernel.rules(&with(programs));
        let rules = found.rules.into_iter().map(|rule| match rule {
            Rule::Forward(forward) => forward.to_string(),
            Rule::Unread(rule) => format!("unread: {rule}"),
        });
        let gaps = found.gaps.into_iter().map(|gap| format!("gap: {}: {}", gap.what, gap.why));
        rules.chain(gaps).collect::<Vec<_>>().join("\n")
    }

    fn tables(tables: &[(&str, &str)]) -> BTreeSet<Table> {
        tables.iter().map(|(family, name)| ((*family).to_owned(), (*name).to_owned())).collect()
    }

    fn chains(chains: &[(&str, &str, &str)]) -> BTreeSet<Chain> {
        let chain = |(family, table, name): &(&str, &str, &str)| {
            (((*family).to_owned(), (*table).to_owned()), (*name).to_owned())
        };
        chains.iter().map(chain).collect()
    }

    fn new(new: &[(&str, &str, &str)], programs: &[(&str, i32, &str)]) -> String {
        told(&Kernel { new: chains(new), ..Kernel::default() }, programs)
    }

    fn old(old: &[(&str, &str)], programs: &[(&str, i32, &str)]) -> String {
        told(&Kernel { old: tables(old), ..Kernel::default() }, programs)
    }

    #[test]
    fn v04_rules_that_no_program_tells_are_a_gap() {
        assert_snapshot!(new(&[OF_IPTABLES, MINE], &[]), @"gap: the firewall: there is no nft to tell the chains inet mine pre, ip nat PREROUTING");
        assert_snapshot!(new(&[OF_IPTABLES, MINE], &[("iptables-save", 0, NAT)]), @"
        tcp *:80 is handed on to 10.0.0.1
        gap: the firewall: there is no nft to tell the chains inet mine pre
        ");
        assert_snapshot!(new(&[OF_IPTABLES], &[("iptables-save", 1, NAT), ("nft", 1, "")]), @"
        gap: iptables-save: exit 1: 
        gap: nft: exit 1:
        ");
        assert_snapshot!(new(&[OF_IPTABLES], &[("nft", 0, "table ip nat {")]), @"gap: nft: its answer is not understood");
        assert_snapshot!(old(&[("ip", "nat"), ("ip", "mangle")], &[]), @"gap: the firewall: no iptables-legacy-save tells the tables ip mangle, ip nat");
        assert_snapshot!(old(&[("ip", "nat"), ("ip", "mangle")], &[("iptables-save", 0, NAT)]), @"
        tcp *:80 is handed on to 10.0.0.1
        gap: the firewall: no iptables-legacy-save tells the tables ip mangle
        ");
    }

    #[test]
    fn each_table_is_told_by_the_program_that_knows_it_best() {
        let both = [("iptables-nft-save", 0, NAT), ("nft -j list ruleset", 0, RULESET)];
        assert_snapshot!(new(&[OF_IPTABLES, MINE], &both), @"
        tcp *:80 is handed on to 10.0.0.1
        any *:* is handed on to 172.17.0.2
        any *:* is handed on to this machine:8080
        ");
        assert_snapshot!(new(&[OF_IPTABLES], &both), @"
        tcp *:80 is handed on to 10.0.0.1
        any *:* is handed on to 172.17.0.2
        any *:* is handed on to this machine:8080
        ");
        assert_snapshot!(new(&[OF_IPTABLES, MINE], &both[1..]), @"
        unread: ip nat PREROUTING: a rule of iptables
        any *:* is handed on to 172.17.0.2
        any *:* is handed on to this machine:8080
        ");
        let mixed = format!("# Table `nat' contains incompatible base-chains, use 'nft' tool to list them.\n{NAT}");
        let mixed = [("iptables-nft-save", 0, &*mixed), both[1]];
        assert_snapshot!(new(&[OF_IPTABLES, ("ip", "nat", "prerouting")], &mixed), @"
        tcp *:80 is handed on to 10.0.0.1
        any *:* is handed on to 172.17.0.2
        any *:* is handed on to this machine:8080
        ");
        let incompatible = "# Table `nat' is incompatible, use 'nft' tool.";
        assert_snapshot!(new(&[OF_IPTABLES], &[("iptables-nft-save", 0, incompatible), both[1]]), @"
        unread: ip nat PREROUTING: a rule of iptables
        any *:* is handed on to 172.17.0.2
        any *:* is handed on to this machine:8080
        ");
        assert_snapshot!(old(&[("ip", "nat")], &[("iptables-legacy-save", 0, NAT), ("iptables-save", 0, "")]), @"tcp *:80 is handed on to 10.0.0.1");
    }

    #[test]
    fn v04_a_table_that_is_there_in_both_kinds_is_told_of_both() {
        let kernel = Kernel { new: chains(&[OF_IPTABLES]), old: tables(&[("ip", "nat")]), gaps: vec![] };
        assert_snapshot!(told(&kernel, &[("iptables-save", 0, NAT)]), @"
        tcp *:80 is handed on to 10.0.0.1
        tcp *:80 is handed on to 10.0.0.1
        gap: the firewall: no iptables-legacy-save tells the tables ip nat
        gap: the firewall: there is no nft to tell the chains ip nat PREROUTING
        ");
        assert_snapshot!(told(&kernel, &[("iptables-nft-save", 0, NAT), ("iptables-legacy-save", 0, "*nat\n:PREROUTING ACCEPT [0:0]")]), @"tcp *:80 is handed on to 10.0.0.1");
    }

    #[test]
    fn no_program_is_run_for_what_the_kernel_does_not_have() {
        let host = Fake::new();
        let found = Kernel::default().rules(&host);
        assert_eq!((host.transcript().as_str(), found.gaps.len()), ("", 0));
    }
}
