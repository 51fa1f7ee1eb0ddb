//! Times, spans and sizes as a person reads them.

use job::Time;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// How `at` lies to `now`: `just now`, `3 min ago`, `in 20 s`. Seconds go by tens, so that a page that is asked for every
/// other second is mostly the same.
pub(crate) fn relative(at: Time, now: Time) -> String {
    let ahead = at.as_millis().saturating_sub(now.as_millis());
    let span = match ahead.unsigned_abs() {
        span if span < 10 * SECOND => return "just now".into(),
        span if span < MINUTE => format!("{} s", span / (10 * SECOND) * 10),
        span if span < HOUR => format!("{} min", span / MINUTE),
        span if span < 2 * DAY => format!("{} h", span / HOUR),
        span => format!("{} days", span / DAY),
    };
    if ahead > 0 { format!("in {span}") } else { format!("{span} ago") }
}

/// A span of milliseconds: `340 ms`, `2.3 s`, `42 s`, `3 min 05 s`, `2 h 07 min`, `3 d 04 h`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates hand over references")]
pub(crate) fn span(ms: &u64) -> String {
    match *ms {
        ms if ms < SECOND => format!("{ms} ms"),
        ms if ms < 10 * SECOND => format!("{}.{} s", ms / SECOND, ms % SECOND / 100),
        ms if ms < MINUTE => format!("{} s", ms / SECOND),
        ms if ms < HOUR => format!("{} min {:02} s", ms / MINUTE, ms % MINUTE / SECOND),
        ms if ms < DAY => format!("{} h {:02} min", ms / HOUR, ms % HOUR / MINUTE),
        ms => format!("{} d {:02} h", ms / DAY, ms % DAY / HOUR),
    }
}

/// A number of bytes: `340 B`, `2.3 KiB`, `1.5 GiB`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates hand over references")]
pub(crate) fn size(bytes: &u64) -> String {
    let bytes = *bytes;
    // The unit that leaves fewer than 1024 of it.
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // The largest unit there is one of.
    let unit = bytes.ilog2() / 10;
    let tenths = (u128::from(bytes) * 10) >> (10 * unit);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit as usize - 1])
}

/// A number, its digits in threes: `100,000`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "templates hand over references")]
pub(crate) fn count(number: &u64) -> String {
    let digits = number.to_string();
    let threes: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|three| str::from_utf8(three).ok()).collect();
    threes.join(",")
}

/// The beginning of a hash, as git shows it.
pub(crate) fn short(hash: &str) -> &str {
    hash.char_indices().nth(12).map_or(hash, |(end, _)| &hash[..end])
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn a_time_is_told_as_it_lies_to_now() {
        let now = 1_800_000_000_000;
        let told = |ahead: i64| relative(Time::from_millis(now + ahead).unwrap(), Time::from_millis(now).unwrap());
        let told: Vec<String> =
            [0, -9999, -10_000, -59_999, -60_000, -3_599_999, -7_200_000, -172_800_000, 9_000, 25_000, 3_600_000]
                .into_iter()
                .map(told)
                .collect();
        assert_snapshot!(told.join("\n"), @r"
        just now
        just now
        10 s ago
        50 s ago
        1 min ago
        59 min ago
        2 h ago
        2 days ago
        just now
        in 20 s
        in 1 h
        ");
    }

    #[test]
    fn a_span_has_two_parts_at_most() {
        let spans = [0, 999, 1000, 9999, 10_000, 59_999, 60_000, 3_599_000, 3_600_000, 86_399_000, 86_400_000];
        assert_snapshot!(spans.each_ref().map(span).join("\n"), @r"
        0 ms
        999 ms
        1.0 s
        9.9 s
        10 s
        59 s
        1 min 00 s
        59 min 59 s
        1 h 00 min
        23 h 59 min
        1 d 00 h
        ");
    }

    #[test]
    fn the_digits_of_a_number_stand_in_threes() {
        assert_eq!([0, 999, 1000, 1_234_567].each_ref().map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_size_has_the_unit_that_fits() {
        assert_snapshot!([0, 1023, 1024, 1_048_575, 1_048_576, 3 << 29, u64::MAX].each_ref().map(size).join("\n"), @r"
        0 B
        1023 B
        1.0 KiB
        1023.9 KiB
        1.0 MiB
        1.5 GiB
        15.9 EiB
        ");
    }
}
