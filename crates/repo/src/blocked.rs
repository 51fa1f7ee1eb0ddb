//! A refused push, as every program shows it.

use outcome::Failure;
use verdict::gate::Refusals;

/// Every reason against a push under `PUSH BLOCKED`.
pub fn push_blocked(refusals: &Refusals) -> Failure {
    Failure::refused("push-blocked", format!("PUSH BLOCKED\n{refusals}"), "mend every reason above, then push again")
}
