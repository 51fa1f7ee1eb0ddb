//! How many tokens a text has, counted offline, and the budget of a run.

use std::sync::{Mutex, PoisonError};

use crate::not_reviewed::Why;

/// What codex adds to a prompt: its own instructions to the model (22 KB in codex 0.169.0) and the schema.
const INSTRUCTIONS: u64 = 8_000;

/// The tokens that asking `text` costs before the model has written any, in the `o200k_base` encoding.
pub fn estimate(text: &str) -> u64 {
    let counted = tiktoken::get_encoding("o200k_base").expect("its vocabulary is built in").count(text);
    INSTRUCTIONS.saturating_add(u64::try_from(counted).unwrap_or(u64::MAX))
}

/// What a run may spend, shared by the questions that are asked at the same time.
pub(crate) struct Budget {
    max: u64,
    spent: Mutex<u64>,
}

impl Budget {
    pub(crate) const fn new(max: u64, spent: u64) -> Self {
        Self { max, spent: Mutex::new(spent) }
    }

    /// Whether `needed` more tokens fit.
    ///
    /// # Errors
    /// [`Why::Budget`].
    pub(crate) fn check(&self, needed: u64) -> Result<(), Why> {
        self.fits(*self.lock(), needed)
    }

    /// Sets `needed` tokens aside before a question is asked.
    ///
    /// # Errors
    /// [`Why::Budget`]: nothing may be asked any more.
    pub(crate) fn reserve(&self, needed: u64) -> Result<(), Why> {
        let mut spent = self.lock();
        self.fits(*spent, needed)?;
        *spent = spent.saturating_add(needed);
        Ok(())
    }

    /// Corrects what was `reserved` to what the service `counted`.
    pub(crate) fn settle(&self, reserved: u64, counted: u64) {
        let mut spent = self.lock();
        *spent = spent.saturating_sub(reserved).saturating_add(counted);
    }

    pub(crate) fn spent(&self) -> u64 {
        *self.lock()
    }

    fn fits(&self, spent: u64, needed: u64) -> Result<(), Why> {
        if spent.saturating_add(needed) <= self.max {
            Ok(())
        } else {
            Err(Why::Budget { max: self.max, spent, needed })
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, u64> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_counted_not_guessed_from_bytes() {
        assert_eq!(estimate("hello world") - INSTRUCTIONS, 2);
        let minified = "x9Qz$!".repeat(100);
        assert!(estimate(&minified) - INSTRUCTIONS > minified.len() as u64 / 3);
    }

    #[test]
    fn a_budget_refuses_before_it_is_overspent() {
        let budget = Budget::new(100, 10);
        assert_eq!(budget.reserve(60), Ok(()));
        assert_eq!(budget.reserve(60), Err(Why::Budget { max: 100, spent: 70, needed: 60 }));
        budget.settle(60, 20);
        assert_eq!((budget.reserve(70), budget.spent()), (Ok(()), 100));
    }
}
