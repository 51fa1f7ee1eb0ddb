//! A store by its URL.

use std::sync::Arc;
use std::time::Duration;

use crate::engine_kind::Kind;
use crate::error::StoreError;
use crate::{Store, postgres, sqlite};

/// How a store behaves.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long nothing may be heard of a worker before its jobs are another's.
    pub lease: Duration,
    /// Connections at one time, where the engine has several.
    pub connections: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), connections: 8 }
    }
}

/// Opens the store at `url`: `sqlite:PATH`, made where it is not there, or `postgres://…`. Its tables are brought to this
/// program's version.
///
/// # Errors
/// [`StoreError::Url`], [`StoreError::Unavailable`]; [`StoreError::Schema`] when they are those of a newer program.
pub async fn open(url: &str, settings: Settings) -> Result<Arc<dyn Store>, StoreError> {
    match Kind::of(url)? {
        Kind::Sqlite(path) => Ok(Arc::new(sqlite::open(path, settings).await?)),
        Kind::Postgres(options) => Ok(Arc::new(postgres::open(*options, settings).await?)),
    }
}
