//! SHA-256 of what was understood, not of how it was written.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// SHA-256 of `value` as JSON without white space and with every object's keys sorted: 64 lower-case hex digits.
pub(crate) fn of(value: &impl Serialize) -> String {
    let mut json = serde_json::to_value(value).expect("plain data with text as keys is always JSON");
    json.sort_all_objects();
    Sha256::digest(json.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hash_is_of_sorted_json_without_white_space() {
        #[derive(serde::Serialize)]
        struct Value {
            b: u8,
            a: [&'static str; 1],
        }
        // printf '{"a":["é"],"b":1}' | sha256sum
        let expected = "cde3c54c1d323a37b399fbf0246d2a68a66d3f4c8b57844aaab17ee6cddfdc07";
        assert_eq!(super::of(&Value { b: 1, a: ["é"] }), expected);
    }
}
