//! What a worker sends, and what is read of it on another machine: before, while and after.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use job_files::{Files, FilesError};
use outcome::{Exit, Failure};
use runner_wire::Stream::Stdout;
use tokio_util::sync::CancellationToken;

use crate::lab::{EPOCH, Lab, Place, eventually};

impl Lab {
    /// The log as a reader gets it who begins at its beginning.
    async fn log(&self) -> Vec<u8> {
        let mut log = Vec::new();
        self.read_on(&mut log).await;
        log
    }

    /// Reads what there is more.
    async fn read_on(&self, log: &mut Vec<u8>) {
        loop {
            let piece = self.files.log(&self.id, EPOCH, Stdout, log.len() as u64, 100_000).await.unwrap();
            if piece.is_empty() {
                return;
            }
            log.extend_from_slice(&piece);
        }
    }

    async fn log_size(&self) -> u64 {
        self.files.log_size(&self.id, EPOCH, Stdout).await.unwrap()
    }
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("line {number}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_has_the_same_offsets_before_while_and_after_it_is_kept() {
    for lab in Lab::all() {
        let (until, mut log) = (CancellationToken::new(), File::create(lab.attempt().join("stdout.log")).unwrap());
        let mut said = String::new();
        let mut heard = Vec::new();
        let follow = {
            let (worker, id, until) = (lab.worker.clone(), lab.id.clone(), until.clone());
            tokio::spawn(async move { worker.follow(&id, EPOCH, until).await })
        };
        assert_eq!((lab.log_size().await, lab.log().await), (0, vec![]));
        // Within a block, over several, and one that ends with a block.
        for more in [lines(0..10), lines(10..100_000), "x".repeat((256 << 10) - 1), "y".repeat(10)] {
            let more = if more.starts_with('x') { "x".repeat((256 << 10) - said.len() % (256 << 10)) } else { more };
            log.write_all(more.as_bytes()).unwrap();
            said.push_str(&more);
            eventually(async || lab.log_size().await == said.len() as u64).await;
            lab.read_on(&mut heard).await;
            assert!(heard == said.as_bytes() && lab.log().await == said.as_bytes());
            let tail = lab.files.tail(&lab.id, EPOCH, Stdout, 2).await.unwrap();
            assert_eq!(tail.total_lines, said.lines().count() as u64);
            // A line of more than 64 KiB is shown by its end.
            assert!(tail.lines.iter().rev().zip(said.lines().rev()).all(|(shown, line)| line.ends_with(shown)));
        }
        // The last half of the log comes with its end.
        log.write_all(lines(0..50_000).as_bytes()).unwrap();
        said.push_str(&lines(0..50_000));
        until.cancel();
        follow.await.unwrap();
        lab.put("artifact.json", "{}");
        let reading = async {
            while heard.len() < said.len() {
                lab.read_on(&mut heard).await;
                assert!(said.as_bytes().starts_with(&heard));
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(lab.keep(), reading);
        assert_eq!(lab.log_size().await, said.len() as u64);
        assert!(lab.log().await == said.as_bytes());
        assert_eq!(lab.read("artifact.json").await, "{}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_on_both_sides_of_a_block_s_end_is_read_at_once_while_the_log_grows() {
    for lab in Lab::all() {
        let until = CancellationToken::new();
        let follow = {
            let (worker, id, until) = (lab.worker.clone(), lab.id.clone(), until.clone());
            tokio::spawn(async move { worker.follow(&id, EPOCH, until).await })
        };
        let before = (256 << 10) - 1;
        lab.put("stdout.log", format!("{}\u{e9} and more\n", "x".repeat(before)));
        eventually(async || lab.log_size().await > 256 << 10).await;
        let read = |offset: usize, most| lab.files.log(&lab.id, EPOCH, Stdout, offset as u64, most);
        assert_eq!(read(before, 64 << 10).await.unwrap(), "\u{e9} and more\n");
        assert_eq!(read(before - 1, 3).await.unwrap(), "x\u{e9}");
        until.cancel();
        follow.await.unwrap();
    }
}

#[tokio::test]
async fn an_attempt_can_be_kept_again_and_what_its_runner_left_when_it_died_too() {
    for lab in Lab::all() {
        // Nothing of it is here.
        lab.worker.keep(&lab.id, EPOCH + 1).await.unwrap();
        assert!(lab.files.list(&lab.id, EPOCH + 1).await.unwrap().is_empty());

        lab.put("stdout.log", "what it said");
        lab.put(".died.json", "{}");
        lab.keep().await;
        assert_eq!((lab.paths().await, lab.log().await), (vec!["stdout.log".to_owned()], b"what it said".to_vec()));
        assert_eq!(lab.size("artifact.json").await, None);

        fs::rename(lab.attempt().join(".died.json"), lab.attempt().join("artifact.json")).unwrap();
        for _ in 0..2 {
            lab.keep().await;
            assert_eq!(lab.paths().await, ["artifact.json", "stdout.log"]);
        }

        // Its worker has removed its directory since.
        if !matches!(lab.place, Place::State) {
            fs::remove_dir_all(lab.attempt()).unwrap();
            lab.keep().await;
            assert_eq!(lab.paths().await, ["artifact.json", "stdout.log"]);
        }
    }
}

#[tokio::test]
async fn a_job_is_pruned_with_all_its_attempts_and_no_other() {
    for lab in [Lab::dir(), Lab::bucket()] {
        let other = "20260131T235959123Z-1123456789abcdef".parse().unwrap();
        lab.put("out/a b", "x");
        lab.put("stdout.log", "x");
        lab.put("../8/stdout.log", "x");
        lab.put(&format!("../../{other}/7/stdout.log"), "x");
        lab.keep().await;
        lab.worker.keep(&lab.id, 8).await.unwrap();
        lab.worker.keep(&other, EPOCH).await.unwrap();
        for _ in 0..2 {
            lab.worker.prune(&lab.id).await.unwrap();
            assert!(lab.paths().await.is_empty());
            assert_eq!((lab.size("out/a b").await, lab.log().await), (None, vec![]));
            assert!(lab.files.list(&lab.id, 8).await.unwrap().is_empty());
            assert_eq!(lab.files.list(&other, EPOCH).await.unwrap().len(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_an_attempt_is_kept_loses_nothing() {
    let mut lab = Lab::bucket();
    for number in 0..3000 {
        lab.put(&format!("out/{number}"), "x");
    }
    lab.put("artifact.json", "{}");
    let keeping = {
        let (worker, id) = (lab.worker.clone(), lab.id.clone());
        tokio::spawn(async move { worker.keep(&id, EPOCH).await })
    };
    eventually(async || lab.size("out/0").await.is_some()).await;
    let Place::Bucket(s3) = &mut lab.place else { unreachable!() };
    s3.kill();
    let error = keeping.await.unwrap().unwrap_err();
    let failure = Failure::from(error);
    assert_eq!((failure.exit, &*failure.class), (Exit::Infrastructure, "files-unavailable"), "{failure}");
    assert!(matches!(lab.files.size(&lab.id, EPOCH, "artifact.json").await, Err(FilesError::Unavailable(_))));
    s3.restart().unwrap();
    assert_eq!(lab.size("artifact.json").await, None);
    lab.keep().await;
    assert_eq!(lab.paths().await.len(), 3001);
    assert_eq!(lab.read("artifact.json").await, "{}");
}

#[tokio::test]
async fn no_error_tells_a_secret() {
    let lab = Lab::bucket();
    lab.put("stdout.log", "x");
    let Place::Bucket(s3) = &lab.place else { unreachable!() };
    let state = lab.attempt().ancestors().nth(3).unwrap().to_owned();
    let wrong = |wrong: &str| {
        let vars = s3.env().map(|(name, value)| (name.to_owned(), if name == wrong { "WRONG".into() } else { value }));
        let token = ("AWS_SESSION_TOKEN".to_owned(), "the-token".to_owned());
        let vars = vars.into_iter().chain([token]).collect();
        Files::open_with(&format!("s3://{}", s3.bucket()), &state, vars).unwrap()
    };
    let mut told = Vec::new();
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        let error = wrong(variable).keep(&lab.id, EPOCH).await.unwrap_err();
        told.push(format!("{error:?} {}", Failure::from(error.clone()).text()));
    }
    for secret in [s3.secret_key(), s3.access_key(), "the-token", "WRONG", "http"] {
        assert!(told.iter().all(|told| !told.contains(secret)), "{told:?}");
    }
    insta::assert_snapshot!(told.join("\n"), @r#"
    Unavailable("the store answers 403") files-unavailable: the files of jobs cannot be reached: the store answers 403
    next: see whether the place of the files can be reached and may be used; then try again
    Unavailable("the store answers 403") files-unavailable: the files of jobs cannot be reached: the store answers 403
    next: see whether the place of the files can be reached and may be used; then try again
    "#);
}

#[tokio::test]
async fn an_https_endpoint_is_spoken_to_in_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    let heard = std::thread::spawn(move || {
        let mut first = [0];
        listener.accept().unwrap().0.read_exact(&mut first).unwrap();
        first
    });
    let vars = [("AWS_ENDPOINT", &*endpoint), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let files = Files::open_with("s3://bucket", Path::new("/state"), vars).unwrap();
    let id = "20260131T235959123Z-0123456789abcdef".parse().unwrap();
    assert!(matches!(files.size(&id, EPOCH, "x").await, Err(FilesError::Unavailable(_))));
    // A record of a handshake.
    assert_eq!(heard.join().unwrap(), [22]);
}

#[tokio::test]
async fn a_url_names_a_place_and_nothing_else() {
    let mut told = String::new();
    let urls = ["", "dir", "/dir", "file://host/dir", "file:///no/such/dir", "http://host/", "s3://", "s3:///x"];
    for url in urls.iter().chain(&["s3://key:secret@bucket/x", "s3://bucket/?token=secret", "s3://bucket/a//b"]) {
        let error = Files::open_with(url, Path::new("/state"), vec![]).unwrap_err();
        writeln!(told, "{url}: {}", Failure::from(error).text().lines().next().unwrap()).unwrap();
    }
    insta::assert_snapshot!(told, @r"
    : files-url: the URL of the place of jobs' files is none
    dir: files-url: the URL of the place of jobs' files is none
    /dir: files-url: the URL of the place of jobs' files is none
    file://host/dir: files-url: the URL of the place of jobs' files names no directory
    file:///no/such/dir: files-unavailable: the files of jobs cannot be reached: No such file or directory (os error 2)
    http://host/: files-url: the URL of the place of jobs' files is of a kind that is not known
    s3://: files-url: the URL of the place of jobs' files names no bucket
    s3:///x: files-url: the URL of the place of jobs' files names no bucket
    s3://key:secret@bucket/x: files-url: the URL of the place of jobs' files has more than a place in it: credentials are read from the environment
    s3://bucket/?token=secret: files-url: the URL of the place of jobs' files has more than a place in it: credentials are read from the environment
    s3://bucket/a//b: files-url: the URL of the place of jobs' files has a prefix that is none
    ");
}

#[tokio::test]
async fn a_shared_directory_that_went_is_no_absence_of_files() {
    let lab = Lab::dir();
    lab.put("stdout.log", "x");
    lab.keep().await;
    let Place::Dir(shared) = &lab.place else { unreachable!() };
    let moved = shared.path().with_extension("moved");
    fs::rename(shared.path(), &moved).unwrap();
    assert!(matches!(lab.files.list(&lab.id, EPOCH).await, Err(FilesError::Unavailable(_))));
    assert!(matches!(lab.files.size(&lab.id, EPOCH, "stdout.log").await, Err(FilesError::Unavailable(_))));
    assert!(matches!(lab.files.log_size(&lab.id, EPOCH, Stdout).await, Err(FilesError::Unavailable(_))));
    fs::rename(&moved, shared.path()).unwrap();
    assert_eq!(lab.paths().await, ["stdout.log"]);
}
