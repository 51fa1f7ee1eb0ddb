//! Which secrets are registered, and that none of them comes through.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use runner::{Log, Secrets, Unfit};

use crate::logs::directory;

/// The file and the live copy of a log that was fed with `chunks`.
pub(crate) fn logged(cap: u64, secrets: &Secrets, chunks: &[&[u8]]) -> (Vec<u8>, Vec<u8>, job::LogSize) {
    let (dir, fd) = directory();
    let live = Arc::new(Mutex::new(Vec::new()));
    let copy = Arc::clone(&live);
    let live_to = Box::new(move |piece: &[u8]| copy.lock().unwrap().extend_from_slice(piece));
    let mut log = Log::create(&fd, "stdout.log", cap, secrets.clone(), live_to).unwrap();
    for chunk in chunks {
        log.feed(chunk);
    }
    let size = log.finish().unwrap();
    let live = live.lock().unwrap().clone();
    (std::fs::read(dir.path().join("stdout.log")).unwrap(), live, size)
}

fn secrets(all: &[&str]) -> Secrets {
    let mut secrets = Secrets::default();
    for secret in all {
        secrets.register(secret.as_bytes()).unwrap();
    }
    secrets
}

fn check(all: &[&str], chunks: &[&str]) -> String {
    let chunks: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
    let (file, live, _) = logged(1 << 20, &secrets(all), &chunks);
    assert_eq!(file, live);
    String::from_utf8(file).unwrap()
}

fn contains(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|part| part == secret)
}

#[test]
fn j08_a_secret_is_replaced_wherever_the_stream_is_cut() {
    let key = &["sk-0123456789"];
    assert_eq!(check(key, &["a sk-0123456789 b"]), "a [redacted] b");
    assert_eq!(check(key, &["a sk-01", "23456789 b"]), "a [redacted] b");
    assert_eq!(check(key, &["sk-0123456789sk-0123456789"]), "[redacted][redacted]");
    assert_eq!(check(key, &["a sk-012345678"]), "a sk-012345678");
    assert_eq!(check(key, &["sk-sk-sk-01234", "sk-0123456789"]), "sk-sk-sk-01234[redacted]");
    // What looked like a secret ends in the beginning of one.
    assert_eq!(check(&["ababacxy"], &["ababab", "acxy"]), "ab[redacted]");
    let bytes: Vec<String> = "x sk-0123456789 y".chars().map(String::from).collect();
    assert_eq!(check(key, &bytes.iter().map(String::as_str).collect::<Vec<_>>()), "x [redacted] y");
}

#[test]
fn j08_secrets_that_overlap_are_one_mark_and_nothing_of_them_is_left() {
    let both = &["abcdefgh", "efghijkl"];
    assert_eq!(check(both, &["<abcdefghijkl>"]), "<[redacted]>");
    assert_eq!(check(both, &["<abcdefgh", "ijkl>"]), "<[redacted]>");
    assert_eq!(check(both, &["<abcdefgh", "i>"]), "<[redacted]i>");
    // One that holds another, known in either order.
    assert_eq!(check(&["secret", "my-secret-is-long"], &["my-secret", "-is-long secret"]), "[redacted] [redacted]");
    // One that joins two which only touch each other.
    assert_eq!(check(&["abcdef", "ghijkl", "+abcdefghijkl+"], &["<+abcdefghijkl+>"]), "<[redacted]>");
    // One that overlaps itself.
    assert_eq!(check(&["abaaba"], &["abaabaaba!"]), "[redacted]!");
}

#[test]
fn j08_a_secret_that_cannot_be_kept_out_is_not_registered() {
    let mut secrets = Secrets::default();
    assert_eq!(secrets.register(b"short"), Err(Unfit::TooShort(5)));
    assert_eq!(secrets.register(b" \n  12345 \n"), Err(Unfit::TooShort(5)));
    assert_eq!(secrets.register(&vec![b'x'; (16 << 10) + 1]), Err(Unfit::TooLong((16 << 10) + 1)));
    for mark in ["ai-ops-runner: ", "bytes left out", "xyz\n[ai-ops", "left out]\nxyz"] {
        assert_eq!(secrets.register(mark.as_bytes()), Err(Unfit::LikeAMark), "{mark}");
    }
    insta::assert_snapshot!(Unfit::TooShort(5), @"a secret of 5 bytes is too short to be kept out of a log: the shortest has 6");
    insta::assert_snapshot!(Unfit::LikeAMark, @"a secret that looks like the mark of something left out cannot be kept out of a log");
    (0..100).for_each(|n| secrets.register(format!("secret-{n:03}").as_bytes()).unwrap());
    assert_eq!(secrets.register(b"one more"), Err(Unfit::TooMany));
}

#[test]
fn j08_the_line_feed_after_a_key_in_a_file_is_no_part_of_it() {
    assert_eq!(check(&["\nsk-0123456789\n"], &["key=sk-0123456789;"]), "key=[redacted];");
}

#[test]
fn j08_a_mark_completes_no_secret() {
    assert_eq!(check(&["redacted"], &["a redacted b"]), "a (hidden) b");
    assert_eq!(check(&["qwertz[", "123456"], &["qwertz123456"]), "qwertz<redacted>");
    assert_eq!(check(&["qwertz[", "x<reda", ")hidden"], &["qwertz["]), "####");
    let mut all = secrets(&["qwertz[", "x<reda", ")hidden"]);
    assert_eq!(all.register(b"##secret"), Err(Unfit::LikeAMark));
}

