//! A report as SARIF 2.1.0 (OASIS, 2020), for those who collect it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::report::Report;

/// What could not be looked at, as a rule.
const GAP: &str = "coverage-gap";

impl Report {
    /// A result for each finding, and for each thing that could not be looked at. `version` is that of the program.
    #[must_use]
    pub fn to_sarif(&self, version: &str) -> Value {
        let result = |rule: &str, level: &str, subject: &str, text: String| {
            json!({
                "ruleId": rule,
                "level": level,
                "message": {"text": text},
                "locations": [{"logicalLocations": [{"fullyQualifiedName": subject, "kind": "resource"}]}],
            })
        };
        let findings = self.findings().iter().map(|it| result(it.class, "error", &it.subject, it.to_string()));
        let gaps =
            self.gaps().iter().map(|gap| result(GAP, "warning", &gap.what, format!("{}: {}", gap.what, gap.why)));
        let results: Vec<Value> = findings.chain(gaps).collect();
        let gap = self.gaps().first().map(|_| (GAP, "run it as root, with what it names"));
        let rules: BTreeMap<&str, &str> =
            self.findings().iter().map(|it| (it.class, it.next.as_str())).chain(gap).collect();
        let rules: Vec<Value> = rules.into_iter().map(|(id, next)| json!({"id": id, "help": {"text": next}})).collect();
        json!({
            "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": {"name": "port-audit", "version": version, "rules": rules}},
                "results": results,
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use jiff::civil::date;

    use crate::{Gap, Observed, Policy, Rules, Tailnet, audit};

    #[test]
    fn a_result_for_each_finding_and_each_gap() {
        let rules = Rules { policy: Policy::default(), tailnet: Tailnet::default(), today: date(2026, 1, 31) };
        let gaps = vec![Gap { what: "nft".into(), why: "not permitted".into() }];
        let text = "LISTEN 0 1 0.0.0.0:80 0.0.0.0:* users:((\"a\u{1b}\",pid=1,fd=3))\nnonsense";
        let observed = Observed { gaps, ..Observed::ss(text).unwrap() };
        let sarif = audit(&observed, &rules, false).to_sarif("0.1.0");
        assert_snapshot!(serde_json::to_string_pretty(&sarif).unwrap(), @r#"
        {
          "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json",
          "runs": [
            {
              "results": [
                {
                  "level": "error",
                  "locations": [
                    {
                      "logicalLocations": [
                        {
                          "fullyQualifiedName": "tcp 0.0.0.0:80",
                          "kind": "resource"
                        }
                      ]
                    }
                  ],
                  "message": {
                    "text": "public-listener: tcp 0.0.0.0:80 by a\\u{1b} (1): it is reached from anywhere; next: bind it to 127.0.0.1, or allow it in port_audit.toml"
                  },
                  "ruleId": "public-listener"
                },
                {
                  "level": "error",
                  "locations": [
                    {
                      "logicalLocations": [
                        {
                          "fullyQualifiedName": "line 2: nonsense",
                          "kind": "resource"
                        }
                      ]
                    }
                  ],
                  "message": {
                    "text": "row-unread: line 2: nonsense: the row was not understood; next: look at it by hand, or run port-audit on that machine"
                  },
                  "ruleId": "row-unread"
                },
                {
                  "level": "warning",
                  "locations": [
                    {
                      "logicalLocations": [
                        {
                          "fullyQualifiedName": "nft",
                          "kind": "resource"
                        }
                      ]
                    }
                  ],
                  "message": {
                    "text": "nft: not permitted"
                  },
                  "ruleId": "coverage-gap"
                }
              ],
              "tool": {
                "driver": {
                  "name": "port-audit",
                  "rules": [
                    {
                      "help": {
                        "text": "run it as root, with what it names"
                      },
                      "id": "coverage-gap"
                    },
                    {
                      "help": {
                        "text": "bind it to 127.0.0.1, or allow it in port_audit.toml"
                      },
                      "id": "public-listener"
                    },
                    {
                      "help": {
                        "text": "look at it by hand, or run port-audit on that machine"
                      },
                      "id": "row-unread"
                    }
                  ],
                  "version": "0.1.0"
                }
              }
            }
          ],
          "version": "2.1.0"
        }
        "#);
    }
}
