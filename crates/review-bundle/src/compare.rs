//! Which lines of two texts are the same lines: the linear-space algorithm of Myers, with a bound on its work.
//!
//! Eugene W. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986: <https://doi.org/10.1007/BF01840446>.
//! Changes are the fewest possible where at most twice [`AHEAD`] lines of those that both texts have are not in the same
//! order. Where more are, or [`PATIENCE`] is used up, the way that leads furthest is taken without looking at all others.
//!
//! **Invariant:** the bound counts steps and never time, so the same texts give the same lines everywhere.

use std::ops::Range;

use imara_diff::Token;

/// Which lines of a text have no counterpart in the other one.
pub(crate) type Marks = Vec<bool>;

/// Steps in which the fewest changes are looked for: some tenths of a second.
const PATIENCE: u64 = 1 << 25;

/// How many edits from each end are looked ahead at most, while the patience lasts and after it.
const AHEAD: usize = 512;
const HASTE: usize = 16;

/// Returns which lines of `old` are deleted and which of `new` are added; the others are the same in the same order.
/// `kinds` is greater than every token.
pub(crate) fn compare(old: &[Token], new: &[Token], kinds: u32) -> (Marks, Marks) {
    let (in_old, in_new) = (presence(old, kinds), presence(new, kinds));
    let (old_kept, new_kept) = (Kept::new(old, &in_new), Kept::new(new, &in_old));
    let mut search = Search::new(&old_kept.tokens, &new_kept.tokens);
    search.run();
    let Search { deleted, added, .. } = search;
    (old_kept.marks(old.len(), &deleted), new_kept.marks(new.len(), &added))
}

fn presence(tokens: &[Token], kinds: u32) -> Vec<bool> {
    let mut present = vec![false; kinds as usize];
    for token in tokens {
        present[token.0 as usize] = true;
    }
    present
}

/// The lines of a text that the other one has too: only these need a comparison.
struct Kept {
    tokens: Vec<Token>,
    places: Vec<usize>,
}

impl Kept {
    fn new(tokens: &[Token], in_other: &[bool]) -> Self {
        let kept = tokens.iter().enumerate().filter(|(_, token)| in_other[token.0 as usize]);
        let (places, tokens) = kept.unzip();
        Self { tokens, places }
    }

    fn marks(&self, lines: usize, changed: &[bool]) -> Marks {
        let mut marks = vec![true; lines];
        for (&place, &changed) in self.places.iter().zip(changed) {
            marks[place] = changed;
        }
        marks
    }
}

/// Lines of both texts that are still to be compared with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Area {
    old: Range<usize>,
    new: Range<usize>,
}

struct Search<'a> {
    old: &'a [Token],
    new: &'a [Token],
    deleted: Vec<bool>,
    added: Vec<bool>,
    forward: Front,
    backward: Front,
    patience: u64,
}

impl<'a> Search<'a> {
    fn new(old: &'a [Token], new: &'a [Token]) -> Self {
        let (deleted, added) = (vec![false; old.len()], vec![false; new.len()]);
        let (forward, backward) = (Front::new(), Front::new());
        Self { old, new, deleted, added, forward, backward, patience: PATIENCE }
    }

    fn run(&mut self) {
        let mut areas = vec![Area { old: 0..self.old.len(), new: 0..self.new.len() }];
        while let Some(area) = areas.pop() {
            let area = self.trimmed(area);
            if let Some((old, new)) = self.split(&area) {
                areas.push(Area { old: old..area.old.end, new: new..area.new.end });
                areas.push(Area { old: area.old.start..old, new: area.new.start..new });
            } else {
                self.deleted[area.old].fill(true);
                self.added[area.new].fill(true);
            }
        }
    }

    /// `area` without the lines that are the same at its start and its end.
    fn trimmed(&self, Area { mut old, mut new }: Area) -> Area {
        let head = same_head(&self.old[old.clone()], &self.new[new.clone()]);
        (old.start, new.start) = (old.start + head, new.start + head);
        let tail = same_tail(&self.old[old.clone()], &self.new[new.clone()]);
        (old.end, new.end) = (old.end - tail, new.end - tail);
        Area { old, new }
    }

