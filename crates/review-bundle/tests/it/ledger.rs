//! The proof that nothing is missing, against ledgers that lie.

use insta::assert_snapshot;
use proptest::prelude::*;
use review_bundle::{Bundle, Ledger, LedgerGap, Limits, Note, Side, Span, check};

use crate::tree::{EXECUTABLE, FILE, SUBMODULE, Tree, bundle, header, tree, trees};

const LIMITS: Limits = Limits { packet_cap: 1270, max_packets: 1000 };

fn sample() -> Bundle {
    let lines = |from: u32, to: u32| (from..to).map(|n| format!("line {n}\n")).collect::<String>();
    let submodule = |digit: &str| digit.repeat(40);
    let old = tree([("a", FILE, &*lines(0, 90)), ("m", FILE, "x"), ("s", SUBMODULE, &*submodule("1"))]);
    let new = tree([("a", FILE, &*lines(40, 190)), ("m", EXECUTABLE, "x"), ("s", SUBMODULE, &*submodule("2"))]);
    let note = |path: &str| {
        let message = "m".repeat(400);
        Note { blocker: false, rule: "secret".into(), path: path.into(), line: None, message }
    };
    Bundle::new(header(), bundle(&old, &new).files().to_vec(), vec![note("a"), note("m")])
}

/// What the checker says to a true ledger after `lie`.
fn judged(lie: impl FnOnce(&mut Ledger)) -> String {
    let bundle = sample();
    let mut ledger = bundle.packets(LIMITS).unwrap().ledger;
    lie(&mut ledger);
    check(&ledger, &bundle).map_or_else(|gap| gap.to_string(), |()| "complete".into())
}

/// The span of the new version of `a` that is at `index`.
fn span(ledger: &mut Ledger, index: usize) -> &mut Span {
    ledger.entries[0].spans.iter_mut().filter(|span| span.side == Side::New).nth(index).unwrap()
}

#[test]
fn r01_a_true_ledger_is_complete() {
    assert_eq!(judged(|_| {}), "complete");
    let ledger = sample().packets(LIMITS).unwrap().ledger;
    assert!(ledger.packets.len() > 3, "the lies below need several packets: {}", ledger.packets.len());
    assert!(ledger.overviews.len() > 1, "and several of the overview: {}", ledger.overviews.len());
}

#[test]
fn r01_the_order_of_entries_and_spans_does_not_matter() {
    assert_eq!(judged(|ledger| ledger.entries.reverse()), "complete");
    assert_eq!(judged(|ledger| ledger.entries[0].spans.reverse()), "complete");
}

