//! What the objects of an attempt are called.
//!
//! | object, below `<id>/<epoch>/` | what it is |
//! |---|---|
//! | `log/<stream>/<offset>` | a block of a log of a job that runs, called by where it begins |
//! | `files/<path>` | a file |
//! | `hashed/<SHA-256 of the path>` | a file whose path is too long or too odd for an object's name |
//! | `index.json` | the paths and sizes of all files but `artifact.json`: written when they are there |

use job::Id;
use object_store::path::Path;
use runner_wire::Stream;
use sha2::{Digest as _, Sha256};

/// The last file of an attempt.
pub(crate) const ARTIFACT: &str = "artifact.json";
/// The size of all blocks of a log but the last, in bytes.
pub(crate) const BLOCK: u64 = 256 << 10;

/// The longest path that is an object's name, in bytes. S3 takes 1024 for the whole name.
const MAX_PLAIN: usize = 700;
/// The longest part of it: a directory as an object store adds to it.
const MAX_PLAIN_PART: usize = 200;

/// All objects of a job.
pub(crate) fn job(id: &Id) -> Path {
    name(id.to_string())
}

pub(crate) fn file(attempt: &str, path: &str) -> Path {
    if is_plain(path) {
        return name(format!("{attempt}/files/{path}"));
    }
    let hash = job::Sha256::from(<[u8; 32]>::from(Sha256::digest(path)));
    name(format!("{attempt}/hashed/{hash}"))
}

pub(crate) fn index(attempt: &str) -> Path {
    name(format!("{attempt}/index.json"))
}

/// All blocks of an attempt's logs.
pub(crate) fn blocks(attempt: &str) -> Path {
    name(format!("{attempt}/log"))
}

pub(crate) fn blocks_of(attempt: &str, stream: Stream) -> Path {
    let stream = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    name(format!("{attempt}/log/{stream}"))
}

/// The block with the byte at `offset`.
pub(crate) fn block(attempt: &str, stream: Stream, offset: u64) -> Path {
    blocks_of(attempt, stream).join(format!("{:020}", offset - offset % BLOCK))
}

/// Where a block begins.
pub(crate) fn offset(block: &str) -> Option<u64> {
    block.parse().ok().filter(|_| block.len() == 20)
}

fn name(name: String) -> Path {
    Path::parse(name).expect("ids, numbers and plain paths are names")
}

fn is_plain(path: &str) -> bool {
    path.len() <= MAX_PLAIN
        && path.split('/').all(|part| part.len() <= MAX_PLAIN_PART)
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn j14_an_object_s_name_is_plain_whatever_the_file_s_is() {
        assert_snapshot!(file("i/1", "a/b-c_d.txt"), @"i/1/files/a/b-c_d.txt");
        let odd = ["a b", "a#1", "%2e%2e", "\n", "\u{e4}", "*", &"a".repeat(201), &["a"; 351].join("/")];
        for path in odd {
            let name = file("i/1", path);
            let hash = name.as_ref().strip_prefix("i/1/hashed/").unwrap();
            assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{path}");
        }
    }

    #[test]
    fn a_block_is_called_by_its_beginning() {
        let name = block("i/1", Stream::Stdout, BLOCK + 5);
        assert_snapshot!(name, @"i/1/log/stdout/00000000000000262144");
        assert_eq!(offset(name.filename().unwrap()), Some(BLOCK));
        assert_eq!([offset("1"), offset("0000000000000026214#"), offset("")], [None; 3]);
    }
}
