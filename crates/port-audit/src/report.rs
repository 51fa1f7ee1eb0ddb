//! What an audit found, for people and for programs.
//!
//! **Invariant:** whatever a process or a rule calls itself, it cannot pose as another line of the report: control
//! characters and what hides are escaped.

use std::fmt;

use outcome::{Exit, printable};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

use crate::judge::{Fine, Reach, Rules, Verdict, is_of_a_tailnet};
use crate::nat::{Forward, Rule};
use crate::rows::Row;
use crate::socket::{Namespace, Owner, Owners, Socket};
use crate::{netstat, ss};

/// The number in `schema`.
const SCHEMA: u32 = 1;

/// What was seen of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Its sockets.
    pub sockets: Vec<Socket>,
    /// What its firewall hands on.
    pub rules: Vec<Rule>,
    /// Rows of a text that were not understood, with their numbers.
    pub unread: Vec<(usize, String)>,
    /// What could not be looked at.
    pub gaps: Vec<Gap>,
    /// How it was looked at.
    pub sight: Sight,
}

/// How a machine was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sight {
    /// By its kernel.
    #[default]
    Machine,
    /// By a text of `ss`: of processes it has but names.
    Names,
    /// By a text of `netstat`: it has neither processes nor interfaces.
    Places,
}

/// Something that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Gap {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Finding {
    /// A stable kebab-case word.
    pub class: &'static str,
    /// The socket, rule or row.
    pub subject: String,
    /// Who has it; absent where that is no question, or not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>")]
    pub owners: Option<Vec<String>>,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub next: String,
}

/// The report of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// Always 1.
    schema: u32,
    /// How the program exits.
    status: Status,
    /// How the machine was looked at.
    sight: Sight,
    /// What could not be looked at counts as a violation.
    strict: bool,
    /// How many sockets there are.
    sockets: Counts,
    /// What is not as it should be, by class.
    findings: Vec<Finding>,
    /// What could not be looked at.
    gaps: Vec<Gap>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// 0.
    Done,
    /// 1.
    Refused,
}

/// How many sockets there are, and of those that are as they should be, why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
struct Counts {
    /// All that wait for somebody.
    all: usize,
    /// On loopback.
    loopback: usize,
    /// In a network of the machine alone.
    inside: usize,
    /// Of the tailnet, or its own service's.
    tailnet: usize,
    /// Allowed by the policy.
    allowed: usize,
}

impl Observed {
    /// What a text of `ss -tlnp` or `ss -tulnp` says; nothing for an empty one, which is no table.
    #[must_use]
    pub fn ss(text: &str) -> Option<Self> {
        Self::told(ss::parse(text), text, Sight::Names)
    }

    /// What a text of `netstat -anv` says (see [`netstat`]); nothing for an empty one.
    #[must_use]
    pub fn netstat(text: &str) -> Option<Self> {
        Self::told(netstat::parse(text), text, Sight::Places)
    }

    /// Whether it makes a difference what belongs to the tailnet: something is at such an address, or at one interface.
    #[must_use]
    pub fn may_be_of_a_tailnet(&self) -> bool {
        let by_interface = |interface: &Option<String>| interface.as_deref().is_some_and(|name| name != "lo");
        self.sockets.iter().any(|socket| is_of_a_tailnet(socket.address) || by_interface(&socket.interface))
            || self.rules.iter().any(|rule| match rule {
                Rule::Forward(Forward { address, interface, .. }) => {
                    address.is_some_and(|net| is_of_a_tailnet(net.addr())) || by_interface(interface)
                }
                Rule::Unread(_) => false,
            })
    }

    fn told(rows: Vec<Row>, text: &str, sight: Sight) -> Option<Self> {
        let mut observed = Self { sight, ..Self::default() };
        for row in rows {
            match row {
                Row::Socket(socket) => observed.sockets.push(socket),
                Row::Connection => {}
                Row::Unread { line, text } => observed.unread.push((line, text)),
            }
        }
        (!text.trim().is_empty()).then_some(observed)
    }
}

