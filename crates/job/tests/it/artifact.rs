//! `artifact.json`: archived samples, the shipped JSON Schema, and each way in which the file can lie about itself.
#![allow(
    clippy::disallowed_methods,
    reason = "the test of a shipped file reads that file, and writes it when asked to"
)]

use insta::assert_snapshot;
use job::Artifact;
use serde_json::{Value, json};

const SUCCESS: &str = include_str!("../samples/artifact-v1-size-cap.json");
const MUTATED: &str = include_str!("../samples/artifact-v1-mutated.json");
const NOT_STARTED: &str = include_str!("../samples/artifact-v1-not-started.json");
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas/artifact.schema.json");

fn parsed(text: &str) -> String {
    Artifact::parse(text.as_bytes()).map_or_else(|invalid| invalid.to_string(), |_| "valid".into())
}

/// A sample with other values; null takes a key away.
fn with(sample: &str, changes: &Value) -> String {
    let mut json: Value = serde_json::from_str(sample).unwrap();
    for (pointer, value) in changes.as_object().unwrap() {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = json.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            parent.remove(key)
        } else {
            parent.insert(key.into(), value.clone())
        };
    }
    parsed(&json.to_string())
}

#[test]
fn every_sample_of_schema_1_is_read_and_written_as_it_was() {
    for sample in [SUCCESS, MUTATED, NOT_STARTED] {
        assert_eq!(Artifact::parse(sample.as_bytes()).unwrap().to_json().unwrap(), sample);
    }
}

#[test]
fn an_unknown_key_a_missing_one_and_a_null_are_refused() {
    assert_snapshot!(with(SUCCESS, &json!({"/extra": 1})).split(',').next().unwrap(), @"not what it must be: unknown field `extra`");
    assert_snapshot!(parsed(&SUCCESS.replace("\"schema\": 1,\n  \"job_id\"", "\"schema\": 1,\n  \"reason\": null,\n  \"job_id\"")), @"not what it must be: a key is missing, or a value has another form");
    assert_snapshot!(with(SUCCESS, &json!({"/schema": 2})), @"schema 2 is not 1");
    for key in [
        "job_id",
        "repo_name",
        "remote_url",
        "sha",
        "job_type",
        "argv",
        "timeout_sec",
        "started_at",
        "finished_at",
        "duration_ms",
        "exit_code",
        "status",
        "hostname",
        "trace_id",
        "input_hash",
        "allowlist_hash",
        "stdout_path",
        "stderr_path",
        "params",
        "outputs",
        "invariants",
    ] {
        let missing = with(SUCCESS, &json!({format!("/{key}"): null}));
        assert!(missing.starts_with(&format!("not what it must be: missing field `{key}`")), "{key}: {missing}");
    }
}

#[test]
fn j12_a_success_without_its_proof_cannot_be_written() {
    assert_snapshot!(with(SUCCESS, &json!({"/invariants/read_only_ok": false})), @"it contradicts itself: a success needs a read-only and clean tree");
    assert_snapshot!(with(SUCCESS, &json!({"/invariants/clean_tree_ok": false})), @"it contradicts itself: a success needs a read-only and clean tree");
    assert_snapshot!(with(SUCCESS, &json!({"/exit_code": 1})), @"it contradicts itself: a success has exit code 0");
    assert_snapshot!(with(SUCCESS, &json!({"/class": "x"})), @"it contradicts itself: a success needs no reason");
    assert_snapshot!(with(SUCCESS, &json!({"/status": "running"})), @"it contradicts itself: it has not ended");
}

#[test]
fn j11_a_changed_tree_is_a_failure_and_not_clean() {
    assert_snapshot!(with(MUTATED, &json!({"/invariants/clean_tree_ok": true})), @"it contradicts itself: the tree is clean and changed");
    assert_snapshot!(with(MUTATED, &json!({"/invariants/reason": null})), @"it contradicts itself: files changed and nobody says so");
    assert_snapshot!(with(MUTATED, &json!({"/invariants/reason": "OTHER"})), @"it contradicts itself: the one reason is MUTATION_DETECTED");
    assert_snapshot!(with(MUTATED, &json!({"/status": "timeout", "/exit_code": -1})), @"it contradicts itself: a changed tree is a failure");
    assert_snapshot!(with(MUTATED, &json!({"/next": null})), @"it contradicts itself: what did not succeed has a class, a reason and a next");
}

#[test]
fn what_did_not_end_by_itself_has_exit_code_minus_1() {
    assert_snapshot!(with(NOT_STARTED, &json!({"/exit_code": 4})), @"it contradicts itself: what did not come to an end of its own has exit code -1");
    assert_snapshot!(with(NOT_STARTED, &json!({"/status": "failure"})), @"it contradicts itself: a failure has an exit code");
}

#[test]
fn a_size_cap_is_told_whole_and_only_with_its_files() {
    assert_snapshot!(with(SUCCESS, &json!({"/size_cap_fallback": null})), @"it contradicts itself: a size cap without its fallback");
    assert_snapshot!(with(SUCCESS, &json!({"/size_cap_exceeded": null})), @"it contradicts itself: the size cap is told in two ways");
    assert_snapshot!(with(SUCCESS, &json!({"/review_packets_dir": "other"})), @"it contradicts itself: the size cap is told in two ways");
    assert_snapshot!(with(SUCCESS, &json!({"/warnings": null})), @"it contradicts itself: the size cap is told in two ways");
    assert_snapshot!(with(SUCCESS, &json!({"/outputs": [], "/collected": null})), @"it contradicts itself: the fallback names a file that was not collected");
    assert_snapshot!(with(SUCCESS, &json!({"/outputs": []})), @"it contradicts itself: the outputs are the collected files");
}

#[test]
fn the_shipped_json_schema_is_the_generated_one() {
    let generated = Artifact::json_schema();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(SHIPPED, format!("{generated:#}\n")).unwrap();
    }
    let shipped: Value =
        serde_json::from_str(&std::fs::read_to_string(SHIPPED).unwrap_or_default()).unwrap_or_default();
    assert_eq!(shipped, generated, "write it anew: UPDATE_SCHEMA=1 cargo nextest run -p job");
}
