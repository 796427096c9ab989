//! Packed entries of a list: lists of a million lines are common.

use super::{ListEntry, Origin};
use crate::Checksum;

/// Marks a missing number; numbers from this one on cannot be stored.
const NONE: u32 = u32::MAX;

/// The entries of a list, in order. One takes its path's bytes and 24 more, 36 more with a
/// checksum, and the path's bytes and 32 more with the video that features were computed from.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Entries {
    paths: String,
    rows: Vec<Row>,
    /// Checksums, with the indices of their entries.
    sums: Vec<(u32, Checksum)>,
    origins: Origins,
}

/// The videos that entries of features were computed from.
#[derive(Clone, Default, PartialEq, Eq)]
struct Origins {
    paths: String,
    rows: Vec<OriginRow>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct OriginRow {
    /// The index of the entry.
    entry: u32,
    offset: u32,
    frames: u32,
    /// Where the path is in `paths`.
    start: u64,
    end: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Row {
    /// Where the path ends in `paths`; it begins where the one before ends.
    end: u64,
    line: u32,
    label: u32,
    frames: u32,
    offset: u32,
}

impl Entries {
    /// Room for `lines` entries, of `bytes` of paths together.
    pub(super) fn with_room(lines: usize, bytes: usize) -> Self {
        Self {
            paths: String::with_capacity(bytes),
            rows: Vec::with_capacity(lines),
            ..Self::default()
        }
    }

    /// Frees unused capacity.
    pub(super) fn shrink(&mut self) {
        self.paths.shrink_to_fit();
        self.rows.shrink_to_fit();
        self.sums.shrink_to_fit();
        self.origins.paths.shrink_to_fit();
        self.origins.rows.shrink_to_fit();
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// A fragment: a number is too large to be stored.
    pub(super) fn push(&mut self, entry: ListEntry<'_>) -> Result<(), String> {
        let row = Row {
            end: (self.paths.len() + entry.path.len()) as u64,
            line: number(Some(entry.line), "line")?,
            label: number(entry.label, "label")?,
            frames: number(entry.frames, "number of frames")?,
            offset: number(entry.offset, "offset")?,
        };
        let place = number(Some(self.rows.len()), "the list")?;
        if let Some(origin) = &entry.origin {
            self.origins.push(place, origin)?;
        }
        self.sums.extend(entry.checksum.map(|sum| (place, sum)));
        self.paths.push_str(entry.path);
        self.rows.push(row);
        Ok(())
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Their memory in bytes.
    pub fn bytes(&self) -> usize {
        self.paths.capacity()
            + self.rows.capacity() * size_of::<Row>()
            + self.sums.capacity() * size_of::<(u32, Checksum)>()
            + self.origins.paths.capacity()
            + self.origins.rows.capacity() * size_of::<OriginRow>()
    }

    /// Entry `i`, from 0.
    pub fn get(&self, i: usize) -> Option<ListEntry<'_>> {
        let row = self.rows.get(i)?;
        let start = i.checked_sub(1).map_or(0, |before| self.rows[before].end);
        Some(ListEntry {
            path: &self.paths[start as usize..row.end as usize],
            label: stored(row.label),
            frames: stored(row.frames),
            offset: stored(row.offset),
            checksum: self
                .sums
                .binary_search_by_key(&i, |(at, _)| *at as usize)
                .ok()
                .map(|at| self.sums[at].1),
            origin: self.origins.of(i),
            line: row.line as usize,
        })
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ListEntry<'_>> {
        (0..self.len()).map(|i| self.get(i).expect("it is below the number of entries"))
    }
}

impl Origins {
    /// Adds that of an entry.
    fn push(&mut self, entry: u32, origin: &Origin<'_>) -> Result<(), String> {
        let start = self.paths.len();
        let row = OriginRow {
            entry,
            offset: number(origin.offset, "offset")?,
            frames: number(origin.frames, "number of frames")?,
            start: start as u64,
            end: (start + origin.path.len()) as u64,
        };
        self.paths.push_str(origin.path);
        self.rows.push(row);
        Ok(())
    }

    /// That of entry `i`.
    fn of(&self, i: usize) -> Option<Origin<'_>> {
        let at = self.rows.binary_search_by_key(&i, |row| row.entry as usize).ok()?;
        let row = self.rows[at];
        Some(Origin {
            path: &self.paths[row.start as usize..row.end as usize],
            offset: stored(row.offset),
            frames: stored(row.frames),
        })
    }
}

/// A number as it is stored.
fn number(n: Option<usize>, what: &str) -> Result<u32, String> {
    match n.map(u32::try_from) {
        None => Ok(NONE),
        Some(Ok(n)) if n < NONE => Ok(n),
        Some(_) => Err(format!("{what} {} is too large", n.unwrap_or_default())),
    }
}

/// A number that was stored.
fn stored(n: u32) -> Option<usize> {
    (n != NONE).then_some(n as usize)
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