/// Judges all that was seen. Where it is `strict`, what could not be looked at is a violation too.
#[must_use]
pub fn audit(observed: &Observed, rules: &Rules, strict: bool) -> Report {
    let mut counts = Counts { all: observed.sockets.len(), ..Counts::default() };
    let mut findings: Vec<Finding> =
        observed.sockets.iter().filter_map(|it| of_socket(it, rules, &mut counts)).collect();
    findings.extend(observed.rules.iter().filter_map(|rule| of_rule(rule, rules)));
    findings.extend(observed.unread.iter().map(|(line, text)| Finding {
        class: "row-unread",
        subject: format!("line {line}: {text}"),
        owners: None,
        reason: "the row was not understood".into(),
        next: "look at it by hand, or run port-audit on that machine".into(),
    }));
    let Observed { mut gaps, sight, .. } = observed.clone();
    gaps.extend(observed.sockets.iter().filter_map(|socket| unproved(socket, rules)));
    gaps.sort();
    gaps.dedup();
    Report { schema: SCHEMA, status: Status::Done, sight, strict, sockets: counts, findings, gaps }.settled()
}

fn of_socket(socket: &Socket, rules: &Rules, counts: &mut Counts) -> Option<Finding> {
    let count = match rules.judge(socket) {
        Verdict::Violation { class, reason, next } => {
            let owners = match &socket.owners {
                Owners::Seen(owners) => Some(owners.iter().map(shown).collect()),
                Owners::Hidden | Owners::Untold => None,
            };
            return Some(Finding { class, subject: place(socket), owners, reason, next });
        }
        Verdict::Fine(Fine::Private(Reach::Loopback)) => &mut counts.loopback,
        Verdict::Fine(Fine::Private(Reach::Inside)) => &mut counts.inside,
        Verdict::Fine(Fine::Private(_) | Fine::Tailscaled) => &mut counts.tailnet,
        Verdict::Fine(Fine::Allowed(_)) => &mut counts.allowed,
    };
    *count += 1;
    None
}

/// That a socket is fine for who has it, of which a text has a name or nothing: nobody looked at who that is.
fn unproved(socket: &Socket, rules: &Rules) -> Option<Gap> {
    let Verdict::Fine(Fine::Tailscaled | Fine::Allowed(_)) = rules.judge(socket) else { return None };
    let mut named: Vec<&str> =
        socket.owners.seen().iter().filter(|it| it.identity.is_none()).map(|it| &*it.name).collect();
    named.dedup();
    match socket.owners {
        Owners::Untold => Some(Gap { what: format!("who has {}", place(socket)), why: "the text does not say".into() }),
        _ if named.is_empty() => None,
        _ => Some(Gap { what: format!("who {} is", named.join(", ")), why: "a text has but names".into() }),
    }
}

fn place(socket: &Socket) -> String {
    match socket.namespace {
        Namespace::Host => socket.to_string(),
        Namespace::Other { id, .. } => format!("{socket} in the network namespace {id}"),
    }
}

fn shown(owner: &Owner) -> String {
    let unit = owner.identity.as_ref().and_then(|identity| identity.unit.as_ref());
    let unit = unit.map(|unit| format!(" of {unit}")).unwrap_or_default();
    format!("{} ({}){unit}", owner.name, owner.pid)
}

fn of_rule(rule: &Rule, rules: &Rules) -> Option<Finding> {
    let (subject, reason) = match rule {
        Rule::Forward(forward) if rules.is_meant(forward) => return None,
        Rule::Forward(forward) => (forward.to_string(), "it is reached from anywhere, without a socket"),
        Rule::Unread(rule) => (rule.clone(), "the rule hands on and was not understood"),
    };
    Some(Finding {
        class: "nat-exposes",
        subject,
        owners: None,
        reason: reason.into(),
        next: "publish it on 127.0.0.1, or allow it in port_audit.toml with `forwarded = true`".into(),
    })
}

impl Report {
    /// Adds what differs from a baseline.
    #[must_use]
    pub fn with(mut self, drift: Vec<Finding>) -> Self {
        self.findings.extend(drift);
        self.settled()
    }

    fn settled(mut self) -> Self {
        self.findings.sort();
        self.findings.dedup();
        self.status = if self.violations() == 0 { Status::Done } else { Status::Refused };
        self
    }

    fn violations(&self) -> usize {
        self.findings.len() + if self.strict { self.gaps.len() } else { 0 }
    }

    /// What is not as it should be.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What could not be looked at.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// [`Exit::Done`] without a violation, else [`Exit::Refused`].
    pub fn exit(&self) -> Exit {
        match self.status {
            Status::Done => Exit::Done,
            Status::Refused => Exit::Refused,
        }
    }

