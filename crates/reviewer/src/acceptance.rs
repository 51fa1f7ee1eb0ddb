//! Whether a codex run is an answer: every sign must agree, anything else is [`Why`] not.
//!
//! **Invariant:** no text reaches a verdict but through [`accept`].

use host::{Output, Status};

use crate::events::{Turn, Usage};
use crate::not_reviewed::Why;

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The last message, byte for byte and not parsed yet, from a run in which every sign agreed; else why it is none.
    pub text: Result<Vec<u8>, Why>,
    /// Tokens as the service counted them, when it told: what is no answer costs the same.
    pub usage: Option<Usage>,
}

/// Takes the last message of a run that ended as `output` says. `answer` is the file it was told to write (`-o`),
/// in a directory that was empty before.
///
/// It is none ([`Why`]) unless the run exited with 0, completed exactly one turn, failed none, used no tool, said exactly
/// one message and wrote the same to the file.
pub(crate) fn accept(output: &Output, answer: Option<Vec<u8>>) -> Reply {
    let said = || {
        let turn = ended_well(output)?;
        completed(&turn)?;
        message(&turn, answer)
    };
    Reply { text: said(), usage: cost(output) }
}

/// What every turn of a run took, however it ended.
fn cost(output: &Output) -> Option<Usage> {
    Turn::read(&output.stdout).ok()?.completed.into_iter().flatten().reduce(Usage::plus)
}

/// The usage and the last words of a run that may act (a heal).
///
/// # Errors
/// [`Why`] unless it exited with 0, completed exactly one turn and failed none.
pub(crate) fn accept_act(output: &Output) -> Result<(Option<Usage>, String), Why> {
    let mut turn = ended_well(output)?;
    Ok((completed(&turn)?, turn.messages.pop().unwrap_or_default()))
}

fn ended_well(output: &Output) -> Result<Turn, Why> {
    match output.status {
        Status::TimedOut => return Err(Why::TimedOut(output.elapsed.as_secs())),
        Status::Cancelled => return Err(Why::Cancelled),
        Status::Exited(0) => {}
        ended => return Err(Why::failed(ended.to_string(), &last_words(output))),
    }
    if output.cut {
        return Err(untrusted("its output is longer than what was kept"));
    }
    Turn::read(&output.stdout).map_err(|line| untrusted(&format!("line {line} is not an event")))
}

fn completed(turn: &Turn) -> Result<Option<Usage>, Why> {
    if turn.failed > 0 {
        return Err(Why::failed("turn failed".into(), &turn.errors.join("; ")));
    }
    match turn.completed.as_slice() {
        [usage] => Ok(*usage),
        turns => Err(untrusted(&format!("{} turns were completed", turns.len()))),
    }
}

fn message(turn: &Turn, answer: Option<Vec<u8>>) -> Result<Vec<u8>, Why> {
    if let Some(action) = turn.actions.first() {
        return Err(untrusted(&format!("it did something else than answer ({action})")));
    }
    let text = answer.unwrap_or_default();
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(untrusted("it said nothing"));
    }
    match turn.messages.as_slice() {
        [said] if said.as_bytes() == text => Ok(text),
        [_] => Err(untrusted("its last message and its answer file differ")),
        said => Err(untrusted(&format!("it said {} messages", said.len()))),
    }
}

/// Codex tells why it failed in its events; before there are any, on stderr.
fn last_words(output: &Output) -> String {
    let told = Turn::read(&output.stdout).ok().and_then(|mut turn| turn.errors.pop());
    told.unwrap_or_else(|| {
        let stderr = output.stderr_text();
        stderr.lines().rev().take(3).collect::<Vec<_>>().join("; ")
    })
}

