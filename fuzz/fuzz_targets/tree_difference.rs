//! Any two trees: the shown text is safe to show, packets hold every changed byte exactly once, and the checker sees when
//! one is taken away.

#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use review_bundle::{Bundle, Change, Header, Limits, PacketError, Version, check, diff, sha256};

#[derive(Arbitrary, Debug)]
struct Trees {
    files: BTreeMap<Vec<u8>, [Option<Entry>; 2]>,
    packet_cap: u16,
}

#[derive(Arbitrary, Debug, PartialEq)]
struct Entry {
    kind: Kind,
    content: Vec<u8>,
}

#[derive(Arbitrary, Debug, PartialEq, Clone, Copy)]
enum Kind {
    File,
    Executable,
    Odd,
    Symlink,
    Submodule,
}

impl Entry {
    /// An id in the place of Git's, as different as the content is.
    fn id(&self) -> String {
        sha256(&self.content)[..40].to_owned()
    }

    fn version<'a>(&'a self, id: &'a str) -> Version<'a> {
        let mode = match self.kind {
            Kind::File => 0o100_644,
            Kind::Executable => 0o100_755,
            Kind::Odd => 0o100_664,
            Kind::Symlink => 0o120_000,
            Kind::Submodule => 0o160_000,
        };
        Version { mode, id, content: (self.kind != Kind::Submodule).then_some(&self.content) }
    }
}

impl Entry {
    /// Mode and content as far as git tells them apart.
    fn to_git(&self) -> (u32, String) {
        let id = self.id();
        let mode = self.version(&id).mode;
        (if mode == 0o100_664 { 0o100_644 } else { mode }, id)
    }
}

fn bundle(trees: &Trees) -> Bundle {
    let changed = trees.files.iter().filter(|(path, [old, new])| !path.is_empty() && old != new);
    let files = changed.map(|(path, [old, new])| {
        let ids = [old, new].map(|entry| entry.as_ref().map(Entry::id).unwrap_or_default());
        let version = |side: usize| [old, new][side].as_ref().map(|entry| entry.version(&ids[side]));
        diff(Change { path, old: version(0), new: version(1) })
    });
    let zeros = "0".repeat(40);
    Bundle::new(Header::new(&zeros, &zeros, &zeros, &[b"commit"]), files.collect(), Vec::new())
}

fn is_safe(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control())
}

fuzz_target!(|trees: Trees| {
    let bundle = bundle(&trees);
    let shown = bundle.shown();
    assert!(is_safe(&shown));
    assert_eq!(shown.len(), bundle.len());
    assert_eq!(sha256(shown.as_bytes()), bundle.sha256());
    let mut patch = Vec::new();
    bundle.write_patch(&mut patch).expect("memory takes every write");
    let is_in_patch =
        |sides: &[Option<Entry>; 2]| sides[0].as_ref().map(Entry::to_git) != sides[1].as_ref().map(Entry::to_git);
    assert_eq!(patch.is_empty(), !trees.files.iter().any(|(path, sides)| !path.is_empty() && is_in_patch(sides)));

    let limits = Limits { packet_cap: 1_000 + usize::from(trees.packet_cap), max_packets: 10_000 };
    let packets = match bundle.packets(limits) {
        Ok(packets) => packets,
        Err(PacketError::Gap(gap)) => panic!("{gap}"),
        Err(_) => return,
    };
    for packet in packets.packets.iter().chain(&packets.overviews) {
        assert!(packet.text.len() <= limits.packet_cap && is_safe(&packet.text), "{}", packet.id);
    }
    for entry in 0..packets.ledger.entries.len() {
        let mut lie = packets.ledger.clone();
        if lie.entries[entry].spans.pop().is_none() {
            lie.entries.remove(entry);
        }
        assert!(check(&lie, &bundle).is_err(), "entry {entry} lost something");
    }
});
