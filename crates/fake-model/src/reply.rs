//! What the server answers: a stream of items, an HTTP status, or a way to break.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// Token figures of one answer, as `response.completed` reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
}

/// How a stream of items ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// `response.completed`: the normal end.
    Completed,
    /// `response.failed` with this error code, for example `insufficient_quota` or `server_error`.
    Failed(String),
    /// `response.incomplete` with this reason, for example `max_output_tokens`.
    Incomplete(String),
    /// The body ends in good order but nothing closed the response.
    Early,
    /// The connection is cut in the middle of the body.
    Cut,
}

/// One scripted answer. Formats: <https://platform.openai.com/docs/api-reference/responses-streaming>.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Server-sent events: the items, then the ending.
    Stream {
        /// Output items in the API's own form.
        items: Vec<Value>,
        /// Reported by `response.completed`.
        usage: Option<Usage>,
        /// How the stream ends.
        ending: Ending,
    },
    /// An HTTP error with a JSON error body.
    Status {
        /// The status code.
        code: u16,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
        /// The error's `code` and `message`.
        message: String,
    },
    /// The connection is closed before a byte is sent.
    Drop,
    /// Nothing is sent until the client gives up.
    Hang,
}

impl Reply {
    /// One assistant message.
    pub fn message(text: impl Into<String>) -> Self {
        Self::items(vec![message_item(&text.into())])
    }

    /// Several assistant messages in one response; codex takes the last.
    pub fn messages<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::items(texts.into_iter().map(|text| message_item(&text.into())).collect())
    }

    /// A call of codex's `apply_patch` tool; the next request carries its output.
    pub fn apply_patch(patch: impl Into<String>) -> Self {
        let patch = patch.into();
        Self::items(vec![json!({"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": patch})])
    }

    /// A call of codex's shell tool; the next request carries its output.
    pub fn exec_command(command: &str) -> Self {
        let arguments = json!({ "cmd": command }).to_string();
        let call = json!({"type": "function_call", "call_id": "c1", "name": "exec_command", "arguments": arguments});
        Self::items(vec![call])
    }

    /// The model declines.
    pub fn refusal(text: &str) -> Self {
        let content = json!([{"type": "refusal", "refusal": text}]);
        Self::items(vec![json!({"type": "message", "role": "assistant", "content": content})])
    }

    /// A completed response without any item.
    pub const fn empty() -> Self {
        Self::items(Vec::new())
    }

    /// An HTTP status with an error body.
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None, message: format!("scripted {code}") }
    }

    /// The response failed with this error code after it began.
    pub fn failed(code: &str) -> Self {
        Self::empty().ending(Ending::Failed(code.into()))
    }

    /// The same, ending another way. Has no effect on what is not a stream.
    #[must_use]
    pub fn ending(self, ending: Ending) -> Self {
        match self {
            Self::Stream { items, usage, .. } => Self::Stream { items, usage, ending },
            other => other,
        }
    }

    /// The same, reporting these token figures. Has no effect on what is not a stream.
    #[must_use]
    pub fn usage(self, input: u64, output: u64) -> Self {
        match self {
            Self::Stream { items, ending, .. } => Self::Stream { items, usage: Some(Usage { input, output }), ending },
            other => other,
        }
    }

    /// The same with `Retry-After`, in seconds. Has no effect on what is not a status.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        match self {
            Self::Status { code, message, .. } => Self::Status { code, retry_after: Some(seconds), message },
            other => other,
        }
    }

    const fn items(items: Vec<Value>) -> Self {
        Self::Stream { items, usage: None, ending: Ending::Completed }
    }
}

fn message_item(text: &str) -> Value {
    json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
}

/// The events of a stream, as the body of a `text/event-stream`.
pub(crate) fn events(items: &[Value], usage: Option<Usage>, ending: &Ending) -> String {
    let mut body = String::new();
    event(&mut body, &json!({"type": "response.created", "response": {"id": "r"}}));
    for item in items {
        event(&mut body, &json!({"type": "response.output_item.done", "item": item}));
    }
    if let Some(last) = closing(usage, ending) {
        event(&mut body, &last);
    }
    body
}

fn closing(usage: Option<Usage>, ending: &Ending) -> Option<Value> {
    Some(match ending {
        Ending::Completed => {
            json!({"type": "response.completed", "response": {"id": "r", "usage": usage.map(figures)}})
        }
        Ending::Failed(code) => json!({"type": "response.failed",
            "response": {"id": "r", "error": {"code": code, "message": format!("scripted {code}")}}}),
        Ending::Incomplete(reason) => json!({"type": "response.incomplete",
            "response": {"id": "r", "incomplete_details": {"reason": reason}}}),
        Ending::Early | Ending::Cut => return None,
    })
}

fn figures(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": usage.output, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.input + usage.output,
    })
}

fn event(body: &mut String, data: &Value) {
    let kind = data["type"].as_str().unwrap_or_default();
    let _ = write!(body, "event: {kind}\ndata: {data}\n\n");
}
