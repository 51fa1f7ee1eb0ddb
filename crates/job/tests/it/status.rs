//! Which state may follow which.

use insta::assert_snapshot;
use job::Status;

#[test]
fn j19_only_these_steps_are_legal() {
    let mut steps = String::new();
    for from in Status::ALL {
        let to = Status::ALL.into_iter().filter(|to| from.step(*to).is_ok()).map(Status::as_str);
        steps += &format!("{}: {}\n", from.as_str(), to.collect::<Vec<_>>().join(" "));
    }
    assert_snapshot!(steps, @r"
    queued: running error cancelled
    running: queued success failure error timeout cancelled
    success: 
    failure: 
    error: 
    timeout: 
    cancelled: 
    ");
    assert_snapshot!(Status::Success.step(Status::Failure).unwrap_err(), @"a job that is success does not become failure");
}

#[test]
fn a_state_is_written_as_it_is_called() {
    for status in Status::ALL {
        assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        assert_eq!(status.is_final(), Status::ALL.iter().all(|to| status.step(*to).is_err()));
    }
}
