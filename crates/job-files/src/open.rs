//! A place for files by its URL.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::prefix::PrefixStore;
use url::Url;

use crate::error::FilesError;
use crate::objects::Objects;

/// Variables of an environment, by name.
pub(crate) type Vars = Vec<(String, String)>;

/// Those of this process that are of S3.
pub(crate) fn aws_vars() -> Vars {
    let vars =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    vars.filter(|(name, _)| name.starts_with("AWS_")).collect()
}

/// The objects at `file:///DIR` or `s3://BUCKET/PREFIX`.
pub(crate) fn open(url: &str, vars: Vars) -> Result<Objects, FilesError> {
    let url = Url::parse(url).map_err(|_| FilesError::Url("is none"))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(FilesError::Url("has more than a place in it: credentials are read from the environment"));
    }
    match url.scheme() {
        "file" => Objects::of_dir(url.to_file_path().map_err(|()| FilesError::Url("names no directory"))?),
        "s3" => {
            let bucket = url.host_str().filter(|host| !host.is_empty()).ok_or(FilesError::Url("names no bucket"))?;
            let prefix = object_store::path::Path::from_url_path(url.path());
            let prefix = prefix.map_err(|_| FilesError::Url("has a prefix that is none"))?;
            let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(s3(bucket, vars)?, prefix));
            Ok(Objects::of_store(store))
        }
        _ => Err(FilesError::Url("is of a kind that is not known")),
    }
}

#[cfg(feature = "s3")]
fn s3(bucket: &str, vars: Vars) -> Result<Arc<dyn ObjectStore>, FilesError> {
    use std::time::Duration;

    use object_store::RetryConfig;
    use object_store::aws::AmazonS3Builder;

    // Another part of the program may have chosen one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Who waits longer does so on his own account: a worker for minutes, a reader not at all.
    let retry = RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(15), ..RetryConfig::default() };
    let known = vars.into_iter().filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)));
    let store = known.fold(AmazonS3Builder::new(), |store, (key, value)| store.with_config(key, value));
    let store = store.with_bucket_name(bucket).with_retry(retry).build();
    Ok(Arc::new(store.map_err(|_| FilesError::Url("does not fit the AWS_ variables of the environment"))?))
}

#[cfg(not(feature = "s3"))]
fn s3(_: &str, _: Vars) -> Result<Arc<dyn ObjectStore>, FilesError> {
    Err(FilesError::Url("is of S3, which this program was built without"))
}
