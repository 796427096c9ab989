//! Freed buffers are kept for the next step: a step's activations come and go in the same sizes, and giving them back
//! to the system each time costs a page fault for every 4 KiB of the next.

/// Bytes of memory and swap that this machine has, where the system reports it.
pub fn physical_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some((kib("MemTotal")? + kib("SwapTotal").unwrap_or(0)).saturating_mul(1024))
}

/// Tells the C library's allocator to keep what is freed. Other allocators are left as they are.
#[allow(unsafe_code)]
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
