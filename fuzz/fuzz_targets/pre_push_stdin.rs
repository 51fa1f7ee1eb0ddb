//! Every line that Git writes to the hook becomes one update, or nothing of the input counts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use verdict::gate::parse_pre_push;

fuzz_target!(|stdin: &[u8]| {
    let Ok(updates) = parse_pre_push(stdin) else { return };
    let lines: Vec<&[u8]> = stdin.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(updates.len(), lines.len(), "a line was passed over");
    for (update, line) in updates.iter().zip(lines) {
        let rest = format!(" {} {} {}", update.new, update.remote_ref, update.old);
        assert!(line.to_ascii_lowercase().ends_with(&rest.to_ascii_lowercase().into_bytes()), "{update:?}");
        assert!(!update.local_ref.chars().any(char::is_control), "{update:?}");
        assert!(update.new.same_format(&update.old), "{update:?}");
    }
});
