//! Which engine a URL means.

use std::path::Path;

use sqlx::postgres::PgConnectOptions;

use crate::error::StoreError;

pub(crate) enum Kind<'a> {
    Sqlite(&'a Path),
    Postgres(Box<PgConnectOptions>),
}

impl<'a> Kind<'a> {
    pub(crate) fn of(url: &'a str) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return if path.is_empty() || path.starts_with(':') {
                Err(StoreError::Url("the URL of the queue names no file".into()))
            } else {
                Ok(Self::Sqlite(Path::new(path)))
            };
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            // What is wrong with it is not repeated: it may hold a password.
            let options = url.parse().map_err(|_| StoreError::Url("the URL of the queue's server is malformed".into()));
            return Ok(Self::Postgres(Box::new(options?)));
        }
        Err(StoreError::Url("the URL of the queue is neither sqlite: nor postgres:".into()))
    }
}
