//! The model to ask, described to codex without the tools it would otherwise get.
//!
//! The features that codex can switch off by flag do not cover every tool: the description of a model brings its own
//! (a JavaScript runner, sub-agents, `apply_patch`). So codex is given a catalog (`model_catalog_json`) with the one
//! model that is asked, taken from the program's own catalog (`codex debug models --bundled`), with those tools removed.
//! Source of the fields: that command's output in codex 0.169.0.

use serde_json::{Map, Value, json};

/// What the model may do with what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tools {
    /// Nothing: a reviewer only answers.
    None,
    /// Run commands and patch files, directly: what the sandbox is known to hold.
    Edit,
}

/// Fields that differ from the program's own description; `null` takes a field out.
fn overrides(tools: Tools) -> Map<String, Value> {
    let mut fields = json!({
        "tool_mode": "direct",
        "multi_agent_version": null,
        "multi_agent_reasoning_effort": null,
        "experimental_supported_tools": [],
        "supports_search_tool": false,
        "input_modalities": ["text"],
    });
    if tools == Tools::None {
        fields["apply_patch_tool_type"] = Value::Null;
        fields["shell_type"] = "disabled".into();
    }
    fields.as_object().cloned().unwrap_or_default()
}

/// A model of the program's catalog.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Model {
    /// Its name (`-m`).
    pub(crate) slug: String,
    description: Option<Map<String, Value>>,
}

impl Model {
    /// The model called `wanted`, or the one codex itself would choose: the visible one of the lowest `priority`.
    ///
    /// # Errors
    /// In words, when `bundled` is not a catalog.
    pub(crate) fn choose(bundled: &[u8], wanted: Option<&str>) -> Result<Self, String> {
        let catalog: Value = serde_json::from_slice(bundled).map_err(|error| error.to_string())?;
        let models = catalog["models"].as_array().ok_or("no list of models")?;
        let description = match wanted {
            Some(slug) => models.iter().find(|model| model["slug"] == slug),
            None => models.iter().filter(|model| model["visibility"] == "list").min_by_key(|model| priority(model)),
        };
        let description = description.and_then(Value::as_object).cloned();
        let named = description.as_ref().and_then(|model| model.get("slug")).and_then(Value::as_str);
        let slug = wanted.or(named).ok_or("no model is marked as visible")?.to_owned();
        Ok(Self { slug, description })
    }

    /// The catalog to give to codex, as JSON. `None` for a model that the program does not know: its description of
    /// those brings no tools.
    pub(crate) fn catalog(&self, tools: Tools) -> Option<String> {
        let mut model = self.description.clone()?;
        model.extend(overrides(tools));
        model.retain(|_, value| !value.is_null());
        Some(json!({ "models": [model] }).to_string())
    }
}

fn priority(model: &Value) -> i64 {
    model["priority"].as_i64().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    const BUNDLED: &str = r#"{"models": [
        {"slug": "old", "visibility": "list", "priority": 9, "shell_type": "unified_exec"},
        {"slug": "new", "visibility": "list", "priority": 1, "shell_type": "unified_exec", "tool_mode": "code_mode_only",
         "multi_agent_version": "v2", "apply_patch_tool_type": "freeform", "context_window": 272000},
        {"slug": "hidden", "visibility": "hide", "priority": 0}]}"#;

    fn check(bundled: &str, wanted: Option<&str>) -> String {
        match Model::choose(bundled.as_bytes(), wanted) {
            Ok(model) => {
                format!("{}: {}", model.slug, model.catalog(Tools::None).unwrap_or_else(|| "codex's default".into()))
            }
            Err(error) => error,
        }
    }

    #[test]
    fn r09_the_chosen_model_is_described_without_tools() {
        assert_snapshot!(check(BUNDLED, None), @r#"new: {"models":[{"context_window":272000,"experimental_supported_tools":[],"input_modalities":["text"],"priority":1,"shell_type":"disabled","slug":"new","supports_search_tool":false,"tool_mode":"direct","visibility":"list"}]}"#);
    }

    #[test]
    fn the_policys_model_wins_even_when_codex_does_not_know_it() {
        assert_snapshot!(check(BUNDLED, Some("mine")), @"mine: codex's default");
    }

    #[test]
    fn what_is_not_a_catalog_is_an_error() {
        assert_snapshot!(check("{}", None), @"no list of models");
        assert_snapshot!(check(r#"{"models": []}"#, None), @"no model is marked as visible");
    }
}
