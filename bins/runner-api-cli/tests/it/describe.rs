//! What the programs say of themselves.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

use insta::assert_snapshot;
use runner_api::operation::{ALL, Verb};
use serde_json::Value;

use crate::service::{JOBS, Site, worker_program};

fn help(command: &mut Command, args: &[&str]) -> String {
    let output = command.args(args).arg("--help").env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_is_told() {
    for args in [&[][..], &["token"], &["token", "add"], &["token", "list"], &["token", "remove"]] {
        let name = [&["runner-api"], args].concat().join("-");
        let said = help(&mut Command::new(env!("CARGO_BIN_EXE_runner-api")), args);
        insta::with_settings!({snapshot_suffix => name}, { assert_snapshot!(said) });
    }
    let said = help(&mut Command::new(worker_program()), &[]);
    insta::with_settings!({snapshot_suffix => "runner-worker"}, { assert_snapshot!(said) });
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn the_description_names_every_operation_with_its_scope_and_all_it_refers_to() {
    let site = Site::new(JOBS);
    let service = site.serve_alone(&[]);
    let document = service.client.anonymous().get("/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut refs = BTreeSet::new();
    references(&document, &mut refs);
    assert!(refs.len() > 10, "{refs:?}");
    for reference in refs {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some_and(Value::is_object), "{reference}");
    }
    let mut lines = String::new();
    for operation in &ALL {
        let path = operation.path.replace("{*", "{");
        let method = if operation.method == Verb::Get { "get" } else { "post" };
        let told = &document["paths"][&path][method];
        assert_eq!(told["operationId"], operation.name);
        let scope = told["security"][0]["token"][0].as_str();
        assert_eq!(scope, operation.scope.map(runner_api::Scope::as_str));
        let named = told["parameters"].as_array().unwrap();
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            assert!(
                named.iter().any(|it| it["name"] == name && it["in"] == "path" && it["required"] == true),
                "{path}"
            );
        }
        assert!(told["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2')));
        let scope = scope.unwrap_or("everybody");
        let statuses = told["responses"].as_object().unwrap().keys().map(|status| format!(" {status}"));
        let statuses: String = statuses.filter(|status| status != " default").collect();
        writeln!(lines, "{} {path} {} ({scope}){statuses}", method.to_uppercase(), operation.name).unwrap();
    }
    let at = |pointer: &str| document.pointer(pointer).unwrap().clone();
    assert_eq!(at("/paths/~1jobs/post/responses/200"), at("/paths/~1jobs/post/responses/201"));
    assert_eq!(at("/paths/~1readyz/get/responses/503"), at("/paths/~1readyz/get/responses/200"));
    assert_eq!(at("/paths/~1jobs/post/requestBody/required"), true);
    assert_eq!(at("/paths/~1jobs~1{id}~1cancel/post/requestBody/required"), false);
    let headers = at("/paths/~1jobs~1{id}~1logs~1stream/get/parameters");
    assert!(headers.as_array().unwrap().iter().any(|it| it["name"] == "Last-Event-ID" && it["in"] == "header"));
    let count =
        document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum::<usize>();
    assert_eq!(count, ALL.len());
    assert_snapshot!(lines, @"
    GET /healthz healthz (everybody) 200
    GET /readyz readyz (everybody) 200 503
    GET /openapi.json openapi (everybody) 200
    GET /metrics metrics (read) 200
    POST /jobs submit (submit) 200 201
    GET /jobs list (read) 200
    GET /jobs/{id} show (read) 200
    POST /jobs/{id}/cancel cancel (submit) 202
    POST /jobs/{id}/rerun rerun (submit) 201
    GET /jobs/{id}/events events (read) 200
    GET /jobs/{id}/logs logs (read) 200
    GET /jobs/{id}/logs/stream logs_stream (read) 200
    GET /jobs/{id}/artifacts artifacts (read) 200
    GET /jobs/{id}/artifacts/{path} artifact (read) 200
    GET /workers workers (read) 200
    GET /queue queue (read) 200
    POST /workers/{name}/drain drain (admin) 200
    POST /workers/{name}/resume resume (admin) 200
    ");
}
