//! Memory with a guard zone on both sides.

use glad_cuda::{In, Memory, Number, Out};
use half::bf16;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::rc::Rc;

/// Size of a zone in bytes; also the alignment of memory, as on a GPU.
const ZONE: usize = 256;
/// The fill of zones and fresh memory: a NaN as any float type.
const PATTERN: u8 = 0xFF;

/// An element type of memory.
pub trait Plain: Copy {
    /// Its number type on a device.
    const NUMBER: Number;
}

impl Plain for f32 {
    const NUMBER: Number = Number::F32;
}
impl Plain for bf16 {
    const NUMBER: Number = Number::Bf16;
}
impl Plain for u8 {
    const NUMBER: Number = Number::U8;
}
impl Plain for u32 {
    const NUMBER: Number = Number::U32;
}

/// The zones: before and after `[start, start + bytes)`.
#[derive(Clone, Copy, Debug)]
struct Region {
    start: *mut u8,
    bytes: usize,
}

impl Region {
    fn layout(self) -> Layout {
        Layout::from_size_align(self.bytes + 2 * ZONE, ZONE).expect("a length of memory")
    }
}

/// Tells the address sanitizer that kernels must not touch the zones, or that they may again.
#[cfg(feature = "sanitizer")]
fn poison(region: Region, on: bool) {
    unsafe extern "C" {
        fn __asan_poison_memory_region(start: *const u8, bytes: usize);
        fn __asan_unpoison_memory_region(start: *const u8, bytes: usize);
    }
    let Region { start, bytes } = region;
    for zone in [start.wrapping_sub(ZONE), start.wrapping_add(bytes)] {
        // SAFETY: it only marks memory that is the region's.
        unsafe {
            match on {
                true => __asan_poison_memory_region(zone, ZONE),
                false => __asan_unpoison_memory_region(zone, ZONE),
            }
        }
    }
}

#[cfg(not(feature = "sanitizer"))]
fn poison(_: Region, _: bool) {}

/// The live allocations of a device.
#[derive(Debug, Default)]
pub(crate) struct Zones(RefCell<Vec<Region>>);

impl Zones {
    /// Checks that all zones are unchanged.
    pub(crate) fn check(&self) -> Result<(), String> {
        for region in self.0.borrow().iter() {
            let Region { start, bytes } = *region;
            // SAFETY: both zones were allocated and filled with the memory, which is freed only after it leaves the list.
            let zones = unsafe {
                [
                    std::slice::from_raw_parts(start.sub(ZONE), ZONE),
                    std::slice::from_raw_parts(start.add(bytes), ZONE),
                ]
            };
            let [before, behind] = zones;
            if let Some(at) = before.iter().rposition(|b| *b != PATTERN) {
                return Err(format!(
                    "it wrote {} bytes before the beginning of memory of {bytes}",
                    ZONE - at
                ));
            }
            if let Some(at) = behind.iter().position(|b| *b != PATTERN) {
                return Err(format!("it wrote {at} bytes behind the end of memory of {bytes}"));
            }
        }
        Ok(())
    }
}

/// Memory of a [`crate::Host`].
#[derive(Debug)]
pub struct HostMemory {
    region: Region,
    len: usize,
    number: Number,
    zones: Rc<Zones>,
}

impl HostMemory {
    pub(crate) fn new(zones: &Rc<Zones>, len: usize, number: Number) -> HostMemory {
        let mut region = Region {
            start: std::ptr::null_mut(),
            bytes: len * number.size(),
        };
        let layout = region.layout();
        // SAFETY: the layout is longer than two zones.
        let memory = unsafe { alloc(layout) };
        if memory.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: the memory is as long as the layout, and one zone is a part of it.
        unsafe {
            memory.write_bytes(PATTERN, layout.size());
            region.start = memory.add(ZONE);
        }
        poison(region, true);
        zones.0.borrow_mut().push(region);
        HostMemory {
            region,
            len,
            number,
            zones: zones.clone(),
        }
    }

    /// The values that it holds.
    ///
    /// # Panics
    /// The values are of another type.
    pub fn numbers<T: Plain>(&self) -> &[T] {
        assert_eq!(T::NUMBER, self.number, "memory of another type");
        // SAFETY: it holds `len` values of the type, whose alignment is less than a zone's; any bytes are valid.
        unsafe { std::slice::from_raw_parts(self.region.start.cast(), self.len) }
    }

    /// Replaces the values.
    ///
    /// # Panics
    /// The values are of another type or length.
    pub fn write<T: Plain>(&mut self, numbers: &[T]) {
        assert_eq!(
            (T::NUMBER, numbers.len()),
            (self.number, self.len),
            "memory of another type or length"
        );
        // SAFETY: both are `len` values of the type, and do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr(), self.region.start.cast(), self.len) };
    }

    /// All but the first `skip` values, for reading: memory that is not aligned.
    pub fn input_from(&self, skip: usize) -> In<'_> {
        let address = self.region.start as u64 + (skip * self.number.size()) as u64;
        // SAFETY: that many are left from there on, and `self` is borrowed.
        unsafe { In::new(address, self.len - skip, self.number) }
    }

    /// The same, for writing.
    pub fn output_from(&mut self, skip: usize) -> Out<'_> {
        let address = self.region.start as u64 + (skip * self.number.size()) as u64;
        // SAFETY: that many are left from there on, and `self` is borrowed exclusively.
        unsafe { Out::new(address, self.len - skip, self.number) }
    }
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        self.zones.0.borrow_mut().retain(|r| r.start != self.region.start);
        poison(self.region, false);
        // SAFETY: it was allocated with this layout, a zone before `start`.
        unsafe { dealloc(self.region.start.sub(ZONE), self.region.layout()) };
    }
}

impl Memory for HostMemory {
    fn input(&self) -> In<'_> {
        self.input_from(0)
    }

    fn output(&mut self) -> Out<'_> {
        self.output_from(0)
    }
}
