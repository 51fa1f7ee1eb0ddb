//! Why a store did not do what was asked.

use outcome::Failure;
use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

/// What to do about a database that does not answer.
const TRY_AGAIN: &str = "see whether the database runs and can be reached; then try again";

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database cannot be reached, or broke off.
    #[error("the queue's database does not answer: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// There is no space left for it.
    #[error("the queue's database has no space left: {0}")]
    Full(#[source] sqlx::Error),
    /// It was made by a program of another version.
    #[error("the queue's database has version {is} and this program knows {knows}")]
    Schema {
        /// The newest change that was made to it.
        is: i64,
        /// The newest that is known.
        knows: i64,
    },
    /// Changes to its tables could not be made.
    #[error("the tables of the queue's database: {0}")]
    Migrate(#[source] MigrateError),
    /// An idempotency key stands for another request.
    #[error("the idempotency key was used for another request, of job {0}")]
    OtherRequest(job::Id),
    /// It is to keep a text that it cannot.
    #[error("the queue's database keeps no such text: {0}")]
    Text(String),
    /// What it holds is not what was written.
    #[error("the queue's database holds what nobody wrote: {0}")]
    Corrupt(String),
    /// The URL is none.
    #[error("{0}")]
    Url(String),
}

impl StoreError {
    /// Of a question that was not answered in time.
    pub fn silent() -> Self {
        Self::Unavailable(sqlx::Error::PoolTimedOut)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(DatabaseError::code).unwrap_or_default();
        match &*code {
            // SQLITE_FULL, also of the file system, and SQLITE_IOERR_SHMSIZE; disk_full of PostgreSQL.
            "13" | "4874" | "53100" => Self::Full(error),
            // SQLITE_CORRUPT and SQLITE_NOTADB; data_corrupted and index_corrupted of PostgreSQL.
            "11" | "26" | "XX001" | "XX002" => Self::Corrupt(error.to_string()),
            // Of PostgreSQL: text with a NUL, the same in JSON, and text that is too long for an index.
            "22021" | "22P05" | "54000" => Self::Text(error.to_string()),
            _ => Self::Unavailable(error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let reason = error.to_string();
        match error {
            StoreError::Unavailable(_) => Self::infrastructure("store-unavailable", reason, TRY_AGAIN),
            StoreError::Full(_) => Self::infrastructure("disk-full", reason, "free some space, then try again"),
            StoreError::Schema { is, knows } if is > knows => {
                Self::not_ready("store-newer", reason, "install the version of the other programs, then start it again")
            }
            StoreError::Schema { .. } | StoreError::Migrate(_) => {
                Self::not_ready("store-schema", reason, "restore the database from a backup, or use a new one")
            }
            StoreError::OtherRequest(_) => {
                Self::refused("idempotency-conflict", reason, "use a new key for a new request")
            }
            StoreError::Text(_) => {
                Self::refused("store-text", reason, "leave out what is no text, and what is too long")
            }
            StoreError::Corrupt(_) => Self::bug("store-corrupt", reason, "restore the database from a backup"),
            StoreError::Url(_) => {
                Self::usage("store-url", reason, "name a file as sqlite:PATH, or a server as postgres://USER@HOST/NAME")
            }
        }
    }
}
