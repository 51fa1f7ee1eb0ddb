//! Both logs of a job as they are written, across restarts of the API.
//!
//! **Invariant:** a byte of an attempt's log is told once: after a break the stream goes on where the last whole event
//! ended.
//! **Invariant:** what breaks is tried again for two minutes at most; a stream of which nothing comes is broken.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use job::Id;
use outcome::Failure;
use reqwest::Response;
use reqwest::header::{HeaderMap, HeaderValue};
use runner_wire::{LogEnd, LogPiece, Stream};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use crate::answer::{Kind, Missed};
use crate::client::{Call, Client, word};
use crate::sse::{Event, Parser};

/// After so long without an event it is told that there is none.
const QUIET: Duration = Duration::from_secs(1);
/// How long the stream may take to begin.
const BEGIN: Duration = Duration::from_secs(40);

/// What a follower is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A piece of a log.
    Log(LogPiece),
    /// Another attempt began, this one: the logs begin anew.
    Attempt(u32),
    /// Nothing was written for a second.
    Quiet,
    /// The connection broke, and is tried again; told once for each break.
    Lost(String),
    /// The job ended, and all of its logs was told.
    End(LogEnd),
}

/// An iterator over what happens. It ends after [`News::End`] and after a failure.
pub struct Follow<'a> {
    client: &'a Client,
    id: &'a Id,
    only: Option<Stream>,
    lines: Option<u32>,
    silence: Duration,
    open: Option<Response>,
    parser: Parser,
    /// The id of the last event.
    last: Option<String>,
    /// Where the logs of which epoch are.
    at: (u32, [u64; 2]),
    heard: Instant,
    waits: ExponentialBackoff,
    /// Before the next try.
    pause: Duration,
    lost: bool,
    ended: bool,
}

impl<'a> Follow<'a> {
    pub(crate) fn new(
        client: &'a Client,
        id: &'a Id,
        only: Option<Stream>,
        lines: Option<u32>,
        silence: Duration,
    ) -> Self {
        let (parser, waits) = (Parser::default(), waits());
        Self {
            client,
            id,
            only,
            lines,
            silence,
            open: None,
            parser,
            last: None,
            at: (0, [0; 2]),
            heard: Instant::now(),
            waits,
            pause: Duration::ZERO,
            lost: false,
            ended: false,
        }
    }

    async fn news(&mut self) -> Result<News, Failure> {
        loop {
            while let Some(event) = self.parser.next() {
                if let Some(news) = self.read(event)? {
                    return Ok(news);
                }
            }
            let Some(response) = &mut self.open else {
                sleep(std::mem::take(&mut self.pause)).await;
                match self.begin().await {
                    Ok(response) => (self.open, self.heard) = (Some(response), Instant::now()),
                    Err(missed) => {
                        if let Some(news) = self.broke(missed)? {
                            return Ok(news);
                        }
                    }
                }
                continue;
            };
            match timeout(QUIET, response.chunk()).await {
                Ok(Ok(Some(bytes))) => {
                    (self.heard, self.waits, self.lost) = (Instant::now(), waits(), false);
                    if self.parser.feed(&bytes).is_err() {
                        return Err(self.nonsense("an event is too long").failure);
                    }
                }
                Err(_) if self.heard.elapsed() < self.silence => return Ok(News::Quiet),
                ended => {
                    let why = match ended {
                        Ok(Err(error)) => Missed::of(&error, self.client.base()).failure.reason,
                        Ok(Ok(_)) => format!("{}: the stream ended before the job", self.client.base()),
                        Err(_) => format!("{}: nothing came for {} s", self.client.base(), self.silence.as_secs()),
                    };
                    if let Some(news) = self.broke(Missed::broken(why))? {
                        return Ok(news);
                    }
                }
            }
        }
    }

    async fn begin(&self) -> Result<Response, Missed> {
        let words = ["jobs", self.id.as_str(), "logs", "stream"];
        let only = self.only.map(|stream| ("stream", word(stream).to_owned()));
        let lines = self.lines.map(|lines| ("tail", lines.to_string()));
        let query: Vec<_> = only.into_iter().chain(lines).collect();
        let mut headers = HeaderMap::new();
        if let Some(last) = self.last.as_ref().and_then(|last| HeaderValue::from_str(last).ok()) {
            headers.insert("last-event-id", last);
        }
        let call = Call::get(&words, &query);
        let begun = timeout(BEGIN, self.client.once(&call, &headers)).await;
        begun.unwrap_or_else(|_| Err(Missed::broken(format!("{}: the stream does not begin", self.client.base()))))
    }

    /// The stream is tried again after a pause. Returns what is told of the break, once.
    fn broke(&mut self, missed: Missed) -> Result<Option<News>, Failure> {
        (self.open, self.parser) = (None, Parser::default());
        let least = match missed.kind {
            Kind::Final => return Err(missed.failure),
            Kind::Absent | Kind::Broken | Kind::Later(None) => Duration::ZERO,
            Kind::Later(Some(least)) => least,
        };
        let Some(wait) = self.waits.next() else {
            let next = format!("the job may go on all the same; when the API is back: runner watch {}", self.id);
            return Err(Failure { next, ..missed.failure });
        };
        self.pause = wait.max(least);
        let first = !std::mem::replace(&mut self.lost, true);
        Ok(first.then_some(News::Lost(missed.failure.reason)))
    }

    /// What an event tells. What is not known, and what was told before, tells nothing.
    fn read(&mut self, event: Event) -> Result<Option<News>, Failure> {
        let news = match event.kind.as_str() {
            "log" => {
                let piece: LogPiece = self.document(&event.data)?;
                let (epoch, ends) = &mut self.at;
                if *epoch != piece.epoch {
                    (*epoch, *ends) = (piece.epoch, [0; 2]);
                }
                let end = &mut ends[usize::from(piece.stream == Stream::Stderr)];
                let is_new = piece.end > *end;
                *end = piece.end.max(*end);
                is_new.then_some(News::Log(piece))
            }
            "attempt" => Some(News::Attempt(self.document(&event.data)?)),
            "end" => {
                self.ended = true;
                Some(News::End(self.document(&event.data)?))
            }
            _ => None,
        };
        if event.id.is_some() {
            self.last = event.id;
        }
        Ok(news)
    }

    fn document<T: DeserializeOwned>(&self, data: &str) -> Result<T, Failure> {
        serde_json::from_str(data).map_err(|error| self.nonsense(&error.to_string()).failure)
    }

    fn nonsense(&self, why: &str) -> Missed {
        Missed::not_the_api(self.client.base(), why)
    }
}

impl Iterator for Follow<'_> {
    type Item = Result<News, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let client = self.client;
        let news = client.wait(self.news());
        self.ended |= news.is_err();
        Some(news)
    }
}

/// The waits between the tries: about two minutes altogether, anew whenever something came.
fn waits() -> ExponentialBackoff {
    let (least, most) = (Duration::from_millis(100), Duration::from_secs(5));
    ExponentialBuilder::new().with_min_delay(least).with_factor(2.0).with_max_delay(most).with_max_times(29).build()
}
