//! Room for what takes memory as long as a client likes: so much for all, and of that a share for each of them.
//!
//! **Invariant:** one principal alone never takes all of a room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, HttpBody as _};
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for so many at one time.
pub(crate) struct Room {
    all: Arc<Semaphore>,
    share: usize,
    /// By names of tokens and people, which are few.
    shares: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A place, until it is dropped.
pub(crate) struct Place {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Place {
    /// Keeps the place until the answer was sent, or nobody wants it any more.
    pub(crate) fn until_sent(self, answer: Response) -> Response {
        let (mut parts, body) = answer.into_parts();
        // What comes in pieces does not know how long it is.
        if let Some(length) = body.size_hint().exact() {
            parts.headers.insert(CONTENT_LENGTH, length.into());
        }
        let pieces = body.into_data_stream().map(move |piece| {
            let _ = &self;
            piece
        });
        Response::from_parts(parts, Body::from_stream(pieces))
    }
}

impl Room {
    /// Room for `places`, of which one principal gets `share` at most.
    pub(crate) fn new(places: usize, share: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(places)), share, shares: Mutex::default() }
    }

    /// A place, when there is one.
    pub(crate) async fn wait(&self, name: &str) -> Place {
        let own = self.own(name).acquire_owned().await.expect("nobody closes it");
        let all = Arc::clone(&self.all).acquire_owned().await.expect("nobody closes it");
        Place { _own: own, _all: all }
    }

    /// A place, where there is one now.
    pub(crate) fn now(&self, name: &str) -> Option<Place> {
        let own = self.own(name).try_acquire_owned().ok()?;
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Place { _own: own, _all: all })
    }

    fn own(&self, name: &str) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let share = shares.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.share)));
        Arc::clone(share)
    }
}
