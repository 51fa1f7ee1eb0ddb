//! Where a packet ends before it is full, so that an edit leaves packets elsewhere as they are.
//!
//! Were every packet filled to the last byte, a file that grows would move the start of all packets after it. Ends that
//! the names in a packet decide are found again soon after an edit, whatever came before.

use sha2::{Digest, Sha256};

/// How full packets are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// At least half, where something that fits follows.
    Steady,
    /// To the last byte.
    Full,
}

/// A packet in the making.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filling {
    /// Bytes in it, without its frame.
    pub(crate) used: usize,
    /// Bytes that may be in it, without its frame.
    pub(crate) capacity: usize,
}

impl Fill {
    /// Whether a packet ends before the item called `name` that takes `bytes`.
    pub(crate) fn ends_before(self, name: &[u8], bytes: usize, filling: Filling) -> bool {
        let Filling { used, capacity } = filling;
        bytes > capacity.saturating_sub(used)
            || (self == Self::Steady && used > capacity / 2 && ends(name, bytes, capacity))
    }
}

/// One end in a quarter of a packet, on average and whatever the items' sizes. More ends make more packets, fewer are
/// found again later.
fn ends(name: &[u8], bytes: usize, capacity: usize) -> bool {
    let hash: [u8; 4] = Sha256::digest(name)[..4].try_into().expect("a SHA-256 has 32 bytes");
    u128::from(u32::from_be_bytes(hash)) * (capacity as u128) < (4 * bytes as u128) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a thousand items of `bytes` do not go into a packet of 10,000 that has `used`.
    fn early(fill: Fill, bytes: usize, used: usize) -> usize {
        let filling = Filling { used, capacity: 10_000 };
        (0..1000).filter(|n: &u32| fill.ends_before(&n.to_be_bytes(), bytes, filling)).count()
    }

    #[test]
    fn a_packet_ends_early_from_the_half_on_and_as_often_as_bytes_pass() {
        assert_eq!(early(Fill::Steady, 250, 5_000), 0);
        assert!((70..130).contains(&early(Fill::Steady, 250, 5_001)));
        assert!((350..450).contains(&early(Fill::Steady, 1_000, 9_000)));
        assert_eq!(early(Fill::Full, 1_000, 9_000), 0);
    }

    #[test]
    fn a_packet_ends_before_what_does_not_fit() {
        for fill in [Fill::Steady, Fill::Full] {
            assert_eq!(early(fill, 1_001, 9_000), 1000);
        }
    }

    #[test]
    fn the_share_of_names_that_end_a_packet_is_exact() {
        // The first four bytes of the SHA-256 of nothing: a quarter of a packet takes 2^32 bytes, so just as many end it.
        let hash = 0xe3b0_c442;
        assert!(!ends(b"", hash, 1 << 34));
        assert!(ends(b"", hash + 1, 1 << 34));
    }
}
