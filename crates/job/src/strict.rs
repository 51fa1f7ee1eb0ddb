//! JSON that says exactly what its type says, or nothing, and the JSON Schema that says the same.
//!
//! serde alone is lenient: a struct may be written as an array, an absent key reads as `null`. So a document is accepted
//! only when what was understood, written again, equals what was read.

use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a document is not read or not written. Safe to print.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// It is too long, no JSON, or has another form.
    #[error("not what it must be: {0}")]
    Form(String),
    /// It is of another version of the format.
    #[error("schema {is} is not {want}")]
    Schema {
        /// Its number.
        is: u32,
        /// The one that is known.
        want: u32,
    },
    /// Its parts contradict each other.
    #[error("it contradicts itself: {0}")]
    Contradiction(&'static str),
}

/// Reads `bytes` as exactly one JSON document; white space may surround it.
pub(crate) fn parse<T: Serialize + DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, Invalid> {
    if bytes.len() > limit {
        return Err(Invalid::Form(format!("longer than {limit} bytes")));
    }
    let understood: T = serde_json::from_slice(bytes).map_err(form)?;
    let written = serde_json::to_value(&understood).map_err(form)?;
    let read: Value = serde_json::from_slice(bytes).map_err(form)?;
    if written == read {
        Ok(understood)
    } else {
        Err(Invalid::Form("a key is missing, or a value has another form".into()))
    }
}

/// Indented JSON with a final newline.
pub(crate) fn to_json<T: Serialize>(document: &T, limit: usize) -> Result<String, Invalid> {
    let json = serde_json::to_string_pretty(document).map_err(form)? + "\n";
    if json.len() > limit { Err(Invalid::Form(format!("longer than {limit} bytes"))) } else { Ok(json) }
}

/// What serde says may quote the document: only what is visible of it is told.
#[expect(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
fn form(error: serde_json::Error) -> Invalid {
    let text: String = error.to_string().chars().flat_map(char::escape_debug).take(300).collect();
    Invalid::Form(text.replace("\\\"", "\"").replace("\\'", "'"))
}

/// The JSON Schema of `T`. A value that is not there is left out and never `null`.
pub(crate) fn json_schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(without_null);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = &choices[..] {
            let only = only.clone();
            schema.remove("anyOf");
            only.into_iter().for_each(|(key, value)| drop(schema.insert(key, value)));
        }
    }
    transform_subschemas(&mut without_null, schema);
}
