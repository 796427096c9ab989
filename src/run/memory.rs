//! Freed buffers are kept for the next step: a step's activations come and go in the same sizes, and giving them back
//! to the system each time costs a page fault for every 4 KiB of the next.

/// Tells the C library's allocator to keep what is freed. Other allocators are left as they are.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two numbers and is called before other threads allocate.
    unsafe {
        // no buffer is a mapping of its own, and the heap is never trimmed
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}
