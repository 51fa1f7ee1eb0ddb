//! What is asked for again and again, and may be a moment old.

use std::future::Future;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// How old it may be. Every open page asks every two seconds.
const FRESH: Duration = Duration::from_secs(1);

/// What was found last, and when.
pub(crate) struct Lately<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Lately<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Lately<T> {
    /// What was found within the last second, else what `find` finds now: one at a time, however many ask.
    ///
    /// # Errors
    /// Those of `find`, which are not kept.
    pub(crate) async fn get<E>(&self, find: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut last = self.0.lock().await;
        if let Some((_, found)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(found.clone());
        }
        // Before it is looked: what changes meanwhile may not be in it.
        let at = Instant::now();
        let found = find.await?;
        *last = Some((at, found.clone()));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_within_a_second_are_one_look_and_a_failure_is_not_kept() {
        let (lately, looks) = (Lately::default(), AtomicU32::new(0));
        let get = || {
            lately.get(async {
                sleep(Duration::from_millis(100)).await;
                let look = looks.fetch_add(1, Ordering::SeqCst);
                if look == 1 { Err("away") } else { Ok(look) }
            })
        };
        assert_eq!(tokio::join!(get(), get(), get()), (Ok(0), Ok(0), Ok(0)));
        sleep(Duration::from_millis(899)).await;
        assert_eq!(get().await, Ok(0));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(tokio::join!(get(), get()), (Err("away"), Ok(2)));
    }
}
