//! The requests, and how often they are tried.

use std::future::Future;
use std::io::Write;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use host::{Cancel, Host as _, Local};
use job::{Id, Status};
use outcome::Failure;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Method, Response, StatusCode};
use runner_wire::{
    Artifacts, Events, Health, JobView, Jobs, LogTail, Queue, Ready, Stream, Submit, Submitted, Why, Workers,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep, timeout};

use crate::answer::{Kind, Missed, document, good};
use crate::base::{Base, LOCALHOST, LOOPBACK};
use crate::follow::Follow;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take, all of it. The service itself gives up after 30 seconds.
const ANSWER: Duration = Duration::from_secs(40);
/// How long nothing may come of what takes as long as it takes.
const SILENCE: Duration = Duration::from_secs(20);
/// How often a service that is not ready is asked again.
const AGAIN: Duration = Duration::from_millis(200);
/// How often it is looked whether somebody wants to stop.
const TICK: Duration = Duration::from_millis(50);

/// The API of one runner.
pub struct Client {
    http: reqwest::Client,
    runtime: Runtime,
    base: Base,
    cancel: Cancel,
    silence: Duration,
}

/// Which jobs a list has; each that is none counts not.
#[derive(Debug, Default, Clone)]
pub struct Which {
    /// Those in this state.
    pub status: Option<Status>,
    /// Those of this repository.
    pub repo: Option<String>,
    /// Those of this job of the allowlist.
    pub job: Option<String>,
    /// Those that are older than this one.
    pub before: Option<Id>,
    /// At most so many: 1 to 200, else 50.
    pub limit: Option<u32>,
}

/// One request.
pub(crate) struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    query: &'a [(&'a str, String)],
    body: Option<Vec<u8>>,
    /// Twice is the same as once.
    again: bool,
    /// A status that is an answer too.
    also: Option<StatusCode>,
}

impl<'a> Call<'a> {
    pub(crate) const fn get(path: &'a [&'a str], query: &'a [(&'a str, String)]) -> Self {
        Self { method: Method::GET, path, query, body: None, again: true, also: None }
    }

    fn post(path: &'a [&'a str], body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("documents have string keys and no failing serializer");
        Self { method: Method::POST, body: Some(body), ..Self::get(path, &[]) }
    }
}

