//! A change that is too large to be shown at once.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use insta::assert_snapshot;
use serde_json::Value;

use crate::stage::{Setup, Stage, mending};

/// What a review left in the work tree.
struct Record(PathBuf);

impl Record {
    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.0.join(name)).unwrap()).unwrap()
    }

    /// What each question showed, in order.
    fn packets(&self) -> Vec<String> {
        (1..).map_while(|n| fs::read_to_string(self.0.join(format!("PACKET_{n}.txt"))).ok()).collect()
    }

    fn summary(&self) -> String {
        let (meta, ledger) = (self.json("META.json"), self.json("LEDGER.json"));
        let count = |list: &str| ledger[list].as_array().unwrap().len();
        format!(
            "{} {}: {} packets, {} of the overview, {} kept",
            meta["mode"].as_str().unwrap(),
            meta["verdict"].as_str().unwrap(),
            count("packets"),
            count("overviews"),
            meta["tokens"]["cached_packets"]
        )
    }

    /// Every packet of the ledger was a question, in its order, and has the answer to that question.
    fn assert_complete(&self) {
        let (ledger, packets) = (self.json("LEDGER.json"), self.packets());
        let records = || ["packets", "overviews"].into_iter().flat_map(|list| ledger[list].as_array().unwrap());
        assert_eq!(packets.len(), records().count());
        for ((number, packet), record) in (1..).zip(&packets).zip(records()) {
            assert_eq!(record["bytes"], packet.len());
            let answer = self.json(&format!("VERDICT_{number}.json"));
            let (_, hash) = answer["packet"].as_str().unwrap().split_once('-').unwrap();
            assert!(record["sha256"].as_str().unwrap().starts_with(hash), "{record} {answer}");
        }
    }
}

fn records(stage: &Stage) -> Vec<Record> {
    let entries = fs::read_dir(stage.path("work/review_packets")).unwrap().map(|entry| entry.unwrap().path());
    let mut records: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    records.sort();
    records.into_iter().map(Record).collect()
}

#[test]
fn r01_after_a_heal_only_what_changed_and_the_overview_are_asked_again() {
    let review = "size_cap_bytes = 2000\npacket_cap_bytes = 3000\n";
    let stage = Stage::with_codex(&Setup { review, ..Setup::default() }, mending());
    for n in 0..12 {
        let lines = (0..=n % 5 * 4).map(|line| format!("LINE_{line} = 'of part {n}'\n"));
        stage.write(&format!("src/part_{n:02}.py"), &lines.collect::<String>());
    }
    stage.defect();
    assert_snapshot!(stage.ship(&[]).text(&stage), @"exit 0 pushed");

    let records = records(&stage);
    let summaries: Vec<String> = records.iter().map(Record::summary).collect();
    assert_snapshot!(summaries.join("\n"), @r"
    packet BLOCKED: 4 packets, 1 of the overview, 0 kept
    packet APPROVED: 4 packets, 1 of the overview, 3 kept
    ");
    records.iter().for_each(Record::assert_complete);

    let [before, after] = [&records[0], &records[1]].map(Record::packets);
    let texts: BTreeSet<&String> = before.iter().chain(&after).collect();
    let questions: Vec<String> = stage.model.requests().iter().map(fake_model::Request::prompt).collect();
    let asked = |text: &str| questions.iter().filter(|question| question.contains(text.trim_end())).count();
    for text in &texts {
        assert_eq!(asked(text), 1, "{text}");
    }
    let reviews = stage.model.requests().len() - stage.heals().len();
    assert_eq!((texts.len(), reviews), (before.len() + 2, before.len() + 2));
}
