//! What a job left, file by file.
//!
//! **Invariant:** a file of a job is data in a browser, never a page of this service.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use job::Job;
use runner_wire::Artifacts;

use crate::body::Path;
use crate::jobs::find;
use crate::problem::Refused;
use crate::service::Api;

/// Bytes that are read at a time.
const PIECE: u64 = 256 << 10;

/// `GET /jobs/{id}/artifacts`
pub(crate) async fn list(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Json<Artifacts>, Refused> {
    let job = find(&api, &id).await?;
    Ok(Json(Artifacts { files: of(&api, &job).await? }))
}

/// The files of a job; of one that was not begun, none.
pub(crate) async fn of(api: &Api, job: &Job) -> Result<Vec<runner_wire::ArtifactFile>, Refused> {
    if job.life.epoch == 0 {
        return Ok(Vec::new());
    }
    Ok(api.files.list(&job.job_id, job.life.epoch).await?)
}

/// `GET /jobs/{id}/artifacts/{path}`
pub(crate) async fn get(
    State(api): State<Arc<Api>>,
    Path((id, path)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let job = find(&api, &id).await?;
    let size = match job.life.epoch {
        0 => None,
        epoch => api.files.size(&job.job_id, epoch, &path).await?,
    };
    let size = size.ok_or_else(|| {
        let detail = "the job has no such artifact";
        Refused::new(axum::http::StatusCode::NOT_FOUND, "no-artifact", detail, "see the list: GET /jobs/ID/artifacts")
    })?;
    let (kind, shown) = kind(&path);
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (CONTENT_LENGTH, size.to_string()),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
        (CONTENT_DISPOSITION, if shown { "inline" } else { "attachment" }.to_owned()),
    ];
    Ok((headers, Body::from_stream(pieces(api, job, path, size))).into_response())
}

/// Text is shown as text; what a browser would make something of is handed out.
fn kind(path: &str) -> (&'static str, bool) {
    let extension = std::path::Path::new(path).extension().and_then(|extension| extension.to_str());
    match extension {
        Some("json") => ("application/json", true),
        Some("log" | "md" | "sha256" | "txt") => ("text/plain; charset=utf-8", true),
        _ => ("application/octet-stream", false),
    }
}

/// The file in pieces, each read when the one before was taken.
fn pieces(
    api: Arc<Api>,
    job: Job,
    path: String,
    size: u64,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
    unfold((api, job, path, 0), move |(api, job, path, at)| async move {
        if at >= size {
            return None;
        }
        let read = api.files.read(&job.job_id, job.life.epoch, &path, at..size.min(at + PIECE)).await;
        let piece = read.map_err(std::io::Error::other).and_then(|piece| {
            // The length was promised.
            if piece.is_empty() { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(piece) }
        });
        let next = piece.as_ref().map_or(size, |piece| at + piece.len() as u64);
        Some((piece, (api, job, path, next)))
    })
}
