//! As much of HTTP/1.1 as the Codex CLI speaks to its model: one request a connection, then close.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::reply::{Ending, Reply, events};
use crate::request::Request;

/// Longest body taken: codex's own limit on a prompt is a mebibyte of characters.
const BODY_CAP: u64 = 64 << 20;

/// Reads one request, `None` when the client closed without sending one.
pub(crate) fn read(stream: &TcpStream) -> io::Result<Option<Request>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let headers = headers(&mut reader)?;
    let body = body(&mut reader, &headers)?;
    Ok(Some(Request { method, path, headers, body }))
}

fn headers(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => return Ok(headers),
        }
    }
}

fn body(reader: &mut impl Read, headers: &[(String, String)]) -> io::Result<Value> {
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut bytes = Vec::new();
    reader.take(length.unwrap_or(0).min(BODY_CAP)).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// Writes what the reply says, and breaks the connection where it says so.
pub(crate) fn write(stream: &mut TcpStream, reply: &Reply) -> io::Result<()> {
    match reply {
        Reply::Stream { items, usage, ending } => {
            let body = events(items, *usage, ending);
            // Announcing more than is sent is what a cut connection looks like to the client.
            let length = body.len() + if *ending == Ending::Cut { 1000 } else { 0 };
            head(stream, 200, "text/event-stream", length, "")?;
            stream.write_all(body.as_bytes())
        }
        Reply::Status { code, retry_after, message } => {
            let body = json!({"error": {"code": message, "message": message}}).to_string();
            let extra = retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
            head(stream, *code, "application/json", body.len(), &extra)?;
            stream.write_all(body.as_bytes())
        }
        Reply::Drop => Ok(()),
        Reply::Hang => stream.read_to_end(&mut Vec::new()).map(drop),
    }
}

fn head(stream: &mut TcpStream, code: u16, kind: &str, length: usize, extra: &str) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {code} scripted\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{extra}connection: close\r\n\r\n"
    )
}
