//! `job.json`: an archived sample, and each way in which it can lie about itself.

use insta::assert_snapshot;
use job::Record;

const SAMPLE: &str = include_str!("../samples/job-v1.json");

fn with(from: &str, to: &str) -> String {
    let text = SAMPLE.replacen(from, to, 1);
    assert_ne!(text, SAMPLE);
    Record::parse(text.as_bytes()).map_or_else(|invalid| invalid.to_string(), |_| "valid".into())
}

#[test]
fn the_sample_of_schema_1_is_read_and_written_as_it_was() {
    assert_eq!(Record::parse(SAMPLE.as_bytes()).unwrap().to_json().unwrap(), SAMPLE);
}

#[test]
fn j19_a_record_that_is_not_wholly_understood_is_refused() {
    assert_snapshot!(with("\"schema\": 1", "\"schema\": 2"), @"schema 2 is not 1");
    assert_snapshot!(with("\"pid\"", "\"\\u001b[2J\": 1, \"pid\""), @r"not what it must be: unknown field `\u{1b}[2J`, expected one of `pid`, `started`, `boot_id` at line 13 column 15");
    assert_snapshot!(with("\"running\"", "\"sleeping\""), @"not what it must be: unknown variant `sleeping`, expected one of `queued`, `running`, `success`, `failure`, `error`, `timeout`, `cancelled` at line 17 column 21");
    assert_snapshot!(with("59.200Z", "59Z"), @"not what it must be: not a time such as 2026-01-31T23:59:59.123Z at line 19 column 1");
    assert_snapshot!(with("0123456789abcdef", "../../../../etc/"), @"not what it must be: not a job id such as 20260131T235959123Z-0123456789abcdef at line 3 column 50");
}

#[test]
fn j19_a_queued_job_has_no_runner_and_a_running_one_has() {
    assert_snapshot!(with("\"running\"", "\"queued\""), @"it contradicts itself: it is queued and has a runner");
    let queued = Record { runner: None, started_at: None, ..Record::parse(SAMPLE.as_bytes()).unwrap() };
    assert_snapshot!(queued.to_json().unwrap_err(), @"it contradicts itself: it is running and has no runner");
    let half = Record { runner: None, ..Record::parse(SAMPLE.as_bytes()).unwrap() };
    assert_snapshot!(half.to_json().unwrap_err(), @"it contradicts itself: a runner and a start belong together");
}
