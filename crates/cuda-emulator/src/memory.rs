//! Device memory: each allocation on its own pages, followed by guard pages; once freed, it becomes guard pages itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ptr;

const PAGE: usize = 4096;
/// Address space for all allocations ever: none is reused, so that freed memory is never mistaken for live memory.
const RANGE: usize = 1 << 43;
/// The fill of fresh memory and of the rest of its last page: a NaN as any float type.
const PATTERN: u8 = 0xFF;
/// The GPU's memory.
pub(crate) const TOTAL: usize = 16 << 30;
/// The pool allocates from the GPU in multiples of this.
const PIECE: usize = 2 << 20;

/// Bytes in use and bytes held of a kind of memory, with the peak of each.
#[derive(Debug, Default)]
pub(crate) struct Count {
    pub used: usize,
    pub used_high: usize,
    pub held: usize,
    pub held_high: usize,
}

impl Count {
    fn take(&mut self, bytes: usize) {
        self.used += bytes;
        self.used_high = self.used_high.max(self.used);
        self.held = self.held.max(self.used.next_multiple_of(PIECE));
        self.held_high = self.held_high.max(self.held);
    }

    /// Releases unused memory except `keep`.
    pub(crate) fn trim(&mut self, keep: usize) {
        self.held = self.held.min(keep.max(self.used.next_multiple_of(PIECE)));
    }
}

#[derive(Debug)]
pub(crate) struct Memory {
    start: usize,
    next: usize,
    live: BTreeMap<usize, usize>,
    /// Addresses of the graphs' allocations, with their size. The memory exists from the launch that allocates it until it is
    /// freed.
    of_graphs: HashMap<usize, usize>,
    /// Addresses of graphs that will never be launched.
    given_up: HashSet<usize>,
    /// Page-locked memory of the host.
    pub pinned: HashMap<usize, Vec<u8>>,
    /// Counts of the pool.
    pub pool: Count,
    /// Counts of graphs.
    pub graphs: Count,
}

fn pages(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE)
}

impl Memory {
    pub(crate) fn new() -> Memory {
        // SAFETY: a new range of addresses, without memory.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                RANGE,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED, "no addresses for the emulated GPU's memory");
        Memory {
            start: start as usize,
            next: start as usize + PAGE,
            live: BTreeMap::new(),
            of_graphs: HashMap::new(),
            given_up: HashSet::new(),
            pinned: HashMap::new(),
            pool: Count::default(),
            graphs: Count::default(),
        }
    }

    pub(crate) fn used(&self) -> usize {
        self.pool.used + self.graphs.used
    }

    /// Unused addresses; `None` if the GPU's memory is too small.
    fn addresses(&mut self, bytes: usize) -> Option<usize> {
        let size = pages(bytes);
        if bytes > TOTAL || size + PAGE > self.start + RANGE - self.next {
            return None;
        }
        let at = self.next;
        self.next += size + PAGE;
        Some(at)
    }

    /// Maps memory at addresses; `false` if the GPU is out of memory.
    fn fill(&mut self, at: usize, bytes: usize) -> bool {
        if bytes > TOTAL - self.used() {
            return false;
        }
        let size = pages(bytes);
        // SAFETY: unused pages of the range.
        unsafe {
            if libc::mprotect(at as *mut _, size, libc::PROT_READ | libc::PROT_WRITE) != 0 {
                return false;
            }
            (at as *mut u8).write_bytes(PATTERN, size);
        }
        self.live.insert(at, bytes);
        true
    }

    /// The address of new memory; `None` if the GPU is out of memory.
    pub(crate) fn alloc(&mut self, bytes: usize) -> Option<usize> {
        let at = self.addresses(bytes)?;
        self.fill(at, bytes).then(|| {
            self.pool.take(bytes);
            at
        })
    }

    /// Reserves an address for an allocation of a graph.
    pub(crate) fn reserve(&mut self, bytes: usize) -> Option<usize> {
        let at = self.addresses(bytes)?;
        self.of_graphs.insert(at, bytes);
        Some(at)
    }

    /// Whether a graph allocates memory there.
    pub(crate) fn is_of_graphs(&self, at: usize) -> bool {
        self.of_graphs.contains_key(&at)
    }

    /// Marks an address whose graph will never be launched.
    pub(crate) fn give_up(&mut self, at: usize) {
        if self.of_graphs.remove(&at).is_some() {
            self.given_up.insert(at);
        }
    }

    /// Whether the address belongs to a graph that will never be launched.
    pub(crate) fn is_given_up(&self, at: usize) -> bool {
        self.given_up.contains(&at)
    }

    pub(crate) fn is_live(&self, at: usize) -> bool {
        self.live.contains_key(&at)
    }

    /// Allocates memory at a graph's address.
    pub(crate) fn take(&mut self, at: usize) -> Result<(), String> {
        let bytes = *self
            .of_graphs
            .get(&at)
            .ok_or_else(|| format!("{at:#x} is no graph's address"))?;
        if self.is_live(at) {
            return Err(format!(
                "the memory that it takes at {at:#x} is still there: it was not freed since it was launched"
            ));
        }
        if !self.fill(at, bytes) {
            return Err(format!("the GPU has no {bytes} bytes left"));
        }
        self.graphs.take(bytes);
        Ok(())
    }

