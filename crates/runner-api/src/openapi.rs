//! The description of the API for clients: `OpenAPI` 3.1, made from the table of routes and the types of the documents.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use runner_wire as wire;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::operation::{ALL, Operation, Verb};

/// `GET /openapi.json`. Everybody may ask, so that an answer is to cost nothing.
pub(crate) async fn show() -> impl IntoResponse {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.clone())
}

/// The description.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|it| it.definitions_path = "/components/schemas".into());
    let mut schemas = settings.into_generator();
    let mut paths = Map::new();
    for operation in ALL {
        let path = paths.entry(operation.path.replace('*', "")).or_insert_with(|| json!({}));
        path[Method::from(operation.method).as_str().to_lowercase()] = described(operation, &mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "ai-ops-runner", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn described(operation: Operation, schemas: &mut SchemaGenerator) -> Value {
    let (status, answer) = answer(operation.name, schemas);
    let problem = content("application/json", &schemas.subschema_for::<wire::Problem>().into());
    let mut described = json!({
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": parameters(operation, schemas),
        "responses": {
            status: { "description": "Done", "content": answer },
            "default": { "description": "Why it was not done", "content": problem },
        },
    });
    match operation.name {
        // A job that is known by its key.
        "submit" => described["responses"]["200"] = described["responses"]["201"].clone(),
        // The same checks, not all of them good.
        "readyz" => described["responses"]["503"] = described["responses"]["200"].clone(),
        _ => {}
    }
    if let Some(scope) = operation.scope {
        described["security"] = json!([{ "token": [scope.as_str()] }]);
    }
    if operation.method == Verb::Post
        && let Some(body) = body(operation.name, schemas)
    {
        described["requestBody"] =
            json!({ "required": operation.name == "submit", "content": content("application/json", &body) });
    }
    described
}

fn content(kind: &str, schema: &Value) -> Value {
    json!({ kind: { "schema": schema } })
}

fn body(name: &str, schemas: &mut SchemaGenerator) -> Option<Value> {
    match name {
        "submit" => Some(schemas.subschema_for::<wire::Submit>().into()),
        "cancel" | "rerun" => Some(schemas.subschema_for::<wire::Why>().into()),
        _ => None,
    }
}

/// The status of what was done, and what the answer carries.
fn answer(name: &str, schemas: &mut SchemaGenerator) -> (&'static str, Value) {
    fn document<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
        content("application/json", &schemas.subschema_for::<T>().into())
    }
    match name {
        "healthz" => ("200", document::<wire::Health>(schemas)),
        "readyz" => ("200", document::<wire::Ready>(schemas)),
        "submit" | "rerun" => ("201", document::<wire::Submitted>(schemas)),
        "list" => ("200", document::<wire::Jobs>(schemas)),
        "show" => ("200", document::<wire::JobView>(schemas)),
        "cancel" => ("202", document::<wire::JobView>(schemas)),
        "events" => ("200", document::<wire::Events>(schemas)),
        "logs" => ("200", document::<wire::LogTail>(schemas)),
        "logs_stream" => {
            // The data of the events `log` and `end`.
            let data = [schemas.subschema_for::<wire::LogPiece>(), schemas.subschema_for::<wire::LogEnd>()];
            ("200", content("text/event-stream", &json!({ "anyOf": data })))
        }
        "artifacts" => ("200", document::<wire::Artifacts>(schemas)),
        "workers" | "drain" | "resume" => ("200", document::<wire::Workers>(schemas)),
        "queue" => ("200", document::<wire::Queue>(schemas)),
        "metrics" => ("200", content("application/openmetrics-text", &json!({ "type": "string" }))),
        "openapi" => ("200", content("application/json", &json!({ "type": "object" }))),
        _ => ("200", content("application/octet-stream", &json!({ "type": "string", "format": "binary" }))),
    }
}

fn parameters(operation: Operation, schemas: &mut SchemaGenerator) -> Vec<Value> {
    let in_path = operation.path.split(['{', '}']).skip(1).step_by(2).map(|name| {
        let name = name.trim_start_matches('*');
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let mut parameters: Vec<Value> = in_path.collect();
    let mut query =
        |name: &str, schema: Value| parameters.push(json!({ "name": name, "in": "query", "schema": schema }));
    let text = || json!({ "type": "string" });
    let number = |least: u32, most: u32| json!({ "type": "integer", "minimum": least, "maximum": most });
    match operation.name {
        "list" => {
            query("status", schemas.subschema_for::<job::Status>().into());
            query("repo_name", text());
            query("job_type", text());
            query("before", schemas.subschema_for::<job::Id>().into());
            query("limit", number(1, 200));
        }
        "logs" => {
            query("stream", schemas.subschema_for::<wire::Stream>().into());
            query("tail", number(1, 10_000));
        }
        "logs_stream" => {
            query("stream", schemas.subschema_for::<wire::Stream>().into());
            query("offset", json!({ "type": "integer", "minimum": 0 }));
            query("tail", number(1, 10_000));
            parameters.push(json!({ "name": "Last-Event-ID", "in": "header", "schema": text() }));
        }
        _ => {}
    }
    parameters
}
