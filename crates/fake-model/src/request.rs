//! One request as the server received it.

use serde_json::Value;

/// One HTTP request. Only `POST …/responses` reaches a handler.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method, in capitals.
    pub method: String,
    /// The path as sent, for example `/v1/responses`.
    pub path: String,
    /// Header names in lower case, and their values, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body; `Null` when it was empty or not JSON.
    pub body: Value,
}

impl Request {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The text of the last user message: the prompt of `codex exec`.
    pub fn prompt(&self) -> String {
        let is_user = |item: &&Value| item["type"] == "message" && item["role"] == "user";
        let last = self.input().iter().rev().find(is_user);
        let parts = last.and_then(|item| item["content"].as_array()).map(Vec::as_slice).unwrap_or_default();
        parts.iter().filter_map(|part| part["text"].as_str()).collect()
    }

    /// Everything the model would read, for assertions on what must not be in it.
    pub fn text(&self) -> String {
        self.body.to_string()
    }

    /// The names (or, without a name, the types) of the tools offered to the model: those of the request, and those
    /// that newer models are offered by an `additional_tools` item, alone or in namespaces.
    pub fn tools(&self) -> Vec<String> {
        let additional = self.input().iter().filter(|item| item["type"] == "additional_tools");
        let lists = additional.map(|item| &item["tools"]).chain([&self.body["tools"]]);
        lists
            .flat_map(list)
            .flat_map(
                |tool| if tool["type"] == "namespace" { list(&tool["tools"]) } else { std::slice::from_ref(tool) },
            )
            .filter_map(|tool| tool["name"].as_str().or(tool["type"].as_str()))
            .map(str::to_owned)
            .collect()
    }

    /// The outputs of the tool calls so far, in order: not empty on the requests that follow a tool call.
    pub fn tool_outputs(&self) -> Vec<String> {
        let is_output = |item: &&Value| item["type"].as_str().is_some_and(|kind| kind.ends_with("_call_output"));
        self.input().iter().filter(is_output).map(|item| item["output"].to_string()).collect()
    }

    fn input(&self) -> &[Value] {
        list(&self.body["input"])
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
