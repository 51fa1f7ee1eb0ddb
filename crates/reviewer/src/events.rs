//! What `codex exec --json` printed, read as the signs of one turn.
//!
//! Format: one JSON object a line, codex 0.169.0. Events of a kind not listed here carry nothing that is decided by.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Tokens as the service counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Read, cached ones included.
    pub input: u64,
    /// Of those, read from the service's cache.
    pub cached_input: u64,
    /// Written, reasoning included.
    pub output: u64,
}

impl Usage {
    /// Everything that counts against a budget.
    pub const fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cached_input: self.cached_input.saturating_add(other.cached_input),
            output: self.output.saturating_add(other.output),
        }
    }
}

/// The signs of one turn, each as often as it was seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// `turn.completed`, with the usage when it was told.
    pub(crate) completed: Vec<Option<Usage>>,
    /// `turn.failed` and `error`: their messages.
    pub(crate) errors: Vec<String>,
    /// How many `turn.failed` there were.
    pub(crate) failed: usize,
    /// The finished messages of the model.
    pub(crate) messages: Vec<String>,
    /// The kinds of everything else the model did: a reviewer without tools does nothing.
    pub(crate) actions: Vec<String>,
}

impl Turn {
    /// Reads codex's standard output.
    ///
    /// # Errors
    /// The number of the first line that is not a JSON object with a `type`.
    pub(crate) fn read(stdout: &[u8]) -> Result<Self, usize> {
        let mut turn = Self::default();
        for (number, line) in stdout.split(|byte| *byte == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let event: Value = serde_json::from_slice(line).map_err(|_| number + 1)?;
            let kind = event["type"].as_str().ok_or(number + 1)?;
            turn.see(kind, &event);
        }
        Ok(turn)
    }

    fn see(&mut self, kind: &str, event: &Value) {
        match kind {
            "turn.completed" => self.completed.push(usage(&event["usage"])),
            "turn.failed" => {
                self.failed += 1;
                self.errors.extend(event["error"]["message"].as_str().map(str::to_owned));
            }
            "error" => self.errors.extend(event["message"].as_str().map(str::to_owned)),
            "item.started" | "item.updated" | "item.completed" => self.see_item(kind, &event["item"]),
            _ => {}
        }
    }

    fn see_item(&mut self, kind: &str, item: &Value) {
        match item["type"].as_str().unwrap_or("unknown") {
            "agent_message" if kind == "item.completed" => {
                self.messages.push(item["text"].as_str().unwrap_or_default().to_owned());
            }
            "error" => self.errors.extend(item["message"].as_str().map(str::to_owned)),
            "agent_message" | "reasoning" => {}
            action if self.actions.iter().any(|seen| seen == action) => {}
            action => self.actions.push(action.to_owned()),
        }
    }
}

fn usage(value: &Value) -> Option<Usage> {
    Some(Usage {
        input: value["input_tokens"].as_u64()?,
        cached_input: value["cached_input_tokens"].as_u64().unwrap_or(0),
        output: value["output_tokens"].as_u64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_debug_snapshot;
    use proptest::prelude::*;

    #[test]
    fn a_turn_is_read_from_its_lines() {
        let stdout = br#"{"type":"thread.started","thread_id":"t"}
{"type":"turn.started"}
{"type":"error","message":"Reconnecting... 1/2"}
{"type":"item.started","item":{"type":"command_execution"}}
{"type":"item.completed","item":{"type":"command_execution"}}
{"type":"item.completed","item":{"type":"reasoning","text":"hm"}}
{"type":"item.completed","item":{"type":"agent_message","text":"{}"}}
{"type":"turn.completed","usage":{"input_tokens":3,"cached_input_tokens":1,"output_tokens":4}}
"#;
        assert_debug_snapshot!(Turn::read(stdout), @r#"
        Ok(
            Turn {
                completed: [
                    Some(
                        Usage {
                            input: 3,
                            cached_input: 1,
                            output: 4,
                        },
                    ),
                ],
                errors: [
                    "Reconnecting... 1/2",
                ],
                failed: 0,
                messages: [
                    "{}",
                ],
                actions: [
                    "command_execution",
                ],
            },
        )
        "#);
    }

    #[test]
    fn a_line_that_is_no_event_is_named() {
        assert_eq!(Turn::read(b"{\"type\":\"turn.started\"}\n{\"type\":\"turn.comp"), Err(2));
        assert_eq!(Turn::read(b"[]"), Err(1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Turn::read(&bytes);
        }
    }
}