    /// The first lines: how it stands, and what could not be told.
    pub fn summary(&self) -> String {
        let Counts { all, loopback, inside, tailnet, allowed } = self.sockets;
        let s = if all == 1 { "" } else { "s" };
        let sockets = format!(
            "{all} socket{s}: {loopback} on loopback, {inside} inside, {tailnet} of the tailnet, {allowed} allowed"
        );
        let stands = match self.violations() {
            0 => format!("OK: {sockets}"),
            n => format!("VIOLATIONS: {n}; {sockets}"),
        };
        let gaps = self.gaps.iter().map(|gap| format!("WARN: {}: {}", gap.what, gap.why));
        let lines = [stands].into_iter().chain(self.sight.unseen().map(str::to_owned)).chain(gaps);
        lines.map(|line| one_line(&line) + "\n").collect()
    }

    /// What stands below the findings where the SSH server is reached from anywhere.
    pub fn remediation(&self) -> Option<&'static str> {
        self.findings.iter().any(|finding| finding.class == "sshd-public").then_some(REMEDIATION)
    }

    /// The JSON Schema of the report, shipped as `docs/schemas/port-audit.schema.json`.
    pub fn json_schema() -> Value {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        settings.into_generator().into_root_schema_for::<Self>().to_value()
    }
}

impl Sight {
    /// What such a look does not see.
    fn unseen(self) -> Option<&'static str> {
        match self {
            Self::Machine => None,
            Self::Names => Some("processes are known by their names alone, which anybody may choose"),
            Self::Places => Some(
                "the text says neither which process has a socket, nor its interface, nor whether IPv4 comes in at ::, so \
                 entries of the policy count by protocol, address and port",
            ),
        }
    }
}

impl Finding {
    /// Who has it, in words; nothing where that is no question, or not known.
    pub fn owners(&self) -> Option<String> {
        let owners = self.owners.as_ref()?;
        Some(if owners.is_empty() { "nobody that is seen".to_owned() } else { owners.join(", ") })
    }
}

/// A line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, subject, reason, next, .. } = self;
        let owners = self.owners().map(|owners| format!(" by {owners}")).unwrap_or_default();
        f.write_str(&one_line(&format!("{class}: {subject}{owners}: {reason}; next: {next}")))
    }
}

/// `OK`, or `VIOLATIONS` and a line for each; gaps as `WARN`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
        self.remediation().iter().try_for_each(|box_| write!(f, "\n{box_}"))
    }
}

/// The text on one line: what ends a line, what a terminal obeys and what hides is escaped.
#[must_use]
pub fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\u{a}").replace('\t', "\\u{9}")
}