fn untrusted(what: &str) -> Why {
    Why::Untrusted(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use std::time::Duration;

    const DONE: &str = r#"{"type":"turn.completed","usage":{"input_tokens":3,"output_tokens":4}}"#;
    const SAID: &str = r#"{"type":"item.completed","item":{"type":"agent_message","text":"{}"}}"#;

    fn run(status: Status, lines: &[&str]) -> Output {
        let stdout = lines.join("\n").into_bytes();
        Output { status, stdout, stderr: vec![], cut: false, elapsed: Duration::from_secs(600) }
    }

    fn check(output: &Output, answer: Option<&str>) -> String {
        let reply = accept(output, answer.map(|text| text.as_bytes().to_vec()));
        match reply.text {
            Ok(text) => format!("{} {:?}", String::from_utf8_lossy(&text), reply.usage.map(Usage::total)),
            Err(why) => why.to_string(),
        }
    }

    fn clean(lines: &[&str], answer: &str) -> String {
        check(&run(Status::Exited(0), lines), Some(answer))
    }

    #[test]
    fn every_sign_agrees() {
        assert_snapshot!(clean(&[SAID, DONE], "{}"), @"{} Some(7)");
    }

    #[test]
    fn r13_no_other_end_is_an_answer() {
        let ends = [Status::TimedOut, Status::Cancelled, Status::Signaled(9), Status::Exited(1), Status::Exited(2)];
        let whys: Vec<_> = ends.iter().map(|end| check(&run(*end, &[SAID, DONE]), Some("{}"))).collect();
        assert_snapshot!(whys.join("\n"), @r"
        no answer within 600 s
        cancelled
        the reviewer failed (signal 9): 
        the reviewer failed (exit 1): 
        the reviewer failed (exit 2): 
        ");
    }

    #[test]
    fn exactly_one_turn_is_completed_and_none_failed() {
        assert_snapshot!(clean(&[SAID], "{}"), @"the reviewer's answer cannot be trusted: 0 turns were completed");
        assert_snapshot!(clean(&[SAID, DONE, DONE], "{}"), @"the reviewer's answer cannot be trusted: 2 turns were completed");
        let failed = r#"{"type":"turn.failed","error":{"message":"boom"}}"#;
        assert_snapshot!(clean(&[SAID, failed, DONE], "{}"), @"the reviewer failed (turn failed): boom");
    }

    #[test]
    fn r06_exactly_one_message_and_the_file_says_the_same() {
        assert_snapshot!(clean(&[SAID, SAID, DONE], "{}"), @"the reviewer's answer cannot be trusted: it said 2 messages");
        assert_snapshot!(clean(&[DONE], "{}"), @"the reviewer's answer cannot be trusted: it said 0 messages");
        assert_snapshot!(clean(&[SAID, DONE], "{} "), @"the reviewer's answer cannot be trusted: its last message and its answer file differ");
        assert_snapshot!(clean(&[SAID, DONE], " \n"), @"the reviewer's answer cannot be trusted: it said nothing");
        assert_snapshot!(check(&run(Status::Exited(0), &[SAID, DONE]), None), @"the reviewer's answer cannot be trusted: it said nothing");
    }

    #[test]
    fn what_is_no_answer_costs_what_it_cost() {
        let cost = |lines: &[&str]| accept(&run(Status::Exited(0), lines), None).usage.map(Usage::total);
        assert_eq!(cost(&[SAID, SAID, DONE]), Some(7));
        assert_eq!(cost(&[SAID, DONE, DONE]), Some(14));
        assert_eq!(cost(&[SAID]), None);
    }

    #[test]
    fn r09_a_reviewer_that_acts_is_not_believed() {
        let act = r#"{"type":"item.started","item":{"type":"command_execution"}}"#;
        assert_snapshot!(clean(&[act, SAID, DONE], "{}"), @"the reviewer's answer cannot be trusted: it did something else than answer (command_execution)");
    }

    #[test]
    fn output_that_is_cut_or_no_event_is_not_believed() {
        let cut = Output { cut: true, ..run(Status::Exited(0), &[SAID, DONE]) };
        assert_snapshot!(check(&cut, Some("{}")), @"the reviewer's answer cannot be trusted: its output is longer than what was kept");
        assert_snapshot!(clean(&[SAID, DONE, "garbage"], "{}"), @"the reviewer's answer cannot be trusted: line 3 is not an event");
    }
}
