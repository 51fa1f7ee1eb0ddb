//! Logs: the end of one, and both while they are written.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::stream::{Stream as Events, unfold};
use job::{Job, Status};
use runner_wire::{LogEnd, LogPiece, LogTail, Stream};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::body::{Path, Words};
use crate::jobs::find;
use crate::principal::Principal;
use crate::problem::Refused;
use crate::room::Place;
use crate::service::Api;

/// The most lines of a tail.
const MAX_LINES: u32 = 10_000;
/// And where nobody says how many.
const LINES: u32 = 200;
/// The most bytes of a piece.
const PIECE: usize = 64 << 10;
/// A character has at most so many bytes.
const CHARACTER: usize = 4;
/// How often it is looked for more of a log that grows.
const TICK: Duration = Duration::from_millis(100);
/// How often a quiet stream shows that it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// Which end of which log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    #[serde(default = "stdout")]
    stream: Stream,
    tail: Option<u32>,
}

const fn stdout() -> Stream {
    Stream::Stdout
}

/// `GET /jobs/{id}/logs`
pub(crate) async fn tail(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Words(End { stream, tail }): Words<End>,
) -> Result<Json<LogTail>, Refused> {
    let lines = bounded(tail.unwrap_or(LINES))?;
    let job = find(&api, &id).await?;
    Ok(Json(ending(&api, &job, stream, lines).await?))
}

fn bounded(lines: u32) -> Result<u32, Refused> {
    if (1..=MAX_LINES).contains(&lines) {
        return Ok(lines);
    }
    let detail = format!("tail {lines} is not within 1..={MAX_LINES}");
    Err(Refused::bad("out-of-bounds", detail, "ask for a number of lines within the bounds"))
}

/// The end of a log; of a job that was not begun, nothing.
pub(crate) async fn ending(api: &Api, job: &Job, stream: Stream, lines: u32) -> Result<LogTail, Refused> {
    if job.life.epoch == 0 {
        return Ok(LogTail { stream, lines: Vec::new(), total_lines: 0 });
    }
    Ok(api.files.tail(&job.job_id, job.life.epoch, stream, lines).await?)
}

/// Which logs from where on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct From {
    stream: Option<Stream>,
    offset: Option<u64>,
    tail: Option<u32>,
}

