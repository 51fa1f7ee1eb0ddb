//! A reviewer's last message is accepted only as one whole, consistent answer to the question that was asked.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use verdict::Decision;
use verdict::answer::parse;

const PACKET: &str = "packet-001";
const NONCE: &str = "n";

fuzz_target!(|text: &[u8]| -> Corpus {
    let Ok(answer) = parse(text, PACKET, NONCE) else { return Corpus::Keep };
    assert_eq!((answer.packet.as_str(), answer.nonce.as_str()), (PACKET, NONCE));
    assert_eq!(answer.verdict == Decision::Approved, answer.blockers.is_empty());

    let again = serde_json::to_vec(&answer).expect("an answer is JSON");
    assert_eq!(parse(&again, PACKET, NONCE).as_ref(), Ok(&answer), "what was accepted is accepted as written again");

    assert!(parse(text, "packet-002", NONCE).is_err(), "an answer to another packet");
    assert!(parse(text, PACKET, "other").is_err(), "an answer to another question");
    assert!(parse(&[text, text].concat(), PACKET, NONCE).is_err(), "two documents");
    assert!(parse(&[b"Here it is: ", text].concat(), PACKET, NONCE).is_err(), "prose before it");
    Corpus::Keep
});
