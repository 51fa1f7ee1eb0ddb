//! What others could reach when it was accepted, and what differs from it now.
//!
//! **Invariant:** a baseline accepts nothing that the policy does not: it only tells what changed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::judge::{Reach, Rules};
use crate::nat::Rule;
use crate::report::{Finding, Observed};
use crate::socket::{Namespace, Owner, Socket};

/// The number in `schema`.
const SCHEMA: u32 = 1;

/// What others can reach of a machine at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Always 1.
    schema: u32,
    /// Each socket, and what the firewall hands on, with those who have it: units, else programs, else names.
    reached: BTreeMap<String, Vec<String>>,
}

/// Why a baseline is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the baseline is none that port-audit wrote: {0}")]
pub struct BadBaseline(String);

impl Baseline {
    /// What is reached now: from the tailnet or from anywhere, fine or not. Sockets of one name are together, whatever
    /// process has them.
    #[must_use]
    pub fn of(observed: &Observed, rules: &Rules) -> Self {
        let mut reached = BTreeMap::<String, Vec<String>>::new();
        for socket in observed.sockets.iter().filter(|socket| rules.reach(socket) >= Reach::Tailnet) {
            let owners = reached.entry(place(socket)).or_default();
            owners.extend(socket.owners.seen().iter().map(lasting));
            owners.sort();
            owners.dedup();
        }
        for rule in &observed.rules {
            let what = match rule {
                Rule::Forward(forward) => forward.to_string(),
                Rule::Unread(text) => text.clone(),
            };
            reached.entry(what).or_default();
        }
        Self { schema: SCHEMA, reached }
    }

    /// The baseline in a file.
    ///
    /// # Errors
    /// [`BadBaseline`].
    pub fn parse(text: &[u8]) -> Result<Self, BadBaseline> {
        let baseline: Self = serde_json::from_slice(text).map_err(|error| BadBaseline(error.to_string()))?;
        if baseline.schema == SCHEMA { Ok(baseline) } else { Err(BadBaseline(format!("schema {}", baseline.schema))) }
    }

    /// What a file holds.
    ///
    /// # Panics
    /// Never: it is made of texts.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("texts are JSON") + "\n"
    }

    /// The JSON Schema of the file, shipped as `docs/schemas/port-audit-baseline.schema.json`.
    #[must_use]
    pub fn json_schema() -> Value {
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Self>().to_value()
    }

    /// What is different now: classes `drift-new`, `drift-gone` and `drift-changed`.
    #[must_use]
    pub fn drift(&self, now: &Self) -> Vec<Finding> {
        let gone = self.reached.iter().filter(|(what, _)| !now.reached.contains_key(*what));
        let gone = gone.map(|(what, owners)| {
            drift(
                "drift-gone",
                what,
                None,
                format!("it is not there any more; in the baseline it is of {}", listed(owners)),
            )
        });
        let there = now.reached.iter().filter_map(|(what, owners)| match self.reached.get(what) {
            None => Some(drift("drift-new", what, Some(owners), "it is not in the baseline".into())),
            Some(before) if before != owners => {
                let reason = format!("in the baseline it is of {}", listed(before));
                Some(drift("drift-changed", what, Some(owners), reason))
            }
            Some(_) => None,
        });
        gone.chain(there).collect()
    }
}

fn drift(class: &'static str, what: &str, owners: Option<&Vec<String>>, reason: String) -> Finding {
    let next = "find out why; where it is meant, write the baseline anew: port-audit --write-baseline FILE".into();
    let owners = owners.filter(|owners| !owners.is_empty()).cloned();
    Finding { class, subject: what.to_owned(), owners, reason, next }
}

fn listed(owners: &[String]) -> String {
    if owners.is_empty() { "nobody".to_owned() } else { owners.join(", ") }
}

/// Where it is, and whether IPv4 comes in there. The number of another namespace is another one after its restart.
fn place(socket: &Socket) -> String {
    let v6only = if socket.v6only && socket.address.is_unspecified() { " v6only" } else { "" };
    match socket.namespace {
        Namespace::Host => format!("{socket}{v6only}"),
        Namespace::Other { .. } => format!("{socket}{v6only} in another network namespace"),
    }
}

