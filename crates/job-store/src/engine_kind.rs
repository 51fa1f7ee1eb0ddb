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

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn kind(url: &str) -> String {
        match Kind::of(url) {
            Ok(Kind::Sqlite(path)) => format!("the file {}", path.display()),
            Ok(Kind::Postgres(options)) => {
                let (host, port, user) = (options.get_host(), options.get_port(), options.get_username());
                format!("{} on {host}:{port} as {user}", options.get_database().unwrap_or("nothing"))
            }
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn a_url_names_a_file_or_a_server() {
        assert_snapshot!(kind("sqlite:/var/lib/queue"), @"the file /var/lib/queue");
        assert_snapshot!(kind("sqlite:queue.db?mode=ro"), @"the file queue.db?mode=ro");
        assert_snapshot!(kind("sqlite:///var/lib/queue"), @"the file ///var/lib/queue");
        assert_snapshot!(kind("postgres://bob:secret@db:5433/queue"), @"queue on db:5433 as bob");
        assert_snapshot!(kind("postgresql://bob@db/queue"), @"queue on db:5432 as bob");
    }

    #[test]
    fn what_is_no_url_of_a_queue_is_refused() {
        for url in ["sqlite:", "sqlite::memory:"] {
            assert_eq!(kind(url), "error: the URL of the queue names no file");
        }
        for url in ["", "queue", "/var/lib/queue", "mysql://bob:secret@db/queue", "SQLITE:queue", "file:queue"] {
            assert_eq!(kind(url), "error: the URL of the queue is neither sqlite: nor postgres:");
        }
    }

    #[test]
    fn no_password_of_a_url_is_ever_told() {
        let malformed = [
            "postgres://bob:secret@db:port/queue",
            "postgres://bob:secret@[db/queue",
            "postgres://bob:secret@db:99999/queue",
            "postgres://bob:secret@db/queue?sslmode=secret",
            "postgresql://bob:secret@db/queue?port=secret",
        ];
        for url in malformed {
            assert_eq!(kind(url), "error: the URL of the queue's server is malformed");
            let error = Kind::of(url).err().unwrap();
            let failure = outcome::Failure::from(error);
            assert!(!failure.text().contains("secret") && !format!("{failure:?}").contains("secret"), "{failure:?}");
        }
    }
}
