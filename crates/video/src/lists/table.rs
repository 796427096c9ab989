//! Packed entries of a list: lists of a million lines are common.

use super::ListEntry;
use crate::Checksum;

/// Marks a missing number; numbers from this one on cannot be stored.
const NONE: u32 = u32::MAX;

/// The entries of a list, in order. One takes its path's bytes and 24 more, and 36 more with a checksum.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Entries {
    paths: String,
    rows: Vec<Row>,
    /// Checksums, with the indices of their entries.
    sums: Vec<(u32, Checksum)>,
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
            sums: vec![],
        }
    }

    /// Frees unused capacity.
    pub(super) fn shrink(&mut self) {
        self.paths.shrink_to_fit();
        self.rows.shrink_to_fit();
        self.sums.shrink_to_fit();
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// A fragment: a number is too large to be stored.
    pub(super) fn push(&mut self, entry: ListEntry<'_>) -> Result<(), String> {
        let number = |n: Option<usize>, what: &str| match n.map(u32::try_from) {
            None => Ok(NONE),
            Some(Ok(n)) if n < NONE => Ok(n),
            Some(_) => Err(format!("{what} {} is too large", n.unwrap_or_default())),
        };
        let row = Row {
            end: (self.paths.len() + entry.path.len()) as u64,
            line: number(Some(entry.line), "line")?,
            label: number(entry.label, "label")?,
            frames: number(entry.frames, "number of frames")?,
            offset: number(entry.offset, "offset")?,
        };
        let place = number(Some(self.rows.len()), "the list")?;
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
    }

    /// Entry `i`, from 0.
    pub fn get(&self, i: usize) -> Option<ListEntry<'_>> {
        let row = self.rows.get(i)?;
        let start = i.checked_sub(1).map_or(0, |before| self.rows[before].end);
        let number = |n: u32| (n != NONE).then_some(n as usize);
        Some(ListEntry {
            path: &self.paths[start as usize..row.end as usize],
            label: number(row.label),
            frames: number(row.frames),
            offset: number(row.offset),
            checksum: self
                .sums
                .binary_search_by_key(&i, |(at, _)| *at as usize)
                .ok()
                .map(|at| self.sums[at].1),
            line: row.line as usize,
        })
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ListEntry<'_>> {
        (0..self.len()).map(|i| self.get(i).expect("it is below the number of entries"))
    }
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
