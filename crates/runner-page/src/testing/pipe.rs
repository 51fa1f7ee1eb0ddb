//! Chromium's debugging protocol over its pipe: JSON documents, each ended by a zero byte.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long Chromium may take for an answer; its start is the slowest.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may say nothing on its way out.
const FAREWELL: Duration = Duration::from_secs(3);

/// Both directions.
pub(super) struct Pipe {
    to: ChildStdin,
    from: Receiver<Value>,
    calls: u64,
    told: Vec<Value>,
}

impl Pipe {
    pub(super) fn new(to: ChildStdin, from: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        thread::spawn(move || read(from, &sender));
        Self { to, from: receiver, calls: 0, told: Vec::new() }
    }

    /// The result of a method, or what Chromium says against it.
    ///
    /// # Panics
    /// When it does not answer.
    pub(super) fn call(&mut self, session: Option<&str>, method: &str, arguments: &Value) -> Result<Value, String> {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": arguments });
        if let Some(session) = session {
            call["sessionId"] = session.into();
        }
        self.to.write_all(format!("{call}\0").as_bytes()).unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut heard = self.from.recv_timeout(left).unwrap_or_else(|why| panic!("{method}: no answer: {why}"));
            if heard["id"] != self.calls {
                self.told.push(heard);
            } else if let Some(error) = heard.get("error") {
                return Err(error["message"].to_string());
            } else {
                return Ok(heard["result"].take());
            }
        }
    }

    /// Asks Chromium to end, and waits until it has closed its end.
    pub(super) fn close(&mut self) {
        let asked = self.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        while asked.is_ok() && self.from.recv_timeout(FAREWELL).is_ok() {}
    }

    /// Waits for something that is told unasked, for so long at most.
    pub(super) fn listen(&mut self, patience: Duration) {
        self.told.extend(self.from.recv_timeout(patience));
    }

    /// What Chromium told unasked since the last time.
    pub(super) fn told(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.told)
    }
}

fn read(from: impl Read, to: &Sender<Value>) {
    for document in BufReader::new(from).split(0).map_while(Result::ok) {
        let told = serde_json::from_slice(&document).is_ok_and(|document| to.send(document).is_ok());
        if !told {
            return;
        }
    }
}
