//! Debian's PostgreSQL, as it is in production but for its size: `fsync` is on, and so is every safety.
//!
//! Its files are in memory where there is room, which a killed server cannot tell from a disk; `TMPDIR` says otherwise.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::account::Account;
use crate::broken::{Broken, Trying as _, run};
use crate::network::Host;
use crate::place::Place;
use crate::server::Server;
use crate::template;

/// Where Debian puts a directory of programs for each major version.
const VERSIONS: &str = "/usr/lib/postgresql";

const PORT: u16 = 5432;

/// Small, and nothing that outlives a kill outside of its directory.
const SETTINGS: [&str; 3] = ["shared_buffers=16MB", "dynamic_shared_memory_type=mmap", "log_checkpoints=off"];
/// Clients at one time, where nobody says another number.
const CONNECTIONS: u32 = 100;

/// A running server with its cluster. Its user and superuser is `postgres`, everyone who reaches it is trusted, and it
/// is gone with its data when dropped.
///
/// ```no_run
/// let postgres = real_parts::Postgres::start().unwrap();
/// let url = postgres.database("runner").unwrap();
/// ```
pub struct Postgres {
    // Dropped before the directory that it writes to.
    server: Server,
    place: Place,
    programs: PathBuf,
    account: Account,
    settings: Vec<String>,
    host: Option<Host>,
}

/// How a server is to be started.
#[derive(Debug, Default)]
pub struct Builder {
    tcp: Option<SocketAddr>,
    host: Option<Host>,
    below: Option<PathBuf>,
    connections: Option<u32>,
}

impl Builder {
    /// Lets in so many clients at one time.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = Some(connections);
        self
    }

    /// Listens there too. The socket is for the user of the tests alone, this is for whoever reaches the address.
    #[must_use]
    pub fn tcp(mut self, address: SocketAddr) -> Self {
        self.tcp = Some(address);
        self
    }

    /// Runs on a host of a test and listens there, on the usual port 5432. The socket stays what it is.
    #[must_use]
    pub fn on(mut self, host: &Host) -> Self {
        self.host = Some(host.clone());
        self.tcp((host.address(), PORT).into())
    }

    /// Keeps its files in a directory that it makes there, whose disk is meant, and not in memory.
    #[must_use]
    pub fn below(mut self, dir: &Path) -> Self {
        self.below = Some(dir.to_owned());
        self
    }

    /// Starts the server and waits until it accepts connections.
    ///
    /// # Errors
    /// When PostgreSQL is not installed; with its log when it does not start.
    pub fn start(self) -> Result<Postgres, Broken> {
        let programs = newest(Path::new(VERSIONS))?;
        let account = Account::find()?;
        let place = account.place(self.below.as_deref())?;
        template::copy(&programs, &account, place.path(), &place.path().join("data"))?;
        let settings = self.settings(place.path());
        let server = serve(&programs, &account, self.host.as_ref(), place.path(), &settings)?;
        Ok(Postgres { server, place, programs, account, settings, host: self.host })
    }

    fn settings(&self, dir: &Path) -> Vec<String> {
        let (address, port) = match self.tcp {
            Some(tcp) => (tcp.ip().to_string(), tcp.port()),
            None => (String::new(), PORT),
        };
        let own = [
            format!("unix_socket_directories={}", dir.display()),
            format!("listen_addresses={address}"),
            format!("port={port}"),
            format!("max_connections={}", self.connections.unwrap_or(CONNECTIONS)),
        ];
        SETTINGS.iter().map(|&setting| setting.to_owned()).chain(own).collect()
    }
}

