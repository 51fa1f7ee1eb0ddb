//! JSON that says exactly what its schema says, or nothing.
//!
//! serde alone is lenient: a struct may be written as an array, an absent key reads as `null`, a unit variant may be
//! an object. So a document is accepted only when what was understood, written again, equals what was read. Keys that
//! are unknown or stand twice are refused by the types (`deny_unknown_fields`; none holds a map).

use schemars::Schema;
use schemars::transform::transform_subschemas;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::show;

/// Reads `bytes` as exactly one JSON document of type `T`; JSON white space may surround it.
///
/// # Errors
/// In words, safe to print: longer than `limit` bytes, not JSON, more than one document, or another form.
pub(crate) fn parse<T: Serialize + DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, String> {
    if bytes.len() > limit {
        return Err(format!("longer than {limit} bytes"));
    }
    let understood: T = serde_json::from_slice(bytes).map_err(|error| show::clip(&error.to_string(), 300))?;
    let written = serde_json::to_value(&understood).map_err(|error| show::clip(&error.to_string(), 300))?;
    let read: Value = serde_json::from_slice(bytes).map_err(|error| show::clip(&error.to_string(), 300))?;
    if written == read { Ok(understood) } else { Err("a key is missing, or a value has another form".into()) }
}

/// Names every property of every object as required: [`parse`] wants each key, `null` included.
pub(crate) fn require_every_key(schema: &mut Schema) {
    if let Some(Value::Object(properties)) = schema.get("properties") {
        let keys: Vec<Value> = properties.keys().cloned().map(Value::String).collect();
        schema.insert("required".into(), Value::Array(keys));
    }
    transform_subschemas(&mut require_every_key, schema);
}
