//! Where the packs hold which object: a hint at the order in which many are read fastest, and never more than that.
//!
//! Git stores versions of a file beside one another, each as its difference to the one before. Who reads them in that
//! order finds each base among what was read just now.

use std::path::Path;

use gix::ObjectId;
use gix::odb::pack::index;

/// The indexes of the packs of one object directory.
pub(crate) struct Layout(Vec<index::File>);

impl Layout {
    /// Packs that cannot be read are left out: what is in them is met all the same, last.
    pub(crate) fn of(objects: &Path, hash: gix::hash::Kind) -> Self {
        let entries = std::fs::read_dir(objects.join("pack")).into_iter().flatten().flatten();
        let indexes = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "idx"));
        Self(indexes.filter_map(|path| index::File::at(path, hash).ok()).collect())
    }

    /// The number of the pack that holds `id`, and the offset in it.
    pub(crate) fn place(&self, id: &ObjectId) -> Option<(usize, u64)> {
        let in_pack =
            |(pack, index): (usize, &index::File)| Some((pack, index.pack_offset_at_index(index.lookup(id)?)));
        self.0.iter().enumerate().find_map(in_pack)
    }

    /// The indexes of `items` in the order of their places, those that are in no pack last.
    pub(crate) fn order<T>(&self, items: &[T], id: impl Fn(&T) -> Option<ObjectId>) -> Vec<usize> {
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_cached_key(|&at| {
            let place = id(&items[at]).and_then(|id| self.place(&id));
            (place.is_none(), place)
        });
        order
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Fixture;

    #[test]
    fn what_is_packed_comes_first_and_nothing_is_left_out() {
        let f = Fixture::pushed();
        f.git(&["repack", "-adq"]);
        let packed = f.git(&["rev-parse", "HEAD:"]);
        f.write("new", "loose");
        let loose = f.git(&["hash-object", "-w", "new"]);
        let absent = "1".repeat(loose.len());
        let repo = f.repo();
        let id = |hex: &&str| Some(hex.parse().unwrap());
        let order = repo.objects().layout().order(&[&*absent, &*loose, &*packed], id);
        assert_eq!(order, [2, 0, 1]);
    }
}