impl Postgres {
    /// A server that listens on a socket in its own directory and nowhere else.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub fn start() -> Result<Self, Broken> {
        Self::builder().start()
    }

    /// A server that is told more.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The URL of the database `postgres`, over the socket.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Makes a new database. Returns its URL, over the socket.
    ///
    /// # Errors
    /// When the server does not answer, or has one of that name.
    pub fn database(&self, name: &str) -> Result<String, Broken> {
        self.sql(&format!("create database \"{}\"", name.replace('"', "\"\"")))?;
        Ok(self.url_of(name))
    }

    /// Runs SQL in the database `postgres`. Returns a line for each row, columns parted by `|`.
    ///
    /// # Errors
    /// With what the server said.
    pub fn sql(&self, sql: &str) -> Result<String, Broken> {
        let mut psql = self.account.command(&self.programs.join("psql"), self.place.path());
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"]);
        run(psql.arg("--dbname").arg(self.url()).arg("--command").arg(sql))
    }

    /// Ends every connection but its own, as an administrator would, and returns when they have ended.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn drop_connections(&self) -> Result<(), Broken> {
        let others = "pid <> pg_backend_pid() and backend_type = 'client backend'";
        // Told to wait, in milliseconds, it returns when they have ended.
        self.sql(&format!("select pg_terminate_backend(pid, 10000) from pg_stat_activity where {others}")).map(drop)
    }

    /// Kills every process of the server as `kill -9` would, and returns when they are gone. Its data stays.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Kills it if it runs, and starts it on the same data: it recovers what was committed.
    ///
    /// # Errors
    /// With its log when it does not start.
    pub fn restart(&mut self) -> Result<(), Broken> {
        self.kill();
        self.server = serve(&self.programs, &self.account, self.host.as_ref(), self.place.path(), &self.settings)?;
        Ok(())
    }

    /// Stops every process of the server where it is: connections stay, and nobody answers.
    pub fn stop(&self) {
        self.server.signal(Signal::STOP);
    }

    /// Lets a stopped server go on.
    pub fn cont(&self) {
        self.server.signal(Signal::CONT);
    }

    /// What the server said of itself since it was first started.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(log(self.place.path())).unwrap_or_default()).into_owned()
    }

    fn url_of(&self, database: &str) -> String {
        let dir = self.place.path().to_string_lossy();
        let port = self.settings.iter().find_map(|setting| setting.strip_prefix("port=")).unwrap_or_default();
        format!("postgres://postgres@localhost:{port}/{}?host={}", encoded(database), encoded(&dir))
    }
}

fn log(dir: &Path) -> PathBuf {
    dir.join("log")
}

/// The programs of the newest version.
fn newest(versions: &Path) -> Result<PathBuf, Broken> {
    let entries = fs::read_dir(versions).into_iter().flatten().flatten();
    let numbered = entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    let programs = numbered.map(|(version, dir)| (version, dir.join("bin")));
    let whole = programs.filter(|(_, dir)| dir.join("postgres").exists() && dir.join("psql").exists());
    let missing = || Broken::new(format!("there is no PostgreSQL below {}: cargo xtask setup", versions.display()));
    whole.max().map(|(_, dir)| dir).ok_or_else(missing)
}

/// Starts a server on the cluster in `dir`, of which no other process is left.
fn serve(
    programs: &Path,
    account: &Account,
    host: Option<&Host>,
    dir: &Path,
    settings: &[String],
) -> Result<Server, Broken> {
    let data = dir.join("data");
    let status = data.join("postmaster.pid");
    // What a killed server wrote there would be taken for a word of this one.
    if status.exists() {
        fs::remove_file(&status).trying(status.display())?;
    }
    let mut postgres = account.contained(host, &programs.join("postgres"), dir);
    postgres.arg("-D").arg(&data).args(settings.iter().flat_map(|setting| ["-c", setting]));
    let server = Server::start(postgres, &log(dir))?;
    // The last line of the file is its status, as pg_ctl reads it.
    let is_ready = || fs::read_to_string(&status).is_ok_and(|text| text.lines().nth(7).map(str::trim) == Some("ready"));
    server.wait_until(is_ready)?;
    Ok(server)
}

/// For a part of a URL.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
