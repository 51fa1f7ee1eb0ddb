//! A whole review: packets, retries, kept answers and the budget.