impl Client {
    /// For the API at `base`, with the secret of a token.
    ///
    /// # Errors
    /// Not ready: class `bad-token` for what cannot be one, `tls` when this machine has no certificates to judge by;
    /// infrastructure, class `runtime`, when the system has no room.
    pub fn new(base: Base, token: Option<&str>) -> Result<Self, Failure> {
        // Whichever a program has chosen before will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let agent = concat!("ai-ops-runner/", env!("CARGO_PKG_VERSION"));
        let mut builder = reqwest::Client::builder()
            .user_agent(agent)
            .connect_timeout(CONNECT)
            .redirect(Policy::none())
            .default_headers(authorization(token)?)
            .resolve_to_addrs(LOCALHOST, &LOOPBACK);
        if !base.is_tls() {
            // Nothing of it leaves the machine, so neither a proxy nor a certificate has a say.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        if let Some(socket) = base.socket() {
            builder = builder.unix_socket(socket);
        }
        let http = builder.build().map_err(|error| {
            Failure::not_ready("tls", error.to_string(), "install the certificates of public CAs: ca-certificates")
        })?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| {
            Failure::infrastructure("runtime", error.to_string(), "free some memory, then try again")
        })?;
        Ok(Self { http, runtime, base, cancel: Cancel::default(), silence: SILENCE })
    }

    /// Each wait ends when `cancel` says so.
    #[must_use]
    pub fn cancelled_by(self, cancel: Cancel) -> Self {
        Self { cancel, ..self }
    }

    /// A stream of which nothing came for so long is broken: 20 seconds where nobody says so. The service says something
    /// every 5.
    #[must_use]
    pub fn silence(self, silence: Duration) -> Self {
        Self { silence, ..self }
    }

    /// Where the API is.
    pub const fn base(&self) -> &Base {
        &self.base
    }

    /// That it is there: `GET /healthz`.
    ///
    /// # Errors
    /// Infrastructure: class `api-unreachable`, `api-broken`, or `not-the-api`. Any request may fail with these.
    pub fn health(&self) -> Result<Health, Failure> {
        self.document(Call::get(&["healthz"], &[]))
    }

    /// Whether a job that is submitted now would be run; what is not ready is an answer too.
    ///
    /// # Errors
    /// As [`Client::health`].
    pub fn ready(&self) -> Result<Ready, Failure> {
        self.document(Call { also: Some(StatusCode::SERVICE_UNAVAILABLE), ..Call::get(&["readyz"], &[]) })
    }

    /// The same, asked until it is ready or `patience` is over: a service that was just started has no worker yet.
    ///
    /// # Errors
    /// As [`Client::health`].
    pub fn ready_within(&self, patience: Duration) -> Result<Ready, Failure> {
        let asked = Instant::now();
        loop {
            let ready = self.ready()?;
            if ready.ok || asked.elapsed() > patience {
                return Ok(ready);
            }
            self.wait(async {
                sleep(AGAIN).await;
                Ok(())
            })?;
        }
    }

    /// Submits a job. Without an idempotency key it gets a random one, so that a request whose answer was lost is sent
    /// again and is one job.
    ///
    /// # Errors
    /// With what the service says: refused when the job is not admitted or the key is another job's; usage for what is out
    /// of bounds; not ready, class `unauthenticated` or `scope-missing`; infrastructure when it has no time.
    pub fn submit(&self, wanted: &Submit) -> Result<Submitted, Failure> {
        let key = wanted.idempotency_key.clone().unwrap_or_else(|| Local::new().random_hex(16));
        let wanted = Submit { idempotency_key: Some(key), ..wanted.clone() };
        self.document(Call::post(&["jobs"], &wanted))
    }

    /// Jobs, the newest first.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub fn list(&self, which: &Which) -> Result<Jobs, Failure> {
        let Which { status, repo, job, before, limit } = which;
        let words = [
            ("status", status.map(|status| status.as_str().to_owned())),
            ("repo_name", repo.clone()),
            ("job_type", job.clone()),
            ("before", before.as_ref().map(ToString::to_string)),
            ("limit", limit.map(|limit| limit.to_string())),
        ];
        let query: Vec<_> = words.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        self.document(Call::get(&["jobs"], &query))
    }

    /// One job.
    ///
    /// # Errors
    /// As [`Client::submit`]; refused, class `no-job`, when there is none. So do all that name a job.
    pub fn show(&self, id: &Id) -> Result<JobView, Failure> {
        self.document(Call::get(&["jobs", id.as_str()], &[]))
    }

    /// Has a job stopped: what the service answers is that it will be.
    ///
    /// # Errors
    /// As [`Client::show`]; refused, class `job-ended`, when it ended before and not by the same wish.
    pub fn cancel(&self, id: &Id, why: Option<&str>) -> Result<JobView, Failure> {
        self.document(Call::post(&["jobs", id.as_str(), "cancel"], &reason(why)))
    }

    /// Submits what an ended job was asked for with once more. It is tried once: twice would be two jobs.
    ///
    /// # Errors
    /// As [`Client::show`]; refused, class `job-not-ended`, while it goes on.
    pub fn rerun(&self, id: &Id, why: Option<&str>) -> Result<Submitted, Failure> {
        self.document(Call { again: false, ..Call::post(&["jobs", id.as_str(), "rerun"], &reason(why)) })
    }

    /// A job's timeline.
    ///
    /// # Errors
    /// As [`Client::show`].
    pub fn events(&self, id: &Id) -> Result<Events, Failure> {
        self.document(Call::get(&["jobs", id.as_str(), "events"], &[]))
    }

    /// The last lines of a log: 1 to 10,000.
    ///
    /// # Errors
    /// As [`Client::show`].
    pub fn tail(&self, id: &Id, stream: Stream, lines: u32) -> Result<LogTail, Failure> {
        let query = [("stream", word(stream).to_owned()), ("tail", lines.to_string())];
        self.document(Call::get(&["jobs", id.as_str(), "logs"], &query))
    }

    /// Both logs of a job, or one, as they are written; to its end.
    pub fn follow<'a>(&'a self, id: &'a Id, only: Option<Stream>) -> Follow<'a> {
        self.follow_last(id, only, None)
    }

    /// The same from the last so many lines on: 1 to 10,000.
    pub fn follow_last<'a>(&'a self, id: &'a Id, only: Option<Stream>, lines: Option<u32>) -> Follow<'a> {
        Follow::new(self, id, only, lines, self.silence)
    }

    /// The files that a job left.
    ///
    /// # Errors
    /// As [`Client::show`].
    pub fn artifacts(&self, id: &Id) -> Result<Artifacts, Failure> {
        self.document(Call::get(&["jobs", id.as_str(), "artifacts"], &[]))
    }

    /// Writes one of these files to `to`, at most `most` bytes of it. Returns how many it has.
    ///
    /// # Errors
    /// As [`Client::show`]; refused, class `no-artifact`, when there is no such file; infrastructure, class
    /// `artifact-too-large`, when it has more; not ready, class `output`, when `to` does not take them.
    pub fn download(&self, id: &Id, path: &str, most: u64, to: &mut dyn Write) -> Result<u64, Failure> {
        let mut words = vec!["jobs", id.as_str(), "artifacts"];
        words.extend(path.split('/'));
        let call = Call::get(&words, &[]);
        let mut response = self.wait(self.answered(&call))?;
        let mut bytes = 0;
        while let Some(piece) = self.wait(self.piece(&mut response))? {
            bytes += piece.len() as u64;
            if bytes > most {
                let reason = format!("{path} has more than {most} bytes");
                return Err(Failure::infrastructure("artifact-too-large", reason, "list the job's artifacts again"));
            }
            to.write_all(&piece).map_err(|error| {
                if host::is_full(&error) {
                    return host::disk_full(format!("{path}: {error}"));
                }
                Failure::not_ready("output", format!("{path}: {error}"), "see that it can be written, then try again")
            })?;
        }
        Ok(bytes)
    }

    async fn piece(
        &self,
        response: &mut Response,
    ) -> Result<Option<impl std::ops::Deref<Target = [u8]> + use<>>, Failure> {
        let piece = timeout(self.silence, response.chunk()).await;
        let piece = piece.map_err(|_| Missed::broken(format!("{}: nothing more comes", self.base)).failure)?;
        piece.map_err(|error| Missed::of(&error, &self.base).failure)
    }

    /// The processes that run jobs.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub fn workers(&self) -> Result<Workers, Failure> {
        self.document(Call::get(&["workers"], &[]))
    }

    /// What waits and what runs.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub fn queue(&self) -> Result<Queue, Failure> {
        self.document(Call::get(&["queue"], &[]))
    }

    /// Lets a worker take no more jobs.
    ///
    /// # Errors
    /// As [`Client::submit`]; refused, class `no-worker`.
    pub fn drain(&self, worker: &str) -> Result<Workers, Failure> {
        self.document(Call::post(&["workers", worker, "drain"], &Why::default()))
    }

    /// Lets it take jobs again.
    ///
    /// # Errors
    /// As [`Client::drain`].
    pub fn resume(&self, worker: &str) -> Result<Workers, Failure> {
        self.document(Call::post(&["workers", worker, "resume"], &Why::default()))
    }

    #[allow(clippy::needless_pass_by_value, reason = "a call is made once")]
    fn document<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Failure> {
        self.wait(self.tried(&call, async |response| document(response, &self.base).await))
    }

    async fn answered(&self, call: &Call<'_>) -> Result<Response, Failure> {
        self.tried(call, async |response| Ok(response)).await
    }

    /// Tries a request until it has an answer that `read` can use, a few times. Where nobody was there from the start,
    /// nobody is waited for.
    async fn tried<T>(&self, call: &Call<'_>, read: impl AsyncFn(Response) -> Result<T, Missed>) -> Result<T, Failure> {
        let mut waits = retries().build();
        let mut was_there = false;
        loop {
            let once = async { read(self.once(call, &HeaderMap::new()).await?).await };
            let missed = match timeout(ANSWER, once).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(missed)) => missed,
                Err(_) => Missed::broken(format!("{}: no answer within {} s", self.base, ANSWER.as_secs())),
            };
            was_there |= missed.kind != Kind::Absent;
            let least = match missed.kind {
                Kind::Final => None,
                Kind::Absent => was_there.then_some(Duration::ZERO),
                Kind::Broken => Some(Duration::ZERO),
                Kind::Later(wait) => Some(wait.unwrap_or_default()),
            };
            match (least.filter(|_| call.again), waits.next()) {
                (Some(least), Some(wait)) => sleep(wait.max(least)).await,
                _ => return Err(missed.failure),
            }
        }
    }

    pub(crate) async fn once(&self, call: &Call<'_>, headers: &HeaderMap) -> Result<Response, Missed> {
        let mut request = self.http.request(call.method.clone(), self.base.at(call.path, call.query));
        request = request.headers(headers.clone());
        if let Some(body) = &call.body {
            request = request.header("content-type", "application/json").body(body.clone());
        }
        let response = request.send().await.map_err(|error| Missed::of(&error, &self.base))?;
        good(response, call.also, &self.base).await
    }

    /// Waits until `work` is done, or somebody wants to stop.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.runtime.block_on(async {
            tokio::select! {
                done = work => done,
                () = cancelled(&self.cancel) => Err(Failure::infrastructure(
                    "interrupted",
                    format!("{} was not waited for any longer", self.base),
                    "ask again",
                )),
            }
        })
    }
}

/// The waits between the tries of a request: four seconds altogether.
fn retries() -> ExponentialBuilder {
    ExponentialBuilder::new().with_min_delay(Duration::from_millis(250)).with_factor(2.0).with_max_times(4)
}

async fn cancelled(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        sleep(TICK).await;
    }
}

fn authorization(token: Option<&str>) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            Failure::not_ready("bad-token", "the token is no plain text", "set RUNNER_TOKEN to a token, or to nothing")
        })?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn reason(why: Option<&str>) -> Why {
    Why { why: why.map(str::to_owned) }
}

pub(crate) const fn word(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    }
}