    /// Returns a place inside of `area` that a way through it with few edits goes through; `None` if there is none, as
    /// where one side is empty.
    fn split(&mut self, area: &Area) -> Option<(usize, usize)> {
        if area.old.is_empty() || area.new.is_empty() {
            return None;
        }
        let (old, new) = (&self.old[area.old.clone()], &self.new[area.new.clone()]);
        let size = Point { old: old.len(), new: new.len() };
        let forth = |from: Point| same_head(&old[from.old..], &new[from.new..]);
        let back = |from: Point| same_tail(&old[..size.old - from.old], &new[..size.new - from.new]);
        let (forward, backward) = (&mut self.forward, &mut self.backward);
        (forward.rounds, backward.rounds) = (0, 0);
        let split = loop {
            if let Some(point) = forward.advance(size, &mut self.patience, forth, backward) {
                break point;
            }
            if let Some(point) = backward.advance(size, &mut self.patience, back, forward) {
                break size - point;
            }
            if forward.rounds == AHEAD || (self.patience == 0 && forward.rounds >= HASTE) {
                let (start, end) = (forward.furthest(size), backward.furthest(size));
                break if start.sum() >= end.sum() { start } else { size - end };
            }
        };
        let is_inside = 0 < split.sum() && split.sum() < size.sum();
        is_inside.then(|| (area.old.start + split.old, area.new.start + split.new))
    }
}

/// How many lines of both texts are passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    old: usize,
    new: usize,
}

impl Point {
    fn sum(self) -> usize {
        self.old + self.new
    }

    fn is_within(self, size: Self) -> bool {
        self.old <= size.old && self.new <= size.new
    }
}

impl std::ops::Sub for Point {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { old: self.old - other.old, new: self.new - other.new }
    }
}

/// The diagonal of the corner a front starts from. Deletions lead to higher ones, additions to lower ones.
const MIDDLE: usize = AHEAD;

/// How far from one corner of an area one comes on each diagonal with as many edits as there were rounds.
struct Front {
    /// Lines of the old text passed, by diagonal.
    reach: Vec<usize>,
    rounds: usize,
}

impl Front {
    fn new() -> Self {
        Self { reach: vec![0; 2 * MIDDLE + 1], rounds: 0 }
    }

    /// Makes one more edit everywhere. Returns where it meets `other`, the front from the opposite corner; its points
    /// are counted from there.
    fn advance(
        &mut self,
        size: Point,
        patience: &mut u64,
        same_lines: impl Fn(Point) -> usize,
        other: &Self,
    ) -> Option<Point> {
        let edits = self.rounds;
        self.rounds += 1;
        for diagonal in (MIDDLE - edits..=MIDDLE + edits).step_by(2) {
            self.reach[diagonal] = self.one_more(diagonal, edits);
            let mut point = self.at(diagonal);
            if point.is_within(size) {
                let same = same_lines(point);
                *patience = patience.saturating_sub(1 + same as u64);
                self.reach[diagonal] += same;
                point = self.at(diagonal);
                if other.has_met(size, diagonal, point) {
                    return Some(point);
                }
            }
        }
        None
    }

    /// Lines of the old text that can be passed on `diagonal` by the last of `edits`.
    fn one_more(&self, diagonal: usize, edits: usize) -> usize {
        let is_lowest = diagonal == MIDDLE - edits;
        let is_highest = diagonal == MIDDLE + edits;
        match (is_lowest, is_highest) {
            (true, true) => 0,
            (true, false) => self.reach[diagonal + 1],
            (false, true) => self.reach[diagonal - 1] + 1,
            (false, false) => self.reach[diagonal + 1].max(self.reach[diagonal - 1] + 1),
        }
    }

    fn at(&self, diagonal: usize) -> Point {
        let old = self.reach[diagonal];
        Point { old, new: old + MIDDLE - diagonal }
    }

    /// Whether `point`, on `diagonal` of the front from the opposite corner, is where this one was already.
    fn has_met(&self, size: Point, diagonal: usize, point: Point) -> bool {
        let Some(own) = (2 * MIDDLE + size.old).checked_sub(size.new + diagonal) else { return false };
        if own.abs_diff(MIDDLE) >= self.rounds {
            return false;
        }
        let reached = self.at(own);
        reached.is_within(size) && reached.old + point.old >= size.old
    }

    /// The point inside of the area that is furthest from the corner.
    fn furthest(&self, size: Point) -> Point {
        let edits = self.rounds - 1;
        let points = (MIDDLE - edits..=MIDDLE + edits).step_by(2).map(|diagonal| self.at(diagonal));
        let inside = points.filter(|point| point.is_within(size));
        inside.max_by_key(|point| point.sum()).unwrap_or(Point { old: 0, new: 0 })
    }
}

fn same_head(old: &[Token], new: &[Token]) -> usize {
    old.iter().zip(new).take_while(|(old, new)| old == new).count()
}

