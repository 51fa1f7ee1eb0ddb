//! A refused push, as every program shows it.

use outcome::Failure;
use verdict::gate::{Refusal, Refusals};

/// Every reason against a push under `PUSH BLOCKED`, and one by one.
pub fn push_blocked(refusals: &Refusals) -> Failure {
    let reason = format!("PUSH BLOCKED\n{refusals}");
    let failure = Failure::refused("push-blocked", reason, "mend every reason above, then push again");
    Failure { refusals: refusals.iter().map(told).collect(), ..failure }
}

fn told(refusal: &Refusal) -> outcome::Refusal {
    let (class, next) = (refusal.reason.class(), refusal.reason.next().to_owned());
    outcome::Refusal { class, reason: refusal.to_string(), next }
}
