//! `watch` and `logs`: what happens to a job while it happens.

use std::process::ExitCode;

use cli::Context;
use job::{Event, Id};
use outcome::{Exit, Failure};
use runner_client::{Client, News};
use runner_wire::{LogEnd, LogPiece, Stream};
use serde::Serialize;

use crate::args::{self, Logs, Watch};
use crate::service::connect;
use crate::told::{Told, line};

/// Of the end of a log, where nobody says how many.
const LINES: u32 = 200;

pub(crate) fn watch(args: &Watch, cx: &Context) -> Result<ExitCode, Failure> {
    let client = connect(&args.service, cx)?;
    // Whether there is such a job, before anything is waited for.
    client.show(&args.id)?;
    let end = if cx.console.json() { as_lines(&client, &args.id, cx) } else { to_the_end(&client, &args.id, cx) }?;
    if !cx.console.json() {
        finished(&client, &args.id, cx)?;
    }
    Ok(end.exit.into())
}

/// The job's code, when what became of the job was told. Where that failed, it is said; it takes the place of a success
/// alone: a result that is lost is not done.
pub(crate) fn code(end: &LogEnd, told: Result<(), Failure>, cx: &Context) -> Result<ExitCode, Failure> {
    match told {
        Err(failure) if end.exit == 0 => return Err(failure),
        Err(failure) if cx.console.json() => cx.console.object(&failure)?,
        Err(failure) => cx.console.note(&failure.text()),
        Ok(()) => {}
    }
    Ok(end.exit.into())
}

/// Tells how a job ended: with `--json` the result, else words beside it.
pub(crate) fn finished(client: &Client, id: &Id, cx: &Context) -> Result<(), Failure> {
    let job = match client.show(id) {
        Err(failure) if !cx.console.json() => {
            cx.console.note(&failure.text());
            return Ok(());
        }
        job => job?,
    };
    let told = Told::new(&job);
    if cx.console.json() {
        return cx.console.object(&told);
    }
    cx.console.note(&told.to_string());
    Ok(())
}

/// Waits for a job's end, and hands on its logs and its timeline meanwhile; nothing of them with `--json`.
pub(crate) fn to_the_end(client: &Client, id: &Id, cx: &Context) -> Result<LogEnd, Failure> {
    let mut timeline = Timeline::default();
    followed(client, id, |news| {
        timeline.tell(client, id, news, |event| cx.console.note(&line(event)))?;
        hand_on(news, cx);
        Ok(())
    })
}

/// The same with every piece of it as a line of JSON.
fn as_lines(client: &Client, id: &Id, cx: &Context) -> Result<LogEnd, Failure> {
    let mut timeline = Timeline::default();
    followed(client, id, |news| {
        let mut told = Ok(());
        timeline.tell(client, id, news, |event| {
            if told.is_ok() {
                told = cx.console.object(&Line::Timeline(event));
            }
        })?;
        told?;
        Line::of(news).map_or(Ok(()), |line| cx.console.object(&line))
    })
}

pub(crate) fn logs(args: &Logs, cx: &Context) -> Result<ExitCode, Failure> {
    let client = connect(&args.service, cx)?;
    let only = args.stream.map(|stream| match stream {
        args::Stream::Stdout => Stream::Stdout,
        args::Stream::Stderr => Stream::Stderr,
    });
    if !args.follow {
        return tails(&client, args, only, cx);
    }
    client.show(&args.id)?;
    for news in client.follow_last(&args.id, only, args.tail) {
        let news = news.map_err(|failure| goes_on(failure, &args.id))?;
        if cx.console.json() {
            Line::of(&news).map_or(Ok(()), |line| cx.console.object(&line))?;
        } else {
            hand_on(&news, cx);
        }
        if let News::End(end) = news {
            return Ok(end.exit.into());
        }
        // The log is all that is wanted here.
        if cx.console.unheard() {
            return Ok(Exit::Done.into());
        }
    }
    Err(no_end())
}

