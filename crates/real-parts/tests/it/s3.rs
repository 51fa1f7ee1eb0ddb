//! The S3 server: that it is a real one, and what can be done to it.

use std::io::Write as _;
use std::process::Command;

use insta::assert_snapshot;
use real_parts::S3;

use crate::left::{after_a_kill, below, left};

/// Signs and sends a request. Returns the status and what came with it.
fn ask(s3: &S3, secret: &str, method: &str, path: &str, body: &str, more: &[&str]) -> (String, String) {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--aws-sigv4",
        "aws:amz:us-east-1:s3",
        "--write-out",
        "\n%{http_code}",
        "--request",
        method,
    ]);
    curl.args(["--user", &format!("{}:{secret}", s3.access_key())]).args(more);
    // What comes from a pipe has no length, and no signature that all versions of curl agree on.
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(body.as_bytes()).unwrap();
    if method != "GET" {
        curl.arg("--upload-file").arg(file.path());
    }
    let said = curl.arg(format!("{}/{}/{path}", s3.url(), s3.bucket())).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let (answer, status) = said.rsplit_once('\n').unwrap();
    (status.to_owned(), answer.to_owned())
}

fn put(s3: &S3, key: &str, body: &str, more: &[&str]) -> String {
    ask(s3, s3.secret_key(), "PUT", key, body, more).0
}

fn get(s3: &S3, key: &str) -> (String, String) {
    ask(s3, s3.secret_key(), "GET", key, "", &[])
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before).unwrap().1.split_once(after).unwrap().0
}

#[test]
fn an_object_is_stored_for_who_signs_with_the_secret() {
    let s3 = S3::start().unwrap();
    assert_eq!(put(&s3, "a/b", "hello", &[]), "200");
    assert_eq!(get(&s3, "a/b"), ("200".into(), "hello".into()));
    let (status, answer) = ask(&s3, "another", "GET", "a/b", "", &[]);
    assert_eq!(status, "403");
    assert_snapshot!(between(&answer, "<Code>", "</Code>"), @"SignatureDoesNotMatch");
}

#[test]
fn a_new_bucket_is_empty() {
    let s3 = S3::start().unwrap();
    let (status, listed) = get(&s3, "?list-type=2");
    assert_eq!(status, "200");
    assert_snapshot!(between(&listed, "<KeyCount>", "</KeyCount>"), @"0");
}

#[test]
fn a_key_that_is_taken_is_not_written_on_condition() {
    let s3 = S3::start().unwrap();
    let new = ["--header", "If-None-Match: *"];
    assert_eq!(put(&s3, "a", "first", &new), "200");
    assert_eq!(put(&s3, "a", "second", &new), "412");
    assert_eq!(get(&s3, "a").1, "first");
}

#[test]
fn an_object_is_stored_in_parts() {
    let s3 = S3::start().unwrap();
    let secret = s3.secret_key();
    let (_, begun) = ask(&s3, secret, "POST", "large?uploads=", "", &[]);
    let upload = between(&begun, "<UploadId>", "</UploadId>");
    let parts = ["a".repeat(5 << 20), "b".into()];
    let etags = [1, 2].map(|number: usize| {
        let path = format!("large?partNumber={number}&uploadId={upload}");
        let (_, headers) = ask(&s3, secret, "PUT", &path, &parts[number - 1], &["--dump-header", "-"]);
        let etag =
            headers.lines().find(|line| line.to_lowercase().starts_with("etag:")).unwrap().split_once(' ').unwrap();
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", etag.1.trim())
    });
    let whole = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", etags.concat());
    assert_eq!(ask(&s3, secret, "POST", &format!("large?uploadId={upload}"), &whole, &[]).0, "200");
    assert_eq!(get(&s3, "large").1, parts.concat());
}

#[test]
fn a_killed_server_has_every_object_after_a_restart() {
    let mut s3 = S3::start().unwrap();
    put(&s3, "a", "hello", &[]);
    s3.kill();
    assert_eq!(get(&s3, "a").0, "000");
    s3.restart().unwrap();
    assert_eq!(get(&s3, "a"), ("200".into(), "hello".into()));
    assert_eq!(put(&s3, "b", "hello", &[]), "200");
}

#[test]
fn two_servers_know_nothing_of_each_other() {
    let [one, other] = [S3::start().unwrap(), S3::start().unwrap()];
    put(&one, "a", "hello", &[]);
    assert_eq!(get(&other, "a").0, "404");
}

#[test]
fn nothing_is_left_of_a_dropped_server() {
    let s3 = S3::start().unwrap();
    let started = below(std::process::id());
    assert!(started.len() > 1, "{started:?}");
    drop(s3);
    assert_eq!(left(started), [0_u32; 0]);
}

#[test]
fn a_server_dies_with_the_process_that_started_it() {
    let (started, left) = after_a_kill("s3::a_server_dies_with_the_process_that_started_it", S3::start);
    assert!(started > 1, "{started}");
    assert_eq!(left, [0_u32; 0]);
}