#[test]
fn j08_no_secret_is_made_where_the_middle_is_left_out() {
    // The number of bytes that are left out is a secret here.
    let total = 2048 + 2_000_000 + (2048 - 80);
    let secrets = secrets(&["2000000", "AAAAAA\n\nBBBBBB"]);
    let (file, _, size) = logged(4096, &secrets, &[&vec![b'.'; total]]);
    assert!(size.truncated);
    assert!(contains(&file, b"\n[ai-ops-runner: bytes left out]\n"), "{}", String::from_utf8_lossy(&file));
    assert!(!contains(&file, b"2000000"));
}

#[test]
fn j08_a_secret_at_the_edges_of_what_is_left_out_is_gone() {
    let key = b"sk-0123456789";
    let secrets = secrets(&["sk-0123456789"]);
    for at in 2020..2080 {
        let mut said = vec![b'.'; 50_000];
        said[at..at + key.len()].copy_from_slice(key);
        let from_end = said.len() - at;
        said[from_end..from_end + key.len()].copy_from_slice(key);
        let (file, live, size) = logged(4096, &secrets, &[&said]);
        assert!(size.redacted == 2 && size.truncated);
        for part in 6..key.len() {
            assert!(!contains(&file, &key[..part]) && !contains(&file, &key[key.len() - part..]), "{at}");
        }
        assert!(!contains(&live, key));
    }
}

/// What must come out, slowly: every byte of every occurrence is covered, and each run is one mark.
fn expected(input: &[u8], secrets: &[Vec<u8>]) -> Vec<u8> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let mut found: Vec<(usize, usize)> = Vec::new();
    for secret in secrets {
        found.extend((0..input.len()).filter(|at| input[*at..].starts_with(secret)).map(|at| (at, at + secret.len())));
    }
    found.sort_unstable();
    for (start, end) in found {
        match runs.last_mut() {
            Some(last) if start < last.1 => last.1 = last.1.max(end),
            _ => runs.push((start, end)),
        }
    }
    let (mut out, mut at) = (Vec::new(), 0);
    for (start, end) in runs {
        out.extend_from_slice(&input[at..start]);
        out.extend_from_slice(b"[redacted]");
        at = end;
    }
    out.extend_from_slice(&input[at..]);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn j08_any_chunking_gives_what_one_chunk_gives_and_no_secret(
        all in prop::collection::vec("[ab]{6,12}", 1..5),
        words in prop::collection::vec("[ab]{0,6}|[ab\\n.]{0,9}", 0..20),
        parts in prop::collection::vec((0..5_usize, 0..6_usize, 6..13_usize), 20),
        cuts in prop::collection::vec(0..200_usize, 0..30),
        cap in 0..6000_u64,
    ) {
        // Whole secrets and parts of them between the words, so that they meet and overlap.
        let part = |(at, start, end): (usize, usize, usize)| {
            let secret = &all[at % all.len()];
            &secret[start..end.min(secret.len())]
        };
        let said: Vec<&str> = words.iter().zip(parts).flat_map(|(word, at)| [word, part(at)]).collect();
        let said = said.concat().into_bytes();
        let known = secrets(&all.iter().map(String::as_str).collect::<Vec<_>>());
        let (one, live_one, size_one) = logged(cap, &known, &[&said]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(said.len())).chain([0, said.len()]).collect();
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &said[pair[0]..pair[1]]).collect();
        let (many, live_many, size_many) = logged(cap, &known, &chunks);
        prop_assert_eq!(&one, &many);
        prop_assert_eq!(&live_one, &live_many);
        prop_assert_eq!(size_one, size_many);
        let bytes: Vec<Vec<u8>> = all.iter().map(|secret| secret.clone().into_bytes()).collect();
        prop_assert_eq!(&live_one, &expected(&said, &bytes));
        for secret in &bytes {
            prop_assert!(!contains(&one, secret) && !contains(&live_one, secret));
        }
    }

    #[test]
    fn j08_no_secret_comes_through_whatever_it_looks_like(
        all in prop::collection::vec("[\\[\\]<>()#redacthin0-9 \\n]{6,9}", 1..4),
        words in prop::collection::vec("[\\[\\]<>()#redacthin0-9 \\n]{0,9}", 0..12),
        picks in prop::collection::vec(0..4_usize, 0..12),
        repeats in 0..300_usize,
    ) {
        let mut known = Secrets::default();
        let all: Vec<&String> = all.iter().filter(|secret| known.register(secret.as_bytes()).is_ok()).collect();
        let mut said = String::new();
        for (at, word) in words.iter().enumerate() {
            said += word;
            said += picks.get(at).and_then(|pick| all.get(*pick)).map_or("", |secret| secret);
        }
        let said = said.repeat(1 + repeats);
        let (file, live, size) = logged(4096, &known, &[said.as_bytes()]);
        prop_assert!(file.len() as u64 == size.kept && size.kept <= 4096);
        for secret in all {
            let secret = secret.as_bytes().trim_ascii();
            prop_assert!(!contains(&file, secret) && !contains(&live, secret));
        }
    }
}