/// The ends of the logs: each to the stream that it was written to.
fn tails(client: &Client, args: &Logs, only: Option<Stream>, cx: &Context) -> Result<ExitCode, Failure> {
    let streams = [Stream::Stdout, Stream::Stderr].into_iter().filter(|it| only.is_none_or(|only| only == *it));
    let tails = streams
        .map(|stream| client.tail(&args.id, stream, args.tail.unwrap_or(LINES)))
        .collect::<Result<Vec<_>, _>>()?;
    if cx.console.json() {
        cx.console.object(&Tails { schema: 1, logs: &tails })?;
        return Ok(Exit::Done.into());
    }
    for tail in &tails {
        let left_out = tail.total_lines.saturating_sub(tail.lines.len() as u64);
        if left_out > 0 {
            cx.console.note(&format!("{left_out} lines before are not shown: --tail N, or --follow for all"));
        }
        let text: String = tail.lines.iter().map(|line| format!("{line}\n")).collect();
        cx.console.hand_on(of_host(tail.stream), text.as_bytes());
    }
    Ok(Exit::Done.into())
}

#[derive(Serialize)]
struct Tails<'a> {
    schema: u32,
    logs: &'a [runner_wire::LogTail],
}

/// Follows the logs to the job's end. That nobody waits any longer does not stop the job.
pub(crate) fn followed(
    client: &Client,
    id: &Id,
    mut tell: impl FnMut(&News) -> Result<(), Failure>,
) -> Result<LogEnd, Failure> {
    for news in client.follow(id, None) {
        let news = news.map_err(|failure| goes_on(failure, id))?;
        tell(&news).map_err(|failure| goes_on(failure, id))?;
        if let News::End(end) = news {
            return Ok(end);
        }
    }
    Err(no_end())
}

fn no_end() -> Failure {
    Failure::bug("no-end", "the log ended before the job", "report this with the command you ran")
}

fn goes_on(failure: Failure, id: &Id) -> Failure {
    if failure.class == "interrupted" {
        let reason = "stopped waiting for the job, which goes on";
        let next = format!("see on: runner watch {id}; or stop it: runner cancel {id}");
        return Failure::infrastructure("interrupted", reason, next);
    }
    failure
}

fn hand_on(news: &News, cx: &Context) {
    match news {
        News::Log(piece) => cx.console.hand_on(of_host(piece.stream), piece.text.as_bytes()),
        News::Attempt(attempt) => cx.console.note(&format!("attempt {attempt}: the logs begin anew")),
        News::Lost(why) => cx.console.note(&format!("the connection is lost and tried again: {why}")),
        News::Quiet | News::End(_) => {}
    }
}

const fn of_host(stream: Stream) -> host::Stream {
    match stream {
        Stream::Stdout => host::Stream::Stdout,
        Stream::Stderr => host::Stream::Stderr,
    }
}

/// How much of a job's timeline was told.
#[derive(Default)]
pub(crate) struct Timeline {
    told: usize,
    epoch: u32,
}

impl Timeline {
    /// Tells what is new, wherever `news` may mean that something is: not for each piece of a log.
    pub(crate) fn tell(
        &mut self,
        client: &Client,
        id: &Id,
        news: &News,
        mut tell: impl FnMut(&Event),
    ) -> Result<(), Failure> {
        match news {
            News::Log(piece) if piece.epoch == self.epoch => return Ok(()),
            News::Log(piece) => self.epoch = piece.epoch,
            News::Lost(_) => return Ok(()),
            News::Attempt(_) | News::Quiet | News::End(_) => {}
        }
        let events = match client.events(id) {
            // The end is known, and nothing is waited for any longer.
            Err(_) if matches!(news, News::End(_)) => return Ok(()),
            // The log is what is waited for; this is told next time.
            Err(failure) if failure.exit == Exit::Infrastructure && failure.class != "interrupted" => return Ok(()),
            events => events?.events,
        };
        events.iter().skip(self.told).for_each(&mut tell);
        self.told = events.len();
        Ok(())
    }
}

/// What happens, as a line of JSON.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    Timeline(&'a Event),
    Log(&'a LogPiece),
    Attempt { attempt: u32 },
    Lost { reason: &'a str },
    End(&'a LogEnd),
}

impl<'a> Line<'a> {
    fn of(news: &'a News) -> Option<Self> {
        match news {
            News::Log(piece) => Some(Self::Log(piece)),
            News::Attempt(attempt) => Some(Self::Attempt { attempt: *attempt }),
            News::Lost(reason) => Some(Self::Lost { reason }),
            News::End(end) => Some(Self::End(end)),
            News::Quiet => None,
        }
    }
}
