//! Names that a file system may see.

use gix::bstr::ByteSlice as _;

use crate::error::RepoError;
use crate::tree::{LINK, TYPE};

/// Whether a file system may see one name of a tree, whose entry has this mode: neither a way out of the directory nor
/// anything that some file system takes for `.git`, or for a file that Git obeys when it is a link.
///
/// # Errors
/// [`RepoError::Hostile`].
pub fn check_name(name: &[u8], mode: u32) -> Result<(), RepoError> {
    let options =
        gix::validate::path::component::Options { protect_windows: false, protect_hfs: true, protect_ntfs: true };
    let link = (mode & TYPE == LINK).then_some(gix::validate::path::component::Mode::Symlink);
    gix::validate::path::component(name.as_bstr(), link, options)
        .map(drop)
        .map_err(|error| RepoError::hostile(name, error.to_string()))
}
