//! Fixed partitions of work over the current rayon pool.

use rayon::prelude::*;

/// Tensors below this many values are not worth waking other threads for.
const SMALL: usize = 1 << 14;

/// Runs `body(0..tasks)`, over the pool if `work` (values touched) is worth it.
pub(crate) fn run(tasks: usize, work: usize, body: impl Fn(usize) + Sync + Send) {
    if tasks <= 1 || work < SMALL || rayon::current_num_threads() == 1 {
        (0..tasks).for_each(body);
    } else {
        (0..tasks).into_par_iter().for_each(body);
    }
}

/// A pointer that tasks share; each writes a part of its own.
#[derive(Clone, Copy)]
pub(crate) struct Shared<T>(*mut T);

// SAFETY: the code that dereferences it guarantees that tasks write disjoint parts (see `part`).
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn new(slice: &mut [T]) -> Self {
        Self(slice.as_mut_ptr())
    }

    pub(crate) fn ptr(self) -> *mut T {
        self.0
    }

    /// The part `[at, at + len)`.
    ///
    /// # Safety
    /// The part lies in the slice, which outlives `'a`, and no other task touches it meanwhile.
    pub(crate) unsafe fn part<'a>(self, at: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(at), len) }
    }
}

/// Cuts `len` into chunks of `chunk` (the last may be short) and returns chunk `i`'s start and length.
pub(crate) fn chunk_of(len: usize, chunk: usize, i: usize) -> (usize, usize) {
    let at = i * chunk;
    (at, chunk.min(len - at))
}
