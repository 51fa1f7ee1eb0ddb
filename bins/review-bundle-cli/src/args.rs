//! The arguments.

use std::path::PathBuf;

use clap::Parser;
use cli::Place;

/// Show what changed between two commits: complete, or not at all
///
/// Exits with 6 and the size of each file on stderr when the bundle is larger than the cap.
#[derive(Debug, Parser)]
#[command(name = "review-bundle", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The commit the range begins at; zeros for the empty tree
    #[arg(long, value_name = "ID")]
    pub(crate) since: String,
    /// The commit it ends at
    #[arg(long, value_name = "ID", default_value = "HEAD")]
    pub(crate) to: String,
    /// Write the bundle there instead of stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Also write the patch that `git apply` turns the old tree into the new one with, byte for byte
    #[arg(long, value_name = "FILE")]
    pub(crate) patch: Option<PathBuf>,
    /// The most bytes of the bundle [default: the policy's]
    #[arg(long, value_name = "BYTES", env = "REVIEW_BUNDLE_SIZE_CAP")]
    pub(crate) size_cap: Option<u64>,
    /// When it is larger: packets and their ledger there, instead of exit 6. The directory is new, empty or of an
    /// earlier run, whose packets are taken away; an output file gets the bundle whatever its size
    #[arg(long, value_name = "DIR")]
    pub(crate) packets: Option<PathBuf>,
    /// The most bytes of a packet [default: the policy's]
    #[arg(long, value_name = "BYTES")]
    pub(crate) packet_cap: Option<u64>,
}
