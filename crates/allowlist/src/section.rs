//! A TOML table read key by key: what is missing, unknown or of another type becomes a problem with its place, and
//! reading goes on, so that all of them come out at once.
//!
//! serde would stop at the first.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use crate::reading::{Place, Reading, SCHEMA};
use crate::{name, show};

/// The most entries of one list or table.
pub(crate) const MAX_ENTRIES: usize = 100;

/// A value and where it stands.
pub(crate) struct Entry<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// A table of which keys are taken; what is left at the end is unknown.
pub(crate) struct Section<'r, 'a> {
    reading: &'r Reading<'a>,
    pub(crate) place: Place,
    entries: BTreeMap<String, (Range<usize>, Spanned<DeValue<'a>>)>,
    known: Vec<&'static str>,
}

impl<'r, 'a> Section<'r, 'a> {
    pub(crate) fn new(reading: &'r Reading<'a>, place: Place, table: DeTable<'a>) -> Self {
        let entries = table.into_iter().map(|(key, value)| {
            let span = key.span();
            (key.into_inner().into_owned(), (span, value))
        });
        Self { reading, place, entries: entries.collect(), known: Vec::new() }
    }

    /// Notes that something is wrong at `place`.
    pub(crate) fn problem(&self, place: &Place, why: impl Into<String>) {
        self.reading.problem(place, why);
    }

    /// Notes that something is wrong with this table as a whole.
    pub(crate) fn problem_here(&self, why: impl Into<String>) {
        self.problem(&self.place, why);
    }

    /// The place of `key`, present or not.
    pub(crate) fn place_of(&self, key: &str) -> Place {
        let span = self.entries.get(key).map_or(self.place.span.clone(), |(span, _)| span.clone());
        self.place.below(key, span)
    }

    /// True when there is a `key` that was not taken yet.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    fn take(&mut self, key: &'static str) -> Option<Entry<DeValue<'a>>> {
        self.known.push(key);
        let place = self.place_of(key);
        let (_, value) = self.entries.remove(key)?;
        Some(Entry { value: value.into_inner(), place })
    }

    fn wrong_type(&self, place: &Place, found: &DeValue<'_>, wanted: &str) {
        self.problem(place, format!("is of type {}, not {wanted}", found.type_str()));
    }

    /// Notes that a required key is not there.
    fn missing(&self, key: &str) {
        self.problem(&self.place_of(key), "is missing");
    }