    /// Frees memory, and reports a write past its end.
    pub(crate) fn free(&mut self, at: usize) -> Result<(), String> {
        let bytes = self
            .live
            .remove(&at)
            .ok_or_else(|| format!("memory at {at:#x} is freed that is not given, or was freed before"))?;
        match self.is_of_graphs(at) {
            true => self.graphs.used -= bytes,
            false => self.pool.used -= bytes,
        }
        let size = pages(bytes);
        // SAFETY: the pages are mapped until they are unmapped below.
        let tail = unsafe { std::slice::from_raw_parts((at + bytes) as *const u8, size - bytes) };
        let written = tail.iter().rposition(|&b| b != PATTERN);
        // SAFETY: pages of the range, which become unmapped again.
        let there = unsafe {
            libc::mmap(
                at as *mut _,
                size,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if there == libc::MAP_FAILED {
            return Err("the system does not take memory back".into());
        }
        match written {
            Some(i) => Err(format!(
                "something was written {} bytes behind the end of memory of {bytes} bytes",
                i + 1
            )),
            None => Ok(()),
        }
    }

    /// Checks that `bytes` from an address on belong to one live allocation.
    pub(crate) fn check(&self, at: u64, bytes: usize) -> Result<(), String> {
        let at = at as usize;
        let inside = self
            .live
            .range(..=at)
            .next_back()
            .filter(|&(&start, &len)| at - start <= len && bytes <= len - (at - start));
        match inside {
            Some(_) => Ok(()),
            None if !self.is_device(at) => Err(format!("{at:#x} is no address of the device")),
            None => Err(match self.live.range(..=at).next_back() {
                Some((&start, &len)) => format!(
                    "{bytes} bytes at {at:#x} are not inside live memory: the nearest before it is {len} bytes at {start:#x}"
                ),
                None => format!("{bytes} bytes at {at:#x} are not inside live memory"),
            }),
        }
    }

    pub(crate) fn is_device(&self, at: usize) -> bool {
        (self.start..self.start + RANGE).contains(&at)
    }

    /// Whether the bytes are page-locked host memory.
    pub(crate) fn is_pinned(&self, at: usize, bytes: usize) -> bool {
        self.pinned
            .iter()
            .any(|(&start, pages)| at >= start && at + bytes <= start + pages.len())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and its addresses are no longer used.
        unsafe { libc::munmap(self.start as *mut _, RANGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_looked_up_and_never_given_twice() {
        let mut memory = Memory::new();
        let at = memory.alloc(100).unwrap();
        let start = at as u64;
        memory.check(start, 100).unwrap();
        memory.check(start + 100, 0).unwrap();
        let why = memory.check(start, 101).unwrap_err();
        assert!(
            why.contains("101 bytes") && why.contains("are not inside live memory"),
            "{why}"
        );
        let why = memory.check(start - 1, 1).unwrap_err();
        assert!(
            why.contains("1 bytes") && why.contains("are not inside live memory"),
            "{why}"
        );
        let local = 0_u8;
        let why = memory.check(&raw const local as u64, 1).unwrap_err();
        assert!(why.contains("no address of the device"), "{why}");
        memory.free(at).unwrap();
        let why = memory.check(start, 1).unwrap_err();
        assert!(why.contains("are not inside live memory"), "{why}");
        let why = memory.free(at).unwrap_err();
        assert!(why.contains("was freed before"), "{why}");
        assert_ne!(memory.alloc(100), Some(at));
    }

    #[test]
    fn what_is_written_behind_the_end_shows_when_it_is_freed() {
        let mut memory = Memory::new();
        let at = memory.alloc(100).unwrap();
        // SAFETY: the rest of the page.
        unsafe { *((at + 103) as *mut u8) = 1 };
        let why = memory.free(at).unwrap_err();
        assert!(why.contains("4 bytes behind the end"), "{why}");
    }

    #[test]
    fn what_the_gpu_has_is_all_that_it_gives() {
        let mut memory = Memory::new();
        assert_eq!(memory.alloc(TOTAL + 1), None);
        let at = memory.alloc(1000).unwrap();
        assert_eq!((memory.pool.used, memory.pool.used_high), (1000, 1000));
        memory.free(at).unwrap();
        assert_eq!((memory.pool.used, memory.pool.used_high), (0, 1000));
    }

    #[test]
    fn memory_of_graphs_comes_and_goes_at_one_address() {
        let mut memory = Memory::new();
        let at = memory.reserve(100).unwrap();
        let why = memory.check(at as u64, 1).expect_err("it is there before a launch");
        assert!(why.contains("are not inside live memory"), "{why}");
        for _ in 0..2 {
            memory.take(at).unwrap();
            memory.check(at as u64, 100).unwrap();
            // SAFETY: just taken.
            unsafe {
                assert_eq!(*(at as *const u8), PATTERN, "it kept what was there before");
                *(at as *mut u8) = 1;
            }
            assert!(memory.take(at).unwrap_err().contains("still there"));
            memory.free(at).unwrap();
            let why = memory.free(at).unwrap_err();
            assert!(why.contains("was freed before"), "{why}");
        }
        assert_eq!((memory.graphs.used, memory.graphs.used_high), (0, 100));
        assert_eq!(memory.pool.used_high, 0);
    }
}
