//! What an answer means: what was asked for, or why there is none.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use outcome::{Exit, Failure};
use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};
use runner_wire::Problem;
use serde::de::DeserializeOwned;

use crate::base::Base;

/// The longest answer that is read whole, in bytes: the list of a job's files is shorter than half of what artifact.json,
/// which names each of them twice, may have.
pub(crate) const MAX_BYTES: usize = job::artifact::MAX_BYTES / 2;
/// The longest time that a service is waited for because it says so.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// What a request is refused as that was written wrong.
const WRITTEN_WRONG: [&str; 6] =
    ["bad-body", "bad-idempotency-key", "bad-query", "bad-reason", "header-twice", "out-of-bounds"];

/// A request that has no answer.
#[derive(Debug)]
pub(crate) struct Missed {
    pub(crate) failure: Failure,
    pub(crate) kind: Kind,
}

/// What can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The same again is answered the same.
    Final,
    /// Nobody is there: nothing was sent.
    Absent,
    /// The connection broke, or the answer took too long: what was asked for may have been done.
    Broken,
    /// The service has no time now; perhaps it says when.
    Later(Option<Duration>),
}

impl Missed {
    /// Something went wrong between here and the service.
    pub(crate) fn of(error: &reqwest::Error, base: &Base) -> Self {
        let reason = format!("{base}: {}", causes(error));
        if error.is_connect() {
            return Self { failure: absent(base, reason), kind: Kind::Absent };
        }
        Self::broken(reason)
    }

    pub(crate) fn broken(reason: String) -> Self {
        let next = "try again; if it stays, see what the service logs";
        Self { failure: Failure::infrastructure("api-broken", reason, next), kind: Kind::Broken }
    }

    pub(crate) fn not_the_api(base: &Base, why: &str) -> Self {
        let reason = format!("what answers at {base} is not the runner's API: {why}");
        let next = "name where it is: --api or API_BASE";
        Self { failure: Failure::infrastructure("not-the-api", reason, next), kind: Kind::Final }
    }

    /// The service says why not.
    fn said(status: StatusCode, body: &[u8], wait: Option<Duration>, base: &Base) -> Self {
        let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
            let missed = Self::not_the_api(base, &format!("it says {status}"));
            let kind = if status.is_server_error() { Kind::Later(wait) } else { Kind::Final };
            return Self { kind, ..missed };
        };
        let class = class(problem.class).unwrap_or(match status {
            StatusCode::NOT_FOUND => "no-job".into(),
            _ => "api-refused".into(),
        });
        let next = problem.next.unwrap_or_else(|| match status {
            StatusCode::NOT_FOUND => "see which there are: runner list".into(),
            _ => "see what the service logs".into(),
        });
        let (exit, kind) = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (Exit::NotReady, Kind::Final),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                (Exit::Infrastructure, Kind::Later(wait))
            }
            StatusCode::BAD_REQUEST if WRITTEN_WRONG.contains(&&*class) => (Exit::Usage, Kind::Final),
            StatusCode::PAYLOAD_TOO_LARGE => (Exit::Usage, Kind::Final),
            status if status.is_client_error() => (Exit::Refused, Kind::Final),
            _ => (Exit::Infrastructure, Kind::Final),
        };
        Self { failure: Failure { exit, class, reason: problem.detail, next, refusals: Vec::new() }, kind }
    }
}

fn absent(base: &Base, reason: String) -> Failure {
    let next = if base.is_here() {
        "start it: runner-api --with-worker"
    } else {
        "see that it runs there, and --api or API_BASE"
    };
    Failure::infrastructure("api-unreachable", reason, next)
}

/// A class is a word that programs match on: nothing else is passed on as one.
fn class(said: Option<String>) -> Option<Cow<'static, str>> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    said.filter(|class| (1..=64).contains(&class.len()) && class.bytes().all(plain)).map(Cow::Owned)
}

/// An error of the connection hides what the system said behind several of its own.
fn causes(error: &dyn Error) -> String {
    let mut all = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        let says_nothing = text.starts_with("client error");
        if !says_nothing && !all.iter().any(|said: &String| said.contains(&text)) {
            all.push(text);
        }
        next = cause.source();
    }
    if all.is_empty() { error.to_string() } else { all.join(": ") }
}

/// An answer whose status is the one that was asked for, or that `also` takes.
pub(crate) async fn good(response: Response, also: Option<StatusCode>, base: &Base) -> Result<Response, Missed> {
    let status = response.status();
    if status.is_success() || also == Some(status) {
        return Ok(response);
    }
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let wait = seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
    let body = whole(response, base).await?;
    Err(Missed::said(status, &body, wait, base))
}

/// The document of an answer.
pub(crate) async fn document<T: DeserializeOwned>(response: Response, base: &Base) -> Result<T, Missed> {
    let body = whole(response, base).await?;
    serde_json::from_slice(&body).map_err(|error| Missed::not_the_api(base, &error.to_string()))
}

async fn whole(mut response: Response, base: &Base) -> Result<Vec<u8>, Missed> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| Missed::of(&error, base))? {
        if body.len() + piece.len() > MAX_BYTES {
            return Err(Missed::not_the_api(base, &format!("its answer has more than {MAX_BYTES} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}
