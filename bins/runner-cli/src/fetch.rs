//! `artifacts`: what a job left, listed or fetched.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use cli::Context;
use job::Id;
use outcome::{Exit, Failure};
use runner_client::{Client, Folder};
use runner_wire::ArtifactFile;
use serde::Serialize;

use crate::args::Artifacts;
use crate::service::connect;

/// A log may grow by so many bytes between the list and the fetching.
const GROWTH: u64 = 64 << 20;

pub(crate) fn run(args: &Artifacts, cx: &Context) -> Result<ExitCode, Failure> {
    let client = connect(&args.service, cx)?;
    let mut files = client.artifacts(&args.id)?.files;
    if let Some(missing) = args.paths.iter().find(|path| files.iter().all(|file| file.path != **path)) {
        let reason = format!("the job has no artifact `{missing}`");
        return Err(Failure::refused("no-artifact", reason, format!("see the list: runner artifacts {}", args.id)));
    }
    files.retain(|file| args.paths.is_empty() || args.paths.contains(&file.path));
    if let Some(dir) = &args.output {
        fetch(&client, &args.id, dir, &files, cx)?;
    }
    cx.console.result(&Left { schema: 1, files, dir: args.output.as_deref() })?;
    Ok(Exit::Done.into())
}

/// Fetches all of them, or says before the first why one cannot be kept.
fn fetch(client: &Client, id: &Id, dir: &Path, files: &[ArtifactFile], cx: &Context) -> Result<(), Failure> {
    let folder = Folder::open(dir)?;
    files.iter().try_for_each(|file| folder.admits(&file.path))?;
    for file in files {
        cx.console.working(&file.path);
        let most = file.bytes.saturating_add(GROWTH);
        folder.keep(&file.path, |to| client.download(id, &file.path, most, to))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Left<'a> {
    schema: u32,
    files: Vec<ArtifactFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dir: Option<&'a Path>,
}

impl fmt::Display for Left<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.dir {
            Some(dir) => self.files.iter().try_for_each(|file| writeln!(f, "{}", dir.join(&file.path).display())),
            None => self.files.iter().try_for_each(|file| writeln!(f, "{:>12} {}", file.bytes, file.path)),
        }
    }
}
