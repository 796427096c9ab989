//! Buffers that are kept per thread, so that a training step allocates no new pages, and buffers for results.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// One cache line, and one AVX-512 vector.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// A growable buffer of `f32` that starts on a cache line.
#[derive(Default)]
pub(crate) struct Aligned {
    lines: Vec<Line>,
    len: usize,
}

impl Aligned {
    /// Makes it `len` long; its contents are arbitrary.
    pub(crate) fn resize(&mut self, len: usize) {
        if self.lines.len() < len.div_ceil(16) {
            self.lines.resize(len.div_ceil(16), Line([0.0; 16]));
        }
        self.len = len;
    }
}

impl Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `Line` is 16 floats without padding, and `len` floats lie in `lines`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

thread_local! {
    static FREE: RefCell<Vec<Aligned>> = const { RefCell::new(Vec::new()) };
}

/// A buffer borrowed from this thread's pool.
pub(crate) struct Scratch(Aligned);

/// A buffer of `len` floats whose contents are arbitrary.
///
/// It leaves the pool while in use: a thread that steals another task meanwhile gets another buffer.
pub(crate) fn take(len: usize) -> Scratch {
    let mut buffer = FREE.with_borrow_mut(|free| {
        // The smallest that is long enough, else the longest, which then grows.
        let fits = (0..free.len())
            .filter(|&i| free[i].lines.len() * 16 >= len)
            .min_by_key(|&i| free[i].lines.len());
        let pick = fits.or_else(|| (0..free.len()).max_by_key(|&i| free[i].lines.len()));
        pick.map(|i| free.swap_remove(i)).unwrap_or_default()
    });
    buffer.resize(len);
    Scratch(buffer)
}

/// A buffer of `len` zeros.
pub(crate) fn take_zeroed(len: usize) -> Scratch {
    let mut scratch = take(len);
    scratch.fill(0.0);
    scratch
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        // While a thread ends its pool may be gone already: the buffer is then simply freed.
        let _ = FREE.try_with(|free| free.borrow_mut().push(buffer));
    }
}

/// A buffer for a result of `len` values, whose contents are arbitrary: the kernels write every value of a result, and
/// writing zeros first would cost a pass over memory for each.
pub fn buffer(len: usize) -> Vec<f32> {
    let mut values: Vec<f32> = Vec::with_capacity(len);
    // Memory that may have been written, as far as the compiler knows, is initialised: any bits are an `f32`.
    std::hint::black_box(values.as_mut_ptr());
    // SAFETY: the capacity is `len`, and see above.
    #[allow(clippy::uninit_vec, reason = "see above")]
    unsafe {
        values.set_len(len);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_reused() {
        let first = take(1000);
        let at = first.as_ptr();
        assert_eq!(at as usize % 64, 0);
        assert_eq!(first.len(), 1000);
        let second = take(10);
        assert_ne!(second.as_ptr(), at);
        drop(second);
        drop(first);
        assert_eq!(take(900).as_ptr(), at);
        assert!(take_zeroed(1001).iter().all(|&v| v == 0.0));
    }
}
