//! A client of HTTP/1.1 that sends what it is told to, also what no client should.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

#[derive(Clone)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Who asks, and where.
#[derive(Clone)]
pub(crate) struct Client {
    place: Place,
    token: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Status and class of a refusal, which has all its fields.
    pub(crate) fn refusal(&self) -> String {
        let problem = self.json();
        assert_eq!(self.header("content-type"), "application/json", "{problem}");
        let text = |field: &str| problem[field].as_str().unwrap_or_else(|| panic!("no {field}: {problem}")).to_owned();
        assert!(!text("detail").is_empty() && !text("next").is_empty(), "{problem}");
        format!("{} {}", self.status, text("class"))
    }
}

impl Client {
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        Self { place: Place::Tcp(address), token: None }
    }

    pub(crate) fn unix(path: &Path) -> Self {
        Self { place: Place::Unix(path.to_owned()), token: None }
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub(crate) fn token(&self) -> &str {
        self.token.as_deref().unwrap()
    }

    pub(crate) fn anonymous(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self.place {
            Place::Tcp(address) => address,
            Place::Unix(_) => panic!("a socket has no address"),
        }
    }

    pub(crate) fn connect(&self) -> Connection {
        let stream: Box<dyn Stream> = match &self.place {
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                Box::new(stream)
            }
            Place::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
        };
        Connection(BufReader::new(stream))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// What a browser sends of a form.
    pub(crate) fn form(&self, path: &str, headers: &[(&str, &str)], form: &str) -> Answer {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.send("POST", path, &[&kind, headers].concat(), form.as_bytes())
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut connection = self.connect();
        connection.say(&self.head(method, path, &[&[("connection", "close")], headers].concat(), body.len()));
        // A server that refuses a body need not read it.
        let _ = connection.0.get_mut().write_all(body);
        connection.answer()
    }

    /// The head of a request with a body of so many bytes.
    pub(crate) fn head(&self, method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: runner\r\n");
        if method != "GET" || length > 0 {
            write!(head, "content-length: {length}\r\n").unwrap();
        }
        if let Some(token) = &self.token {
            write!(head, "authorization: Bearer {token}\r\n").unwrap();
        }
        head += &headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
        head + "\r\n"
    }

    /// Sends these bytes, and nothing more. Returns all that comes back.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut connection = self.connect();
        let _ = connection.0.get_mut().write_all(bytes);
        connection.rest()
    }

    pub(crate) fn live(&self, path: &str, headers: &[(&str, &str)]) -> Live {
        let mut connection = self.connect();
        connection.say(&self.head("GET", path, headers, 0));
        let (status, headers) = connection.read_head().unwrap();
        assert_eq!(status, 200);
        assert_eq!(headers["content-type"], "text/event-stream");
        Live { chunks: BufReader::new(Chunks { of: connection, left: 0, over: false }) }
    }
}

pub(crate) struct Connection(BufReader<Box<dyn Stream>>);

impl Connection {
    pub(crate) fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The status of the next answer, whose body is left.
    pub(crate) fn status(&mut self) -> Option<u16> {
        Some(self.read_head()?.0)
    }

    /// All that comes until the other side closes.
    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // One that is closed with something unread is reset.
        let _ = self.0.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer")
    }

    /// The next answer; `None` where the connection was closed.
    pub(crate) fn try_answer(&mut self) -> Option<Answer> {
        let (status, headers) = self.read_head()?;
        let mut body = Vec::new();
        if let Some(length) = headers.get("content-length") {
            body = vec![0; length.parse().unwrap()];
            self.0.read_exact(&mut body).ok()?;
        } else if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            while let Some(length) = self.chunk() {
                let begin = body.len();
                body.resize(begin + length, 0);
                self.0.read_exact(&mut body[begin..]).ok()?;
                self.line()?;
            }
        }
        Some(Answer { status, headers, body })
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }

    fn read_head(&mut self) -> Option<(u16, BTreeMap<String, String>)> {
        let status = self.line()?.split(' ').nth(1)?.parse().ok()?;
        let mut headers = BTreeMap::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { return Some((status, headers)) };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }

    /// The length of the next chunk; `None` after the last.
    fn chunk(&mut self) -> Option<usize> {
        let length = usize::from_str_radix(&self.line()?, 16).ok()?;
        if length == 0 {
            self.line();
            return None;
        }
        Some(length)
    }
}

struct Chunks {
    of: Connection,
    left: usize,
    over: bool,
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 && !self.over {
            match self.of.chunk() {
                Some(length) => self.left = length,
                None => self.over = true,
            }
        }
        if self.over {
            return Ok(0);
        }
        let most = self.left.min(into.len());
        let read = self.of.0.read(&mut into[..most])?;
        self.left -= read;
        if self.left == 0 {
            self.of.line();
        }
        self.over = read == 0;
        Ok(read)
    }
}

/// Server-sent events as they come.
pub(crate) struct Live {
    chunks: BufReader<Chunks>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Event {
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

impl Event {
    pub(crate) fn text(&self) -> &str {
        self.data["text"].as_str().unwrap_or_default()
    }
}

impl Live {
    /// The next event; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            if self.chunks.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end_matches('\n').split_once(": ") {
                Some(("event", kind)) => kind.clone_into(&mut event.kind),
                Some(("id", id)) => id.clone_into(&mut event.id),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                _ if line == "\n" && !event.kind.is_empty() => return Some(event),
                _ => {}
            }
        }
    }

    /// All events to the end.
    pub(crate) fn rest(mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.next()).collect()
    }
}
