//! What people and other programs read.

use insta::assert_snapshot;
use plan::{Effect, Plan};

use crate::sample;

#[test]
fn a_plan_reads_as_a_runbook() {
    assert_snapshot!(sample(), @"
    1. config: listen in one place
         write /etc/server.conf 0644
         | a
         | b
    2. valid: before it is used
         run /usr/sbin/server --check
         must say `listen 10.0.0.1`, `listen 10.0.0.2`
    3. restart: read it
         run systemctl restart server.service
    rollback:
    r1. config: it was not there
         remove /etc/server.conf
    r2. restart: read it
         run systemctl restart server.service
    plan sha256: 3ee863719dab01bed5d5b300476f971ba7e2f884eb04c3e9e82f11cd96360abf
    ");
}

#[test]
fn a_long_file_is_named_by_its_bytes() {
    let shown = |lines: usize| Effect::write("/etc/long", 0o600, "line\n".repeat(lines)).to_string();
    assert_eq!(shown(20).lines().count(), 21);
    assert_snapshot!(shown(21), @"write /etc/long 0600, 21 lines of sha256 ba8f71fa785a7b8c138175ab0235a71ca076b73b3623d37398ca2a6bc55d500d");
}

#[test]
fn a_plan_is_read_again_as_it_was_written() {
    let json = serde_json::to_string(&sample()).unwrap();
    assert_snapshot!(json, @r#"{"steps":[{"name":"config","reason":"listen in one place","effect":{"do":"write","path":"/etc/server.conf","mode":420,"text":"a\nb\n"}},{"name":"valid","reason":"before it is used","effect":{"do":"run","argv":["/usr/sbin/server","--check"],"within_s":60,"expect":{"what":"lines","starting":["listen "],"exactly":["listen 10.0.0.1","listen 10.0.0.2"]}}},{"name":"restart","reason":"read it","effect":{"do":"run","argv":["systemctl","restart","server.service"],"within_s":60,"expect":{"what":"anything"}}}],"rollback":[{"name":"config","reason":"it was not there","effect":{"do":"remove","path":"/etc/server.conf"}},{"name":"restart","reason":"read it","effect":{"do":"run","argv":["systemctl","restart","server.service"],"within_s":60,"expect":{"what":"anything"}}}]}"#);
    let again: Plan = serde_json::from_str(&json).unwrap();
    assert_eq!(again, sample());
    let more = json.replacen(r#"{"steps""#, r#"{"more":1,"steps""#, 1);
    assert!(serde_json::from_str::<Plan>(&more).is_err());
}

#[test]
fn every_byte_is_in_the_name_of_a_plan() {
    let named = sample().sha256();
    let mut other = sample();
    other.steps[0].effect = Effect::write("/etc/server.conf", 0o644, "a\nc\n");
    assert_ne!(other.sha256(), named);
    let mut other = sample();
    other.rollback.pop();
    assert_ne!(other.sha256(), named);
    assert_eq!(sample().sha256(), named);
}
