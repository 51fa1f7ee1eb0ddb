//! The baseline commit: it says, in the history itself, what was reviewed last.

use verdict::Oid;
use verdict::gate::{BASELINE_MESSAGE, BASELINE_PATH};

use crate::commit::Commit;
use crate::error::RepoError;
use crate::git::{Edit, Git};

impl Git<'_> {
    /// Writes the commit on `reviewed` whose one change is [`BASELINE_PATH`], and returns its id. No ref is touched, and
    /// the same `reviewed` gives the same id: a run that is repeated stacks nothing.
    ///
    /// # Errors
    /// [`RepoError::Hostile`] when `docs` is no directory; those of git.
    pub fn baseline_commit(&self, reviewed: &Oid) -> Result<Oid, RepoError> {
        let content = format!("{reviewed}\n").into_bytes();
        let edit = Edit { path: BASELINE_PATH.into(), file: Some((0o100_644, content)) };
        let tree = self.edit_tree(&Commit::read(self.objects, reviewed)?.tree(), &[edit])?;
        self.commit(reviewed, &tree, BASELINE_MESSAGE)
    }
}
