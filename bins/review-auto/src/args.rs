//! The arguments.

use clap::Parser;
use cli::{Common, Place};

/// Have the range from the remote's branch to HEAD reviewed; if it is approved, advance the baseline and push
#[derive(Parser)]
#[command(name = "review-auto", version)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Compare with this remote instead of origin or the only one
    #[arg(long)]
    pub(crate) remote: Option<String>,
    /// Stop at the verdict; push nothing
    #[arg(long)]
    pub(crate) no_push: bool,
}

impl AsRef<Common> for Args {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}