    /// The text of `key`, if it is there.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<Entry<String>> {
        let Entry { value, place } = self.take(key)?;
        match value {
            DeValue::String(text) => Some(Entry { value: text.into_owned(), place }),
            other => {
                self.wrong_type(&place, &other, "string");
                None
            }
        }
    }

    /// The text of `key`; not there is a problem.
    pub(crate) fn required_text(&mut self, key: &'static str) -> Option<Entry<String>> {
        if !self.has(key) {
            self.missing(key);
        }
        self.text(key)
    }

    /// The text of `key` as one of `words`, or `default`.
    pub(crate) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)], default: T) -> T {
        let Some(Entry { value, place }) = self.text(key) else { return default };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == value) {
            return *meaning;
        }
        let allowed: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        self.problem(&place, format!("{} is not one of {}", show::value(&value), allowed.join(", ")));
        default
    }

    /// The truth of `key`, or `default`.
    pub(crate) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        match self.take(key) {
            None => default,
            Some(Entry { value: DeValue::Boolean(flag), .. }) => flag,
            Some(Entry { value, place }) => {
                self.wrong_type(&place, &value, "boolean");
                default
            }
        }
    }

    /// The number of `key` within `bounds`, or `default`; without a default, not there is a problem.
    pub(crate) fn number(&mut self, key: &'static str, bounds: &RangeInclusive<u64>, default: Option<u64>) -> u64 {
        let fallback = default.unwrap_or(*bounds.start());
        let Some(Entry { value, place }) = self.take(key) else {
            if default.is_none() {
                self.missing(key);
            }
            return fallback;
        };
        let DeValue::Integer(integer) = value else {
            self.wrong_type(&place, &value, "integer");
            return fallback;
        };
        let found = number(&integer).filter(|number| bounds.contains(number));
        found.unwrap_or_else(|| {
            let (shown, least, most) = (show::clip(&integer.to_string(), 40), bounds.start(), bounds.end());
            self.problem(&place, format!("{shown} is not within {least}..={most}"));
            fallback
        })
    }

    /// The texts of the list `key`, at most [`MAX_ENTRIES`]; none when there is no such list.
    pub(crate) fn list(&mut self, key: &'static str) -> Vec<Entry<String>> {
        let Some(Entry { value, place }) = self.take(key) else { return Vec::new() };
        let DeValue::Array(array) = value else {
            self.wrong_type(&place, &value, "array of strings");
            return Vec::new();
        };
        if array.len() > MAX_ENTRIES {
            self.problem(&place, format!("has {} entries, more than {MAX_ENTRIES}", array.len()));
            return Vec::new();
        }
        let items = array.into_iter().enumerate().filter_map(|(index, item)| {
            let place = Place { key: format!("{}[{index}]", place.key), span: item.span() };
            match item.into_inner() {
                DeValue::String(text) => Some(Entry { value: text.into_owned(), place }),
                other => {
                    self.wrong_type(&place, &other, "string");
                    None
                }
            }
        });
        items.collect()
    }

    /// The list `key` as a set in order: an entry that stands twice is a problem. Empty when there is none.
    pub(crate) fn set(&mut self, key: &'static str, allowed: impl Fn(&str) -> Result<(), String>) -> Vec<String> {
        let mut set = Vec::new();
        for Entry { value, place } in self.list(key) {
            if set.contains(&value) {
                self.problem(&place, format!("{} stands there twice", show::value(&value)));
            } else if let Err(why) = allowed(&value) {
                self.problem(&place, why);
            } else {
                set.push(value);
            }
        }
        set.sort();
        set
    }

    /// Notes that the list `key` is not there or empty.
    pub(crate) fn require_list(&self, key: &str) {
        let value = self.entries.get(key).map(|(_, value)| value.get_ref());
        if value.is_none() {
            self.missing(key);
        }
        if value.and_then(DeValue::as_array).is_some_and(|array| array.is_empty()) {
            self.problem(&self.place_of(key), "must not be empty");
        }
    }

    /// The table `key`, if it is there.
    pub(crate) fn section(&mut self, key: &'static str) -> Option<Section<'r, 'a>> {
        let Entry { value, place } = self.take(key)?;
        self.as_section(value, place)
    }

    /// The tables below the table `key` by their names, at most `max`.
    pub(crate) fn sections(&mut self, key: &'static str, max: usize) -> Vec<(String, Section<'r, 'a>)> {
        let Some(mut parent) = self.section(key) else { return Vec::new() };
        if parent.entries.len() > max {
            parent.problem_here(format!("has {} entries, more than {max}", parent.entries.len()));
            return Vec::new();
        }
        let entries = std::mem::take(&mut parent.entries).into_iter();
        let sections = entries.filter_map(|(name, (span, value))| {
            let place = parent.place.below(&name, span);
            Some((name, parent.as_section(value.into_inner(), place)?))
        });
        sections.collect()
    }

    fn as_section(&self, value: DeValue<'a>, place: Place) -> Option<Section<'r, 'a>> {
        match value {
            DeValue::Table(table) => Some(Section::new(self.reading, place, table)),
            other => {
                self.wrong_type(&place, &other, "table");
                None
            }
        }
    }

    /// True when the file is of schema [`SCHEMA`]; otherwise that is a problem.
    pub(crate) fn schema(&mut self) -> bool {
        let place = self.place_of("schema");
        match self.take("schema").map(|entry| entry.value) {
            None => self.missing("schema"),
            Some(DeValue::Integer(found)) if number(&found) == Some(SCHEMA) => return true,
            Some(DeValue::Integer(found)) => {
                let found = show::clip(&found.to_string(), 40);
                self.problem(&place, format!("{found} is not {SCHEMA}, the only one this version reads"));
            }
            Some(other) => self.wrong_type(&place, &other, "integer"),
        }
        false
    }

    /// Every key that was not taken is a problem.
    pub(crate) fn finish(self) {
        for (key, (span, _)) in &self.entries {
            let meant = name::near(key, self.known.iter().copied());
            let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            let place = self.place.below(key, span.clone());
            self.problem(&place, format!("is not a key of this table ({}){hint}", self.known.join(", ")));
        }
    }
}

fn number(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
