//! Ids are safe file names and sort by time.

use std::time::{Duration, SystemTime};

use job::{Id, Time};
use proptest::prelude::*;

fn id(millis: u64, random: [u8; 8]) -> Id {
    Id::new(Time::try_from(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)).unwrap(), random)
}

#[test]
fn an_id_says_when_it_was_made() {
    let id = id(1_700_000_000_123, [0, 0, 0, 0, 0, 0, 0, 255]);
    insta::assert_snapshot!(id, @"20231114T221320123Z-00000000000000ff");
    assert_eq!(id.born_at().to_string(), "2023-11-14T22:13:20.123Z");
}

#[test]
fn j03_an_id_is_always_a_safe_file_name() {
    let good = "20231114T221320123Z-00000000000000ff";
    assert!(good.parse::<Id>().is_ok());
    for bad in [
        "",
        ".",
        "..",
        "../../etc",
        "20231114T221320123Z",
        "20231114T221320123Z-",
        "20231114T221320123Z-00000000000000f",
        "20231114T221320123Z-00000000000000fff",
        "20231114T221320123Z-00000000000000FF",
        "20231114T221320123Z-+0000000000000ff",
        "20231114T221320123Z-0000000/000000ff",
        "20231114T221320123z-00000000000000ff",
        "20231114 221320123Z-00000000000000ff",
        "20231314T221320123Z-00000000000000ff",
        "20231114T221320123Z-00000000000000ff\n",
        " 20231114T221320123Z-00000000000000ff",
        "2023é114T221320123Z-00000000000000ff",
    ] {
        assert!(bad.parse::<Id>().is_err(), "{bad:?}");
        assert!(serde_json::from_value::<Id>(bad.into()).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn j03_whatever_is_read_as_an_id_is_written_the_same_and_plain(text in "[0-9TZ./a-f+-]{30,40}|\\PC{0,40}") {
        if let Ok(id) = text.parse::<Id>() {
            prop_assert_eq!(id.as_str(), &text);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        }
    }

    #[test]
    fn ids_are_read_again_and_sort_by_time(a in 0..253_402_300_799_999_u64, b in 0..253_402_300_799_999_u64, r: [u8; 8], s: [u8; 8]) {
        let (first, second) = (id(a, r), id(b, s));
        prop_assert_eq!(first.as_str().parse::<Id>().unwrap(), first.clone());
        if a != b {
            prop_assert_eq!(a < b, first.as_str() < second.as_str());
        }
    }
}
