//! A handler that reads the project's own prompts and answers them: approves, blocks on a marker, or heals.

use serde_json::{Value, json};

use crate::reply::Reply;
use crate::request::Request;

/// A model simple enough to predict. A review is approved unless an added line has the marker; a heal applies the patch.
#[derive(Debug, Clone, Default)]
pub struct Brain {
    marker: Option<String>,
    patch: Option<String>,
}

impl Brain {
    /// Approves every review and heals nothing.
    pub const fn approving() -> Self {
        Self { marker: None, patch: None }
    }

    /// Blocks a review in whose diff an added line contains `marker`.
    #[must_use]
    pub fn blocking_on(self, marker: impl Into<String>) -> Self {
        Self { marker: Some(marker.into()), ..self }
    }

    /// Answers a request that offers tools (a heal) by this `apply_patch` text.
    #[must_use]
    pub fn healing_with(self, patch: impl Into<String>) -> Self {
        Self { patch: Some(patch.into()), ..self }
    }

    /// The reply to one request: give `move |request| brain.reply(request)` to [`crate::FakeModel::start`].
    pub fn reply(&self, request: &Request) -> Reply {
        let prompt = request.prompt();
        match (field(&prompt, "packet"), field(&prompt, "nonce")) {
            (Some(packet), Some(nonce)) => self.review(&prompt, packet, nonce).usage(1000, 100),
            _ => self.heal(request),
        }
    }

    fn review(&self, prompt: &str, packet: &str, nonce: &str) -> Reply {
        let blockers = self.marker.iter().filter_map(|marker| blocker(prompt, nonce, marker)).collect::<Vec<_>>();
        let verdict = if blockers.is_empty() { "APPROVED" } else { "BLOCKED" };
        let answer =
            json!({"packet": packet, "nonce": nonce, "verdict": verdict, "blockers": blockers, "non_blocking": []});
        Reply::message(answer.to_string())
    }

    fn heal(&self, request: &Request) -> Reply {
        match &self.patch {
            Some(patch) if request.tool_outputs().is_empty() => Reply::apply_patch(patch),
            _ => Reply::message("done"),
        }
    }
}

/// The value of the first line `name: value`.
fn field<'a>(prompt: &'a str, name: &str) -> Option<&'a str> {
    prompt.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A finding when the text between the two fences has an added line with the marker.
fn blocker(prompt: &str, nonce: &str, marker: &str) -> Option<Value> {
    let is_fence = |line: &&str| line.starts_with("=====") && line.contains(nonce);
    let fenced = prompt.lines().skip_while(|line| !is_fence(line)).skip(1).take_while(|line| !is_fence(line));
    let added = fenced.into_iter().find(|line| line.starts_with('+') && line.contains(marker))?;
    Some(json!({"path": null, "line": null, "title": format!("{marker} must not be here"), "detail": added}))
}
