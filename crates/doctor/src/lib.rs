//! Checks with pass, warn, fail, class and next action.
