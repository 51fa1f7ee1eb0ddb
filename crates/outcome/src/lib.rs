//! Exit codes and failures: class, reason, next action.
