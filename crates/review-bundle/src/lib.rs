//! A tree difference as a bounded, lossless bundle or a complete set of packets.