const REMEDIATION: &str = "\
SSHD_PUBLIC
+------------------------------------------------------------------+
| The SSH server can be reached from the internet.                 |
|   sshd-fix plan      shows what would be changed, and why        |
|   sshd-fix apply     makes it listen on the tailnet alone        |
+------------------------------------------------------------------+
";

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use jiff::civil::date;

    use super::*;
    use crate::judge::Tailnet;
    use crate::nat;
    use crate::policy::Policy;

    fn rules(policy: &str) -> Rules {
        let addresses = vec!["100.64.0.1".parse().unwrap()];
        let tailnet = Tailnet { addresses, interface: Some("tailscale0".into()) };
        Rules { policy: Policy::parse(&format!("schema = 1\n{policy}")).unwrap(), tailnet, today: date(2026, 1, 31) }
    }

    fn seen(text: &str) -> Observed {
        Observed::ss(text).unwrap()
    }

    #[test]
    fn what_is_as_it_should_be_is_counted() {
        let observed = Observed {
            sight: Sight::Machine,
            gaps: vec![Gap { what: "sctp over IPv4".into(), why: "the kernel answers: no".into() }],
            ..seen("LISTEN 0 1 127.0.0.1:1 0.0.0.0:*\nLISTEN 0 1 100.64.0.1:2 0.0.0.0:* users:((\"a\",pid=1,fd=3))")
        };
        let report = audit(&observed, &rules(""), false);
        assert_snapshot!(report, @"
        OK: 2 sockets: 1 on loopback, 0 inside, 1 of the tailnet, 0 allowed
        WARN: sctp over IPv4: the kernel answers: no
        ");
        assert_eq!(report.exit(), Exit::Done);
        let strict = audit(&observed, &rules(""), true);
        assert_snapshot!(strict, @"
        VIOLATIONS: 1; 2 sockets: 1 on loopback, 0 inside, 1 of the tailnet, 0 allowed
        WARN: sctp over IPv4: the kernel answers: no
        ");
        assert_eq!(strict.exit(), Exit::Refused);
        assert_eq!(audit(&Observed::default(), &rules(""), true).exit(), Exit::Done);
    }

    #[test]
    fn v04_what_is_found_says_what_to_do_and_no_name_poses_as_another_line() {
        let observed = seen(
            "LISTEN 0 1 0.0.0.0:22 0.0.0.0:* users:((\"sshd\",pid=1,fd=3))\n\
            LISTEN 0 1 *:80 *:* users:((\"\u{1b}[2J\u{202e}x\",pid=2,fd=3))\nLISTEN 0 1 0.0.0.0:1 0.0.0.0:* users:((\"new\nOK: 0\",pid=3,fd=3))",
        );
        let report = audit(&observed, &rules(""), false);
        assert_snapshot!(report, @r#"
        VIOLATIONS: 4; 2 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
        processes are known by their names alone, which anybody may choose
        public-listener: tcp [::]:80 by \u{1b}[2J\u{202e}x (2): it is reached from anywhere; next: bind it to 127.0.0.1, or allow it in port_audit.toml
        row-unread: line 3: LISTEN 0 1 0.0.0.0:1 0.0.0.0:* users:(("new: the row was not understood; next: look at it by hand, or run port-audit on that machine
        row-unread: line 4: OK: 0",pid=3,fd=3)): the row was not understood; next: look at it by hand, or run port-audit on that machine
        sshd-public: tcp 0.0.0.0:22 by sshd (1): the SSH server is reached from anywhere; next: sshd-fix plan, then sshd-fix apply

        SSHD_PUBLIC
        +------------------------------------------------------------------+
        | The SSH server can be reached from the internet.                 |
        |   sshd-fix plan      shows what would be changed, and why        |
        |   sshd-fix apply     makes it listen on the tailnet alone        |
        +------------------------------------------------------------------+
        "#);
    }

    #[test]
    fn v04_an_empty_text_is_no_table() {
        for empty in ["", "\n \n"] {
            assert_eq!((Observed::ss(empty), Observed::netstat(empty)), (None, None));
        }
        assert!(Observed::ss("State Recv-Q Send-Q").is_some() && Observed::netstat("Proto Recv-Q").is_some());
    }

    #[test]
    fn v04_what_is_fine_by_a_name_alone_is_a_gap() {
        let policy = "[[allow]]\nprotocol = \"tcp\"\nport = 80\nunit = \"web.service\"\nreason = \"the web\"";
        let strict = |text: &str| audit(&seen(text), &rules(policy), true);
        let tailscaled = strict("LISTEN 0 1 0.0.0.0:8080 0.0.0.0:* users:((\"tailscaled\",pid=9,fd=3))");
        assert_snapshot!(tailscaled, @"
        VIOLATIONS: 1; 1 socket: 0 on loopback, 0 inside, 1 of the tailnet, 0 allowed
        processes are known by their names alone, which anybody may choose
        WARN: who tailscaled is: a text has but names
        ");
        assert_eq!(tailscaled.exit(), Exit::Refused);
        assert_snapshot!(strict("LISTEN 0 1 0.0.0.0:80 0.0.0.0:* users:((\"web\",pid=9,fd=3),(\"web\",pid=10,fd=3))"), @"
        VIOLATIONS: 1; 1 socket: 0 on loopback, 0 inside, 0 of the tailnet, 1 allowed
        processes are known by their names alone, which anybody may choose
        WARN: who web is: a text has but names
        ");
        assert_snapshot!(strict("LISTEN 0 1 0.0.0.0:80 0.0.0.0:*"), @"
        VIOLATIONS: 1; 1 socket: 0 on loopback, 0 inside, 0 of the tailnet, 0 allowed
        processes are known by their names alone, which anybody may choose
        owner-unknown: tcp 0.0.0.0:80: nobody is seen who has it; next: look as root; else find out what made it
        ");
        let private = "LISTEN 0 1 127.0.0.1:80 0.0.0.0:* users:((\"web\",pid=9,fd=3))\n\
            LISTEN 0 1 100.64.0.1:80 0.0.0.0:* users:((\"web\",pid=9,fd=3))";
        assert_eq!(strict(private).exit(), Exit::Done);
    }

    #[test]
    fn a_text_of_netstat_is_judged_by_places_and_says_so() {
        let allow =
            "[[allow]]\nprotocol = \"udp\"\nport = 5353\nprogram = \"/usr/sbin/mDNSResponder\"\nreason = \"names\"";
        let text = "tcp46 0 0 *.22 *.* LISTEN\nudp4 0 0 *.5353 *.*\nudp4 0 0 10.0.0.1.9 10.0.0.2.9\ntcp4 x";
        assert_snapshot!(audit(&Observed::netstat(text).unwrap(), &rules(allow), false), @"
        VIOLATIONS: 2; 2 sockets: 0 on loopback, 0 inside, 0 of the tailnet, 1 allowed
        the text says neither which process has a socket, nor its interface, nor whether IPv4 comes in at ::, so entries of the policy count by protocol, address and port
        WARN: who has udp 0.0.0.0:5353: the text does not say
        public-listener: tcp [::]:22: it is reached from anywhere; next: bind it to 127.0.0.1, or allow it in port_audit.toml
        row-unread: line 4: tcp4 x: the row was not understood; next: look at it by hand, or run port-audit on that machine
        ");
    }

    #[test]
    fn the_tailnet_matters_where_something_is_at_its_addresses_or_at_an_interface() {
        let row = |place: &str| seen(&format!("LISTEN 0 1 {place}:1 *:*")).may_be_of_a_tailnet();
        assert!(row("100.64.0.1") && row("[::ffff:100.64.0.1]") && row("[fd7a:115c:a1e0::1]") && row("*%tailscale0"));
        assert!(!row("0.0.0.0") && !row("[::1]") && !row("100.128.0.1") && !row("*%lo"));
        let rule = |rule: &str| {
            let rules = nat::iptables(&format!("*nat\n-A PREROUTING {rule} -j REDIRECT\n")).rules;
            Observed { rules, ..Observed::default() }.may_be_of_a_tailnet()
        };
        assert!(rule("-d 100.64.0.1") && rule("-i tailscale0") && !rule("-p tcp") && !rule("-d 10.0.0.1"));
    }

    #[test]
    fn programs_get_all_of_it_too() {
        let observed = Observed {
            gaps: vec![Gap { what: "nft".into(), why: "not permitted".into() }],
            ..seen("LISTEN 0 1 0.0.0.0:22 0.0.0.0:* users:((\"sshd\",pid=1,fd=3))\nnonsense")
        };
        let report = audit(&observed, &rules(""), false);
        assert_snapshot!(serde_json::to_string_pretty(&report).unwrap(), @r#"
        {
          "schema": 1,
          "status": "refused",
          "sight": "names",
          "strict": false,
          "sockets": {
            "all": 1,
            "loopback": 0,
            "inside": 0,
            "tailnet": 0,
            "allowed": 0
          },
          "findings": [
            {
              "class": "row-unread",
              "subject": "line 2: nonsense",
              "reason": "the row was not understood",
              "next": "look at it by hand, or run port-audit on that machine"
            },
            {
              "class": "sshd-public",
              "subject": "tcp 0.0.0.0:22",
              "owners": [
                "sshd (1)"
              ],
              "reason": "the SSH server is reached from anywhere",
              "next": "sshd-fix plan, then sshd-fix apply"
            }
          ],
          "gaps": [
            {
              "what": "nft",
              "why": "not permitted"
            }
          ]
        }
        "#);
    }

    #[test]
    fn v04_what_is_handed_on_without_a_socket_is_found_unless_one_entry_allows_all_of_it() {
        let found = |rule: &str, policy: &str| {
            let rules_ = nat::iptables(&format!("*nat\n-A PREROUTING {rule}\n")).rules;
            let observed = Observed { rules: rules_, ..Observed::default() };
            audit(&observed, &rules(policy), false)
                .findings()
                .iter()
                .map(|it| format!("{}: {}", it.class, it.subject))
                .collect::<Vec<_>>()
                .join("\n")
        };
        let web = "-p tcp --dport 80:81 -j DNAT --to-destination 10.0.0.1";
        assert_snapshot!(found(web, ""), @"nat-exposes: tcp *:80-81 is handed on to 10.0.0.1");
        assert_snapshot!(found("-p tcp --dport http -j REDIRECT", ""), @"nat-exposes: -p tcp --dport http -j REDIRECT");
        for private in [
            "-d 127.0.0.1/32 -p tcp --dport 80 -j REDIRECT",
            "-i lo -j REDIRECT",
            "-i tailscale0 -j REDIRECT",
            "-d 100.64.0.1 -j REDIRECT",
        ] {
            assert_eq!(found(private, ""), "", "{private}");
        }
        assert_ne!(found("-d 100.64.0.0/10 -j REDIRECT", ""), "");
        let allow =
            |port: &str| format!("[[allow]]\nprotocol = \"tcp\"\nport = {port}\nforwarded = true\nreason = \"web\"\n");
        assert_eq!(found(web, &allow("\"80-81\"")), "");
        assert_ne!(found(web, &(allow("80") + &allow("81"))), "");
        assert_ne!(found("-p tcp -j REDIRECT", &allow("80")), "");
        assert_ne!(found("--dport 80 -j REDIRECT", &allow("80")), "", "it is any protocol");
    }
}