/// `GET /jobs/{id}/logs/stream`
pub(crate) async fn stream(
    State(api): State<Arc<Api>>,
    who: Principal,
    Path(id): Path<String>,
    Words(from): Words<From>,
    headers: HeaderMap,
) -> Result<Sse<impl Events<Item = Result<Event, Infallible>>>, Refused> {
    let job = find(&api, &id).await?;
    let full = || {
        let detail = "too many live logs are open";
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-streams", detail, "close one").again_after(5)
    };
    let place = api.streams.now(&who.name).ok_or_else(full)?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let at = match last.and_then(At::parse) {
        Some(at) => at,
        None => begin(&api, &job, &from).await?,
    };
    let following = Following {
        news: api.store.hints().news(),
        api,
        job,
        at,
        only: from.stream,
        ready: VecDeque::new(),
        ended: false,
        who,
        looked: Instant::now(),
        _place: place,
    };
    let events = unfold(following, |mut following| async {
        let event = following.next().await?;
        Some((Ok(event), following))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Where a reader begins who was sent nothing.
async fn begin(api: &Api, job: &Job, from: &From) -> Result<At, Refused> {
    if from.offset.is_some() && from.stream.is_none() {
        return Err(Refused::bad("bad-query", "an offset is one of one log", "say of which: stream=stdout"));
    }
    let mut at = At { epoch: job.life.epoch, ..At::default() };
    if let Some(lines) = from.tail.map(bounded).transpose()?.filter(|_| at.epoch > 0) {
        for stream in STREAMS {
            at = at.with(stream, api.files.last_lines(&job.job_id, at.epoch, stream, lines).await?);
        }
    }
    Ok(match (from.stream, from.offset) {
        (Some(stream), Some(offset)) => at.with(stream, offset),
        _ => at,
    })
}

/// How much of which logs was sent: `EPOCH-STDOUT-STDERR`, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct At {
    epoch: u32,
    sent: [u64; 2],
}

impl At {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let epoch = parts.next()?.parse().ok()?;
        let sent = [parts.next()?.parse().ok()?, parts.next()?.parse().ok()?];
        parts.next().is_none().then_some(Self { epoch, sent })
    }

    fn with(mut self, stream: Stream, offset: u64) -> Self {
        self.sent[index(stream)] = offset;
        self
    }

    fn id(self) -> String {
        format!("{}-{}-{}", self.epoch, self.sent[0], self.sent[1])
    }
}

const fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

/// Somebody who reads the logs of a job as they are written.
struct Following {
    api: Arc<Api>,
    job: Job,
    at: At,
    only: Option<Stream>,
    news: watch::Receiver<()>,
    ready: VecDeque<Event>,
    ended: bool,
    who: Principal,
    /// When it was last asked whether they may still read.
    looked: Instant,
    _place: Place,
}

impl Following {
    /// The next event; `None` after the job's end, and when the service stops or knows who reads no more.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.ended || self.api.stop.is_cancelled() {
                return None;
            }
            if self.looked.elapsed() >= KEEP_ALIVE {
                if !self.who.lasts(&self.api).await.unwrap_or(false) {
                    return None;
                }
                self.looked = Instant::now();
            }
            // Whatever was written before the end is there when the end is.
            self.news.mark_unchanged();
            let Ok(Some(job)) = self.api.store.get(&self.job.job_id).await else { return None };
            self.job = job;
            self.turn();
            let only = self.only;
            for stream in STREAMS.into_iter().filter(|stream| only.is_none_or(|only| only == *stream)) {
                self.piece(stream).await?;
            }
            if !self.ready.is_empty() {
                continue;
            }
            if self.job.life.status.is_final() {
                self.end();
                continue;
            }
            tokio::select! {
                () = self.api.stop.cancelled() => return None,
                _ = self.news.changed() => {}
                () = sleep(TICK), if self.job.life.status == Status::Running => {}
                () = sleep(KEEP_ALIVE) => {}
            }
        }
    }

    /// With another epoch the logs begin anew.
    fn turn(&mut self) {
        let epoch = self.job.life.epoch;
        if epoch == self.at.epoch {
            return;
        }
        let first = self.at.epoch == 0;
        self.at = At { epoch, ..At::default() };
        if !first {
            let event = Event::default().event("attempt").id(self.at.id());
            self.ready.push_back(event.data(self.job.life.attempt.to_string()));
        }
    }

    async fn piece(&mut self, stream: Stream) -> Option<()> {
        if self.at.epoch == 0 {
            return Some(());
        }
        let (offset, epoch) = (self.at.sent[index(stream)], self.at.epoch);
        let read = self.api.files.log(&self.job.job_id, epoch, stream, offset, PIECE).await;
        // Who reads asks again, and gets the reason.
        let bytes =
            read.inspect_err(|error| tracing::warn!(job = %self.job.job_id, %error, "a log is not read")).ok()?;
        let whole = whole_characters(&bytes, self.job.life.status.is_final());
        if whole == 0 {
            return Some(());
        }
        let end = offset + whole as u64;
        self.at.sent[index(stream)] = end;
        let text = String::from_utf8_lossy(&bytes[..whole]).into_owned();
        self.push("log", &LogPiece { stream, epoch, offset, end, text });
        Some(())
    }

    fn end(&mut self) {
        self.ended = true;
        let exit = self.job.life.ending.as_ref().map_or(0, |ending| ending.exit);
        self.push("end", &LogEnd { status: self.job.life.status, exit });
    }

    fn push(&mut self, kind: &str, data: &impl serde::Serialize) {
        let data = serde_json::to_string(data).expect("documents have string keys and no failing serializer");
        self.ready.push_back(Event::default().event(kind).id(self.at.id()).data(data));
    }
}

/// How many bytes end with a whole character, where more may come.
fn whole_characters(bytes: &[u8], complete: bool) -> usize {
    if complete && bytes.len() < PIECE {
        return bytes.len();
    }
    let back = (1..CHARACTER.min(bytes.len() + 1)).find(|back| bytes[bytes.len() - back] & 0xC0 != 0x80);
    let Some(back) = back else { return bytes.len() };
    let begin = bytes.len() - back;
    match std::str::from_utf8(&bytes[begin..]) {
        // Only a character that is not there whole waits for the rest.
        Err(error) if error.error_len().is_none() => begin,
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_ends_with_a_whole_character() {
        for (bytes, want) in [
            (&b""[..], 0),
            (b"a", 1),
            ("aé".as_bytes(), 3),
            (&"aé".as_bytes()[..2], 1),
            (&"🦀".as_bytes()[..3], 0),
            ("🦀".as_bytes(), 4),
            (b"a\xff", 2),
            (b"\x80\x80\x80\x80\x80", 5),
        ] {
            assert_eq!(whole_characters(bytes, false), want, "{bytes:?}");
        }
        assert_eq!(whole_characters(&"é".as_bytes()[..1], true), 1);
    }

    #[test]
    fn where_a_reader_is_has_one_form() {
        let at = At { epoch: 2, sent: [10, 0] };
        assert_eq!(At::parse(&at.id()), Some(at));
        for bad in ["", "1", "1-2", "1-2-3-4", "a-b-c", "1--2"] {
            assert_eq!(At::parse(bad), None, "{bad}");
        }
    }
}
