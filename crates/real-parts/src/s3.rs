//! SeaweedFS as an S3 server, with every part it consists of in one process.
//!
//! It listens on a dozen fixed ports and reports to its makers. So it has a network of its own, without a way out, and
//! clients come in by a socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::account::Account;
use crate::broken::{Broken, Trying as _, run};
use crate::door::Door;
use crate::place::Place;
use crate::server::Server;
use crate::target::target_dir;

const BUCKET: &str = "tests";
const ACCESS_KEY: &str = "access-of-a-test";
const SECRET_KEY: &str = "secret-of-a-test";
const REGION: &str = "us-east-1";

const IDENTITIES: &str = r#"{"identities": [{"name": "test", "actions": ["Admin"],
    "credentials": [{"accessKey": "access-of-a-test", "secretKey": "secret-of-a-test"}]}]}"#;

/// Where the server sees its own directory.
const OPTIONS: [&str; 14] = [
    "-dir=/tmp",
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-bucket=tests",
    "-s3.config=/tmp/identities.json",
    "-s3.localSocket=/tmp/s3.socket",
    // Else it takes ten seconds to find that it is the only one.
    "-master.electionTimeout=200ms",
    "-master.heartbeatInterval=50ms",
    "-master.volumeSizeLimitMB=64",
    "-master.telemetry=false",
    "-webdav=false",
    "-admin.ui=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
];

/// A running S3 server with one bucket, which checks signatures. It is gone with its objects when dropped.
///
/// ```no_run
/// let s3 = real_parts::S3::start().unwrap();
/// std::process::Command::new("runner").envs(s3.env());
/// ```
pub struct S3 {
    // Dropped before the directory that it writes to.
    server: Server,
    place: Place,
    account: Account,
    program: PathBuf,
    door: Door,
}

impl S3 {
    /// Starts the server and waits until it stores objects.
    ///
    /// # Errors
    /// When SeaweedFS is not installed; with its log when it does not start.
    pub fn start() -> Result<Self, Broken> {
        let program = target_dir().join("tools/seaweedfs/bin/weed");
        if !program.exists() {
            return Err(Broken::new(format!("there is no S3 server at {}: cargo xtask setup", program.display())));
        }
        let account = Account::find()?;
        let place = account.place(None)?;
        fs::write(place.path().join("identities.json"), IDENTITIES).trying("identities.json")?;
        let server = serve(&program, &account, place.path())?;
        let door = Door::open(socket(place.path())).trying("listen on loopback")?;
        Ok(Self { server, place, account, program, door })
    }

    /// The endpoint, for example `http://127.0.0.1:40000`. It stays the same over a restart.
    pub fn url(&self) -> String {
        format!("http://{}", self.door.address())
    }

    /// The bucket that is there.
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// Who signs may do everything.
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// What is signed with.
    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// All of it as variables of the environment, as the crate `object_store` and other clients read them.
    pub fn env(&self) -> [(&'static str, String); 6] {
        [
            ("AWS_ENDPOINT", self.url()),
            ("AWS_ALLOW_HTTP", "true".into()),
            ("AWS_REGION", REGION.into()),
            ("AWS_BUCKET", BUCKET.into()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
        ]
    }

    /// Kills the server as `kill -9` would, and returns when it is gone. Its objects stay; clients are cut off.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Kills it if it runs, and starts it on the same objects.
    ///
    /// # Errors
    /// With its log when it does not start.
    pub fn restart(&mut self) -> Result<(), Broken> {
        self.kill();
        self.server = serve(&self.program, &self.account, self.place.path())?;
        Ok(())
    }
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("s3.socket")
}

/// It answers some time before it stores anything, so that one object is stored and removed.
fn serve(program: &Path, account: &Account, dir: &Path) -> Result<Server, Broken> {
    let mut weed = account.alone(program, dir);
    weed.arg("mini").args(OPTIONS).env("HOME", "/tmp");
    let server = Server::start(weed, &dir.join("log"))?;
    server.wait_until(|| run(probe(dir).arg("--upload-file").arg(dir.join("identities.json"))).is_ok())?;
    run(probe(dir).args(["--request", "DELETE"]))?;
    Ok(server)
}

fn probe(dir: &Path) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "10", "--unix-socket"]).arg(socket(dir));
    curl.args(["--aws-sigv4", &format!("aws:amz:{REGION}:s3"), "--user", &format!("{ACCESS_KEY}:{SECRET_KEY}")]);
    curl.arg(format!("http://s3/{BUCKET}/probe"));
    curl
}
