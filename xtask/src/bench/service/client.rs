//! A client of the service that costs little beside what it measures: HTTP/1.1 over one connection that stays open.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// No answer takes that long: the service gives up before.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where a service is, and what it wants to hear.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) address: SocketAddr,
    pub(super) token: String,
}

/// One connection.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    token: String,
}

impl Service {
    pub(super) fn connect(&self) -> io::Result<Client> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client { stream: BufReader::new(stream), token: self.token.clone() })
    }
}

impl Client {
    pub(super) fn get(&mut self, path: &str) -> io::Result<Value> {
        self.ask("GET", path, "")
    }

    pub(super) fn post(&mut self, path: &str, body: &Value) -> io::Result<Value> {
        self.ask("POST", path, &body.to_string())
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<Value> {
        let (token, length) = (&self.token, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.answer().map_err(|error| io::Error::new(error.kind(), format!("{method} {path}: {error}")))
    }

    fn answer(&mut self) -> io::Result<Value> {
        let odd = |what: &str| io::Error::other(what.to_owned());
        let status = self.line()?;
        let mut length = None;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            length = line.strip_prefix("content-length:").map_or(length, |number| number.trim().parse().ok());
        }
        let mut body = vec![0; length.ok_or_else(|| odd("an answer without a length"))?];
        self.stream.read_exact(&mut body)?;
        match status.split(' ').nth(1) {
            Some("200" | "201" | "202") => Ok(serde_json::from_slice(&body)?),
            _ => Err(odd(&format!("{status}: {}", String::from_utf8_lossy(&body)))),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}
