//! What the firewall hands on, as its own programs tell it: where the kernel has rules of that kind.

use std::collections::BTreeSet;
use std::time::Duration;

use host::{Cmd, Host, HostError};
use port_audit::Gap;
use port_audit::nat::{self, Rule, Saved};

use super::chains::{self, Table};

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

/// Tables with rules that may hand on, in the calling thread's network namespace.
#[derive(Debug, Default)]
struct Kernel {
    /// Those of `nf_tables`.
    new: BTreeSet<Table>,
    /// Those of the older kind.
    old: BTreeSet<Table>,
    /// Which of them the kernel does not tell.
    gaps: Vec<Gap>,
}

impl Kernel {
    fn look() -> Self {
        let mut kernel = Self::default();
        match chains::tables() {
            Ok(tables) => kernel.new = tables,
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
                old.extend(self.saved(host, (family, program), "legacy", kernel));
            }
            if kernel.new.iter().any(|(of, name)| of == family && TABLES.contains(&name.as_str())) {
                new.extend(self.saved(host, (family, program), "nft", kernel));
            }
        }
        let untold: Vec<&Table> = kernel.old.difference(&old).collect();
        if !untold.is_empty() {
            self.gap("the firewall", format!("no iptables-legacy-save tells the tables {}", listed(&untold)));
        }
        self.nft(host, &kernel.new, &new);
    }

    /// Asks `nft` of those tables that another program has not told.
    fn nft(&mut self, host: &dyn Host, tables: &BTreeSet<Table>, told: &BTreeSet<Table>) {
        let untold: Vec<&Table> = tables.difference(told).collect();
        if untold.is_empty() {
            return;
        }
        let is_told = |family: &str, table: &str| told.contains(&(family.to_owned(), table.to_owned()));
        match said(host, "nft", &["-j", "list", "ruleset"]) {
            Ok(Some(text)) => match nat::nft(&text, is_told) {
                Some(rules) => self.rules.extend(rules),
                None => self.gap("nft", "its answer is not understood".into()),
            },
            Ok(None) => self.gap("the firewall", format!("there is no nft to tell the tables {}", listed(&untold))),
            Err(why) => self.gap("nft", why),
        }
    }

    /// The tables that iptables tells of one kind. The program that is called for no kind tells one of both, and nobody
    /// knows which: then it told no table that is there in both.
    fn saved(&mut self, host: &dyn Host, of: (&str, &str), kind: &str, kernel: &Kernel) -> BTreeSet<Table> {
        let (family, program) = of;
        for (program, is_plain) in [(format!("{program}-{kind}-save"), false), (format!("{program}-save"), true)] {
            match said(host, &program, &[]) {
                Ok(Some(text)) => {
                    let Saved { tables, rules } = nat::iptables(&text);
                    self.rules.extend(rules);
                    let mut tables: BTreeSet<Table> =
                        tables.into_iter().map(|table| (family.to_owned(), table)).collect();
                    tables.retain(|table| !(is_plain && kernel.old.contains(table) && kernel.new.contains(table)));
                    return tables;
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

fn listed(tables: &[&Table]) -> String {
    tables.iter().map(|(family, name)| format!("{family} {name}")).collect::<Vec<_>>().join(", ")
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

    const NAT: &str = "*nat\n-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.0.0.1\nCOMMIT";
    const RULESET: &str = r#"{"nftables": [
        {"chain": {"family": "ip", "table": "nat", "name": "PREROUTING", "hook": "prerouting"}},
        {"rule": {"family": "ip", "table": "nat", "chain": "PREROUTING", "expr": [{"xt": null}]}},
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

    fn new(new: &[(&str, &str)], programs: &[(&str, i32, &str)]) -> String {
        told(&Kernel { new: tables(new), ..Kernel::default() }, programs)
    }

    fn old(old: &[(&str, &str)], programs: &[(&str, i32, &str)]) -> String {
        told(&Kernel { old: tables(old), ..Kernel::default() }, programs)
    }

    #[test]
    fn v04_rules_that_no_program_tells_are_a_gap() {
        assert_snapshot!(new(&[("ip", "nat"), ("inet", "mine")], &[]), @"gap: the firewall: there is no nft to tell the tables inet mine, ip nat");
        assert_snapshot!(new(&[("ip", "nat"), ("inet", "mine")], &[("iptables-save", 0, NAT)]), @"
        tcp *:80 is handed on to 10.0.0.1
        gap: the firewall: there is no nft to tell the tables inet mine
        ");
        assert_snapshot!(new(&[("ip", "nat")], &[("iptables-save", 1, NAT), ("nft", 1, "")]), @"
        gap: iptables-save: exit 1: 
        gap: nft: exit 1:
        ");
        assert_snapshot!(new(&[("ip", "nat")], &[("nft", 0, "table ip nat {")]), @"gap: nft: its answer is not understood");
        assert_snapshot!(old(&[("ip", "nat"), ("ip", "mangle")], &[]), @"gap: the firewall: no iptables-legacy-save tells the tables ip mangle, ip nat");
        assert_snapshot!(old(&[("ip", "nat"), ("ip", "mangle")], &[("iptables-save", 0, NAT)]), @"
        tcp *:80 is handed on to 10.0.0.1
        gap: the firewall: no iptables-legacy-save tells the tables ip mangle
        ");
    }

    #[test]
    fn each_table_is_told_by_the_program_that_knows_it_best() {
        let both = [("iptables-nft-save", 0, NAT), ("nft -j list ruleset", 0, RULESET)];
        assert_snapshot!(new(&[("ip", "nat"), ("inet", "mine")], &both), @"
        tcp *:80 is handed on to 10.0.0.1
        any *:* is handed on to this machine:8080
        ");
        assert_snapshot!(new(&[("ip", "nat")], &both), @"tcp *:80 is handed on to 10.0.0.1");
        assert_snapshot!(new(&[("ip", "nat"), ("inet", "mine")], &both[1..]), @"
        unread: ip nat PREROUTING: a rule of iptables
        any *:* is handed on to this machine:8080
        ");
        let incompatible = "# Table `nat' is incompatible, use 'nft' tool.";
        assert_snapshot!(new(&[("ip", "nat")], &[("iptables-nft-save", 0, incompatible), both[1]]), @"
        unread: ip nat PREROUTING: a rule of iptables
        any *:* is handed on to this machine:8080
        ");
        assert_snapshot!(old(&[("ip", "nat")], &[("iptables-legacy-save", 0, NAT), ("iptables-save", 0, "")]), @"tcp *:80 is handed on to 10.0.0.1");
    }

    #[test]
    fn v04_a_table_that_is_there_in_both_kinds_is_told_of_both() {
        let kernel = Kernel { new: tables(&[("ip", "nat")]), old: tables(&[("ip", "nat")]), gaps: vec![] };
        assert_snapshot!(told(&kernel, &[("iptables-save", 0, NAT)]), @"
        tcp *:80 is handed on to 10.0.0.1
        tcp *:80 is handed on to 10.0.0.1
        gap: the firewall: no iptables-legacy-save tells the tables ip nat
        gap: the firewall: there is no nft to tell the tables ip nat
        ");
        assert_snapshot!(told(&kernel, &[("iptables-nft-save", 0, NAT), ("iptables-legacy-save", 0, "*nat")]), @"tcp *:80 is handed on to 10.0.0.1");
    }

    #[test]
    fn no_program_is_run_for_what_the_kernel_does_not_have() {
        let host = Fake::new();
        let found = Kernel::default().rules(&host);
        assert_eq!((host.transcript().as_str(), found.gaps.len()), ("", 0));
    }
}
