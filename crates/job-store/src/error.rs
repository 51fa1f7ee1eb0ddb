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
    /// What it holds is not what was written.
    #[error("the queue's database holds what nobody wrote: {0}")]
    Corrupt(String),
    /// The URL is none.
    #[error("{0}")]
    Url(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if error.as_database_error().is_some_and(is_full) { Self::Full(error) } else { Self::Unavailable(error) }
    }
}

/// `SQLITE_FULL` is 13, also of an error of the file system; PostgreSQL's `disk_full` is 53100.
fn is_full(error: &dyn DatabaseError) -> bool {
    error.code().is_some_and(|code| code == "13" || code == "53100")
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
            StoreError::Corrupt(_) => Self::bug("store-corrupt", reason, "restore the database from a backup"),
            StoreError::Url(_) => {
                Self::usage("store-url", reason, "name a file as sqlite:PATH, or a server as postgres://USER@HOST/NAME")
            }
        }
    }
}