#[test]
fn r01_a_changed_byte_in_no_packet_is_found() {
    assert_snapshot!([
        judged(|ledger| span(ledger, 0).start += 1),
        judged(|ledger| span(ledger, 0).end -= 1),
        judged(|ledger| span(ledger, 1).start += 1),
        judged(|ledger| ledger.entries[0].spans.truncate(1)),
        judged(|ledger| { ledger.entries[0].spans.remove(0); }),
        judged(|ledger| { ledger.entries[0].spans.pop(); }),
        judged(|ledger| { ledger.entries[2].spans.pop(); }),
    ].join("\n"), @r"
    a: byte 400 of the new version is changed or covered, but not both
    a: byte 650 of the new version is changed or covered, but not both
    a: byte 651 of the new version is changed or covered, but not both
    nothing is in packet-002
    a: byte 0 of the old version is changed or covered, but not both
    a: byte 1209 of the new version is changed or covered, but not both
    s: byte 0 of the new version is changed or covered, but not both
    ");
}

#[test]
fn r01_a_byte_in_two_packets_is_found() {
    assert_snapshot!([
        judged(|ledger| span(ledger, 0).end += 1),
        judged(|ledger| span(ledger, 1).start -= 1),
        judged(|ledger| { let twice = span(ledger, 0).clone(); ledger.entries[0].spans.push(twice); }),
    ].join("\n"), @r"
    a: byte 651 of the new version is in two places
    a: byte 650 of the new version is in two places
    a: byte 400 of the new version is in two places
    ");
}

#[test]
fn r01_bytes_that_did_not_change_are_not_counted_as_shown() {
    assert_snapshot!([
        judged(|ledger| span(ledger, 0).start -= 1),
        judged(|ledger| ledger.entries[0].spans.last_mut().unwrap().end += 1),
        judged(|ledger| { let mut other = span(ledger, 0).clone(); (other.start, other.end) = (0, 1); ledger.entries[1].spans.push(other); }),
        judged(|ledger| ledger.entries[0].spans[0].side = Side::New),
    ].join("\n"), @r"
    a: byte 399 of the new version is changed or covered, but not both
    a: byte 1290 of the new version is changed or covered, but not both
    m: byte 0 of the new version is changed or covered, but not both
    a: byte 0 of the old version is changed or covered, but not both
    ");
}

#[test]
fn r01_an_empty_span_is_found() {
    assert_snapshot!([
        judged(|ledger| { let end = span(ledger, 0).end; span(ledger, 0).start = end; }),
        judged(|ledger| { let one = span(ledger, 0); std::mem::swap(&mut one.start, &mut one.end); }),
    ].join("\n"), @r"
    a: the span 651..651 of the new version is empty
    a: the span 651..400 of the new version is empty
    ");
}

#[test]
fn r14_a_change_that_is_named_nowhere_twice_or_wrongly_is_found() {
    assert_snapshot!([
        judged(|ledger| { ledger.entries.remove(1); }),
        judged(|ledger| { let twice = ledger.entries[1].clone(); ledger.entries.push(twice); }),
        judged(|ledger| ledger.entries[1].path = "other".into()),
        judged(|ledger| ledger.entries[1].named_in = "packet-999".into()),
        judged(|ledger| ledger.entries[1].new.as_mut().unwrap().mode = "100644".into()),
        judged(|ledger| ledger.entries[1].old = None),
        judged(|ledger| ledger.entries[2].new.as_mut().unwrap().id = "3".repeat(40)),
        judged(|ledger| ledger.entries[1].new.as_mut().unwrap().bytes = None),
        judged(|ledger| ledger.entries[1].old.as_mut().unwrap().sha256 = None),
    ].join("\n"), @r"
    m is in no packet
    m is listed twice
    other is listed but did not change
    m is said to be in packet-999, which there is not
    m is listed with another mode, id, size or hash
    m is listed with another mode, id, size or hash
    s is listed with another mode, id, size or hash
    m is listed with another mode, id, size or hash
    m is listed with another mode, id, size or hash
    ");
}

#[test]
fn r03_an_empty_or_unknown_packet_is_found() {
    assert_snapshot!([
        judged(|ledger| { let mut empty = ledger.packets[0].clone(); empty.id = "packet-999".into(); ledger.packets.push(empty); }),
        judged(|ledger| { let twice = ledger.packets[0].clone(); ledger.packets.push(twice); }),
        judged(|ledger| { ledger.packets.remove(1); }),
        judged(|ledger| span(ledger, 0).packet = "packet-000".into()),
    ].join("\n"), @r"
    nothing is in packet-999
    two packets are called packet-001
    a is said to be in packet-002, which there is not
    a is said to be in packet-000, which there is not
    ");
}

#[test]
fn r01_an_entry_of_the_overview_that_is_nowhere_or_elsewhere_is_found() {
    assert_snapshot!([
        judged(|ledger| ledger.entries[1].listed_in.clear()),
        judged(|ledger| ledger.entries[1].listed_in = "packet-001".into()),
        judged(|ledger| ledger.entries[1].named_in = "overview-001".into()),
        judged(|ledger| { ledger.notes.pop(); }),
        judged(|ledger| { let twice = ledger.notes[0].clone(); ledger.notes.push(twice); }),
        judged(|ledger| ledger.notes[0] = "overview-999".into()),
        judged(|ledger| { ledger.overviews.pop(); }),
        judged(|ledger| { let mut empty = ledger.overviews[0].clone(); empty.id = "overview-999".into(); ledger.overviews.push(empty); }),
        judged(|ledger| ledger.overviews[0].id = "packet-001".into()),
    ].join("\n"), @r"
    m is said to be in , which there is not
    m is said to be in packet-001, which there is not
    m is said to be in overview-001, which there is not
    1 notes are listed, there are 2
    3 notes are listed, there are 2
    a note is said to be in overview-999, which there is not
    s is said to be in overview-003, which there is not
    nothing is in overview-999
    two packets are called packet-001
    ");
}

#[test]
fn a_ledger_of_another_format_or_bundle_is_refused() {
    assert_eq!(judged(|ledger| ledger.schema = 2), "the ledger has schema 2, not 1");
    assert_eq!(judged(|ledger| ledger.bundle_sha256.clear()), "the ledger is for another bundle");
    let other = bundle(&Tree::new(), &tree([("a", FILE, "1\n")]));
    let ledger = sample().packets(LIMITS).unwrap().ledger;
    assert_eq!(check(&ledger, &other), Err(LedgerGap::OtherBundle));
}

#[test]
fn a_ledger_of_schema_1_is_read_for_ever() {
    let bundle = bundle(&Tree::new(), &tree([("a\n", FILE, "1\n")]));
    let ledger = bundle.packets(LIMITS).unwrap().ledger;
    let text = serde_json::to_string_pretty(&ledger).unwrap();
    assert_snapshot!(text, @r#"
    {
      "schema": 1,
      "bundle_sha256": "ea3bd745eaf89522a0b0ffa6b0109d5a3ddae1c3489232bc5c7c7147302a313c",
      "packets": [
        {
          "id": "packet-001",
          "bytes": 911,
          "sha256": "11d75708d37c3e50d39994be51c4fe9638f4e04632dda5b5ad0c10a46137bbca"
        }
      ],
      "overviews": [
        {
          "id": "overview-001",
          "bytes": 652,
          "sha256": "135144d2e491ed2769a624668af535c13835d7162c551d28645eddcb5efda2cb"
        }
      ],
      "entries": [
        {
          "path": "a\\u{a}",
          "old": null,
          "new": {
            "mode": "100644",
            "id": "4355a46b19d348dc2f57c046f8ef63d4538ebb93",
            "bytes": 2,
            "sha256": "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"
          },
          "named_in": "packet-001",
          "listed_in": "overview-001",
          "spans": [
            {
              "side": "new",
              "start": 0,
              "end": 2,
              "packet": "packet-001"
            }
          ]
        }
      ],
      "notes": []
    }
    "#);
    assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
    assert!(serde_json::from_str::<Ledger>(&text.replacen("\"schema\"", "\"more\": 1, \"schema\"", 1)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn r01_no_lie_about_a_byte_passes((old, new) in trees(), at in any::<prop::sample::Index>(), shift in 1_u64..5, kind in 0..5) {
        let bundle = bundle(&old, &new);
        let Ok(packets) = bundle.packets(LIMITS) else { return Ok(()) };
        let mut ledger = packets.ledger;
        let with_spans: Vec<usize> = (0..ledger.entries.len()).filter(|&i| !ledger.entries[i].spans.is_empty()).collect();
        prop_assume!(!with_spans.is_empty());
        let spans = &mut ledger.entries[with_spans[at.index(with_spans.len())]].spans;
        let index = at.index(spans.len());
        let span = &mut spans[index];
        match kind {
            0 => span.end += shift,
            1 => span.end -= shift.min(span.end),
            2 => span.start += shift,
            3 => span.side = if span.side == Side::Old { Side::New } else { Side::Old },
            _ => drop(spans.remove(index)),
        }
        prop_assert!(check(&ledger, &bundle).is_err());
    }
}