fn same_tail(old: &[Token], new: &[Token]) -> usize {
    old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(numbers: &[u32]) -> Vec<Token> {
        numbers.iter().copied().map(Token).collect()
    }

    fn kinds(old: &[u32], new: &[u32]) -> u32 {
        old.iter().chain(new).max().map_or(0, |max| max + 1)
    }

    /// How many lines change at least: the length of both less twice that of the longest common subsequence.
    fn fewest(old: &[u32], new: &[u32]) -> usize {
        let mut row = vec![0; new.len() + 1];
        for a in old {
            let mut diagonal = 0;
            for (at, b) in new.iter().enumerate() {
                let above = row[at + 1];
                row[at + 1] = if a == b { diagonal + 1 } else { above.max(row[at]) };
                diagonal = above;
            }
        }
        old.len() + new.len() - 2 * row[new.len()]
    }

    /// The lines without a mark, and how many have one.
    fn apart(text: &[u32], marks: &[bool]) -> (Vec<u32>, usize) {
        let kept = text.iter().zip(marks).filter(|(_, mark)| !**mark).map(|(&line, _)| line).collect();
        (kept, marks.iter().filter(|mark| **mark).count())
    }

    /// Compares and returns how many lines changed; what did not must be the same in both.
    fn check(old: &[u32], new: &[u32]) -> usize {
        let (deleted, added) = compare(&tokens(old), &tokens(new), kinds(old, new));
        let ((old_kept, deleted), (new_kept, added)) = (apart(old, &deleted), apart(new, &added));
        assert_eq!(old_kept, new_kept);
        deleted + added
    }

    /// `count` numbers below `kinds`, always the same ones.
    fn noise(count: usize, kinds: u32, seed: u32) -> Vec<u32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % kinds
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn changes_are_the_fewest_up_to_the_edits_looked_ahead() {
        for kinds in [2, 5, 50, 2000] {
            let (old, new) = (noise(900, kinds, 1), noise(1000, kinds, 2));
            assert_eq!(check(&old, &new), fewest(&old, &new), "{kinds} kinds of lines");
        }
    }

    #[test]
    fn lines_that_are_in_one_text_only_cost_nothing() {
        let old: Vec<u32> = (0..200_000).collect();
        let new: Vec<u32> = old.iter().map(|&line| if line % 2 == 0 { line } else { 200_000 + line }).collect();
        assert_eq!(check(&old, &new), 200_000);
    }

    #[test]
    fn what_is_too_far_apart_for_the_fewest_changes_is_still_compared() {
        let (old, new) = (noise(20_000, 3, 1), noise(20_000, 3, 2));
        let changes = check(&old, &new);
        assert!(changes < 16_000, "{changes}");
    }

    #[test]
    fn without_patience_the_lines_are_still_right() {
        let old = noise(3000, 40, 1);
        let new: Vec<u32> = old.iter().rev().copied().collect();
        let (old_tokens, new_tokens) = (tokens(&old), tokens(&new));
        let mut search = Search { patience: 0, ..Search::new(&old_tokens, &new_tokens) };
        search.run();
        let ((old_kept, _), (new_kept, _)) = (apart(&old, &search.deleted), apart(&new, &search.added));
        assert_eq!(old_kept, new_kept);
        assert!(old_kept.len() > 200, "{}", old_kept.len());
    }

    #[test]
    fn r20_the_work_on_hostile_texts_is_bounded() {
        let count = 60_000;
        let sorted: Vec<u32> = (0..count).collect();
        let reversed: Vec<u32> = sorted.iter().rev().copied().collect();
        let (random, other) = (noise(60_000, 2, 1), noise(60_000, 2, 2));
        for (old, new) in [(sorted, reversed), (random, other)] {
            let (old, new) = (tokens(&old), tokens(&new));
            let mut search = Search::new(&old, &new);
            search.patience = u64::MAX;
            search.run();
            let steps = u64::MAX - search.patience;
            assert!(steps < 120_000 * 3 * AHEAD as u64, "{steps}");
        }
    }

    #[test]
    fn r20_without_patience_no_way_is_looked_for_far_ahead() {
        let (old, new) = (tokens(&noise(5000, 3, 1)), tokens(&noise(5000, 3, 2)));
        let furthest = |patience| {
            let mut search = Search { patience, ..Search::new(&old, &new) };
            search.run();
            search.forward.reach.iter().rposition(|&lines| lines > 0).unwrap() - MIDDLE
        };
        assert_eq!((furthest(0), furthest(u64::MAX)), (HASTE - 1, AHEAD - 1));
    }

    proptest! {
        #[test]
        fn changes_are_the_fewest(
            old in prop::collection::vec(0_u32..5, 0..60),
            new in prop::collection::vec(0_u32..6, 0..60),
        ) {
            prop_assert_eq!(check(&old, &new), fewest(&old, &new));
        }
    }
}