/// Who it is, after a restart too: sessions and containers are numbered.
fn lasting(owner: &Owner) -> String {
    let Some(identity) = &owner.identity else { return owner.name.clone() };
    let lasts = |unit: &&String| unit.ends_with(".service") || unit.ends_with(".socket");
    let program = identity.program.as_ref().map(|program| &program.path);
    identity.unit.as_ref().filter(lasts).or(program).unwrap_or(&owner.name).clone()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use jiff::civil::date;

    use super::*;
    use crate::judge::Tailnet;
    use crate::policy::Policy;
    use crate::socket::{Identity, Program};
    use crate::{Owners, nat};

    fn rules() -> Rules {
        let tailnet = Tailnet { addresses: vec!["100.64.0.1".parse().unwrap()], interface: None };
        Rules { policy: Policy::default(), tailnet, today: date(2026, 1, 31) }
    }

    fn of(text: &str) -> Baseline {
        Baseline::of(&Observed::ss(text).unwrap(), &rules())
    }

    #[test]
    fn what_is_new_gone_and_changed_is_told() {
        let before = of("LISTEN 0 1 0.0.0.0:1 0.0.0.0:* users:((\"a\",pid=1,fd=3))\n\
            LISTEN 0 1 100.64.0.1:2 0.0.0.0:* users:((\"b\",pid=2,fd=3))\nLISTEN 0 1 0.0.0.0:4 0.0.0.0:*\n\
            LISTEN 0 1 127.0.0.1:5 0.0.0.0:*");
        let now = of("LISTEN 0 1 0.0.0.0:1 0.0.0.0:* users:((\"a\",pid=7,fd=9))\n\
            LISTEN 0 1 0.0.0.0:3 0.0.0.0:* users:((\"c\",pid=3,fd=3))\n\
            LISTEN 0 1 0.0.0.0:4 0.0.0.0:* users:((\"d\",pid=4,fd=3),(\"c\",pid=5,fd=3))\n\
            LISTEN 0 1 127.0.0.1:6 0.0.0.0:*");
        let drift: Vec<String> = before.drift(&now).iter().map(ToString::to_string).collect();
        assert_snapshot!(drift.join("\n"), @"
        drift-gone: tcp 100.64.0.1:2: it is not there any more; in the baseline it is of b; next: find out why; where it is meant, write the baseline anew: port-audit --write-baseline FILE
        drift-new: tcp 0.0.0.0:3 by c: it is not in the baseline; next: find out why; where it is meant, write the baseline anew: port-audit --write-baseline FILE
        drift-changed: tcp 0.0.0.0:4 by c, d: in the baseline it is of nobody; next: find out why; where it is meant, write the baseline anew: port-audit --write-baseline FILE
        ");
        assert_eq!(before.drift(&before), []);
    }

    #[test]
    fn that_ipv4_comes_in_too_is_a_difference() {
        let before = of("LISTEN 0 1 [::]:1 [::]:* users:((\"a\",pid=1,fd=3))");
        let now = of("LISTEN 0 1 *:1 *:* users:((\"a\",pid=1,fd=3))");
        let drift: Vec<String> = before.drift(&now).iter().map(|it| format!("{} {}", it.class, it.subject)).collect();
        assert_snapshot!(drift.join("\n"), @"
        drift-gone tcp [::]:1 v6only
        drift-new tcp [::]:1
        ");
    }

    #[test]
    fn what_the_firewall_hands_on_is_in_it_too() {
        let rules_ = nat::iptables("*nat\n-A PREROUTING -p tcp --dport 80 -j REDIRECT\n").rules;
        let observed = Observed { rules: rules_, ..Observed::default() };
        let drift = of("LISTEN 0 1 127.0.0.1:5 0.0.0.0:*").drift(&Baseline::of(&observed, &rules()));
        assert_snapshot!(drift[0], @"drift-new: tcp *:80 is handed on to this machine: it is not in the baseline; next: find out why; where it is meant, write the baseline anew: port-audit --write-baseline FILE");
    }

    #[test]
    fn an_owner_is_told_as_it_is_called_after_a_restart_too() {
        let owner = |unit: Option<&str>, path: Option<&str>| {
            let program = path.map(|path| Program { path: path.into(), trusted: false });
            let identity = Identity { unit: unit.map(str::to_owned), starts: None, program, is_root: false };
            lasting(&Owner { pid: 7, name: "web".into(), identity: Some(identity) })
        };
        assert_eq!(owner(Some("web.service"), Some("/usr/bin/node")), "web.service");
        assert_eq!(owner(Some("session-3.scope"), Some("/usr/bin/node")), "/usr/bin/node");
        assert_eq!(owner(None, None), "web");
        let namespace = Namespace::Other { id: 4, exposed: true };
        let inside = Socket {
            namespace,
            owners: Owners::Hidden,
            ..Observed::ss("LISTEN 0 1 0.0.0.0:1 0.0.0.0:*").unwrap().sockets.remove(0)
        };
        assert_eq!(place(&inside), "tcp 0.0.0.0:1 in another network namespace");
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_another_is_refused() {
        let baseline = of("LISTEN 0 1 0.0.0.0:1 0.0.0.0:*");
        assert_eq!(Baseline::parse(baseline.to_json().as_bytes()), Ok(baseline));
        let refused = |text: &str| Baseline::parse(text.as_bytes()).unwrap_err().to_string();
        assert_snapshot!(refused(r#"{"schema":2,"reached":{}}"#), @"the baseline is none that port-audit wrote: schema 2");
        assert_snapshot!(refused(r#"{"schema":1,"reached":{},"more":1}"#), @"the baseline is none that port-audit wrote: unknown field `more`, expected `schema` or `reached` at line 1 column 31");
        assert_snapshot!(refused(""), @"the baseline is none that port-audit wrote: EOF while parsing a value at line 1 column 0");
    }
}
