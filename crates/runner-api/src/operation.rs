//! The table of routes: from it the router, the guard before each handler, and the description for clients are made.

use axum::http::Method;

use crate::scope::Scope;

/// One thing that a client can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Its name: what metrics and the description call it.
    pub name: &'static str,
    /// `GET` or `POST`.
    pub method: Verb,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// What it takes; none where everybody may ask.
    pub scope: Option<Scope>,
    /// What it does.
    pub summary: &'static str,
    /// Its answer takes as long as the client reads.
    pub streams: bool,
    /// Its answer may have many megabytes.
    pub large: bool,
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// It changes nothing.
    Get,
    /// It changes something.
    Post,
}

impl From<Verb> for Method {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Get => Self::GET,
            Verb::Post => Self::POST,
        }
    }
}

const fn get(name: &'static str, path: &'static str, scope: Option<Scope>, summary: &'static str) -> Operation {
    Operation { name, method: Verb::Get, path, scope, summary, streams: false, large: false }
}

const fn post(name: &'static str, path: &'static str, scope: Scope, summary: &'static str) -> Operation {
    Operation { name, method: Verb::Post, path, scope: Some(scope), summary, streams: false, large: false }
}

/// One whose answer is as long as a job made it.
const fn large(operation: Operation) -> Operation {
    Operation { large: true, ..operation }
}

const READ: Option<Scope> = Some(Scope::Read);

/// Every operation.
pub const ALL: [Operation; 18] = [
    get("healthz", "/healthz", None, "The service is there"),
    get("readyz", "/readyz", None, "Whether a job that is submitted now would be run"),
    get("openapi", "/openapi.json", None, "This description"),
    get("metrics", "/metrics", READ, "What a monitor reads, as OpenMetrics"),
    post("submit", "/jobs", Scope::Submit, "Submit a job; the same idempotency key again is the same job (200)"),
    large(get("list", "/jobs", READ, "Jobs, the newest first")),
    get("show", "/jobs/{id}", READ, "One job"),
    post("cancel", "/jobs/{id}/cancel", Scope::Submit, "Stop a job: TERM, a while, KILL"),
    post("rerun", "/jobs/{id}/rerun", Scope::Submit, "Submit what an ended job was asked for with once more"),
    get("events", "/jobs/{id}/events", READ, "A job's timeline"),
    large(get("logs", "/jobs/{id}/logs", READ, "The last lines of a log")),
    Operation {
        streams: true,
        ..get(
            "logs_stream",
            "/jobs/{id}/logs/stream",
            READ,
            "Both logs as they are written: server-sent events `log`, `attempt`, `end`; their id is where to go on",
        )
    },
    large(get("artifacts", "/jobs/{id}/artifacts", READ, "The files that a job left")),
    Operation { streams: true, ..get("artifact", "/jobs/{id}/artifacts/{*path}", READ, "One of these files") },
    get("workers", "/workers", READ, "The processes that run jobs"),
    get("queue", "/queue", READ, "What waits and what runs, by repository"),
    post("drain", "/workers/{name}/drain", Scope::Admin, "Let a worker take no more jobs; `/` in its name is `%2F`"),
    post("resume", "/workers/{name}/resume", Scope::Admin, "Let it take jobs again"),
];
