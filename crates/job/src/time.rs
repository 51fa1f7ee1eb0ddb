//! A moment in UTC, to the millisecond, in one form: `2026-01-31T23:59:59.123Z`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A moment in the years 0000 to 9999, in whole milliseconds: RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(Timestamp);

/// Not a time in the one form, or outside of what can be written so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time such as 2026-01-31T23:59:59.123Z")]
pub struct NotATime;

impl Time {
    /// The moment so many milliseconds after the start of 1970.
    ///
    /// # Errors
    /// [`NotATime`] before the year 0 and after 9999.
    pub fn from_millis(millis: i64) -> Result<Self, NotATime> {
        let at = Timestamp::from_millisecond(millis).map_err(|_| NotATime)?;
        // A year outside of four digits has a sign in front.
        if format!("{at:.3}").len() == LENGTH { Ok(Self(at)) } else { Err(NotATime) }
    }

    /// Milliseconds since the start of 1970.
    pub fn as_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// Without separators, so that names sort by it: `20260131T235959123Z`.
    pub(crate) fn compact(self) -> String {
        self.to_string().chars().filter(|c| !matches!(c, '-' | ':' | '.')).collect()
    }
}

/// The length of the one form.
const LENGTH: usize = "2026-01-31T23:59:59.123Z".len();

/// What a clock says, cut to the millisecond.
impl TryFrom<SystemTime> for Time {
    type Error = NotATime;

    fn try_from(time: SystemTime) -> Result<Self, NotATime> {
        let at = Timestamp::try_from(time).map_err(|_| NotATime)?;
        Self::from_millis(at.as_millisecond())
    }
}

impl FromStr for Time {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let at: Timestamp = text.parse().map_err(|_| NotATime)?;
        let time = Self::from_millis(at.as_millisecond())?;
        if time.to_string() == text { Ok(time) } else { Err(NotATime) }
    }
}

impl TryFrom<String> for Time {
    type Error = NotATime;

    fn try_from(text: String) -> Result<Self, NotATime> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$"
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_has_one_form() {
        let good = "2026-01-31T23:59:59.120Z";
        assert_eq!(good.parse::<Time>().unwrap().to_string(), good);
        for bad in [
            "",
            "2026-01-31",
            "2026-01-31T23:59:59Z",
            "2026-01-31T23:59:59.1234Z",
            "2026-01-31t23:59:59.123Z",
            "2026-01-31 23:59:59.123Z",
            "2026-01-31T23:59:59.123+00:00",
            "2026-02-30T23:59:59.123Z",
            "2026-01-31T23:59:60.123Z",
            "-000001-01-31T23:59:59.123Z",
            " 2026-01-31T23:59:59.123Z",
        ] {
            assert_eq!(bad.parse::<Time>(), Err(NotATime), "{bad}");
        }
    }

    #[test]
    fn a_clock_is_cut_to_the_millisecond() {
        let clock = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_999);
        assert_eq!(Time::try_from(clock).unwrap().to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(Time::try_from(SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 366 * 9000)), Err(NotATime));
    }
}
