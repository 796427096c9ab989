//! Tensors of more than 2³² values: tests that indices have 64 bits. Their memory is reserved and not mapped until it is
//! touched, and only the last blocks of a grid run, which see the highest indices.
#![cfg(not(feature = "gpu"))]

mod common;
use common::F32;
use glad_cuda::normalize::{Frames, Scale, normalize};
use glad_cuda::{In, Number, Out, Value, norm, pointwise, pool, shift};
use glad_cuda_host::Host;
use glad_ops::{Pool, Shift};
use half::bf16;
use std::ffi::c_void;

/// Rows of 64 channels, a little more than 2³² values; the last row is also the last block's if 512 blocks of 32 rows stride
/// over them.
const ROWS: usize = (1 << 26) + 512 * 32;
const CHANNELS: usize = 64;

/// Any number of zeros.
struct Sparse {
    start: *mut c_void,
    len: usize,
    number: Number,
}

impl Sparse {
    fn new(len: usize, number: Number) -> Sparse {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, wherever there is room.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len * number.size(), protection, flags, -1, 0) };
        assert!(start != libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        Sparse { start, len, number }
    }

    fn read(&self) -> In<'_> {
        // SAFETY: the mapping is that long, and borrowed.
        unsafe { In::new(self.start as u64, self.len, self.number) }
    }

    fn write(&mut self) -> Out<'_> {
        // SAFETY: the mapping is that long, and borrowed exclusively.
        unsafe { Out::new(self.start as u64, self.len, self.number) }
    }

    /// The last values.
    fn end<T>(&mut self, count: usize) -> &mut [T] {
        assert_eq!(size_of::<T>(), self.number.size());
        // SAFETY: they are in the mapping, any bytes are valid for the types used here, and it is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast::<T>().add(self.len - count), count) }
    }
}

impl Drop for Sparse {
    fn drop(&mut self) {
        // SAFETY: the mapping is whole, and no part of it is borrowed any more.
        unsafe { libc::munmap(self.start, self.len * self.number.size()) };
    }
}

/// bf16 activations of which the last row is 1, 2, 3 and so on.
fn activations() -> Sparse {
    let mut x = Sparse::new(ROWS * CHANNELS, Number::Bf16);
    let row = x.end::<bf16>(CHANNELS).iter_mut().enumerate();
    row.for_each(|(c, x)| *x = bf16::from_f32(c as f32 + 1.0));
    x
}

fn empty() -> Sparse {
    Sparse::new(ROWS * CHANNELS, Number::Bf16)
}

#[track_caller]
fn assert_last(y: &mut Sparse, expected: impl Fn(usize) -> f32) {
    let last: Vec<f32> = y.end::<bf16>(CHANNELS).iter().map(|y| y.to_f32()).collect();
    assert_eq!(last, (0..CHANNELS).map(expected).collect::<Vec<_>>());
}

#[test]
fn numbers_one_by_one() {
    let host = Host::of_the_last(1);
    let (x, mut y) = (activations(), empty());
    pointwise::scale(&host, Value::Host(2.0), x.read(), y.write()).unwrap();
    assert_last(&mut y, |c| 2.0 * (c as f32 + 1.0));
}

#[test]
fn norms() {
    let host = Host::of_the_last(1);
    let (x, mut y) = (activations(), empty());
    let [mean, beta] = [0.0, 0.5].map(|v| F32.put(&host, &[v; CHANNELS]));
    let [var, gamma] = [1.0, 1.0].map(|v| F32.put(&host, &[v; CHANNELS]));
    let norm = norm::BatchNorm {
        mean: mean.read(),
        var: var.read(),
        gamma: gamma.read(),
        beta: beta.read(),
        eps: 0.0,
        relu: true,
    };
    norm.forward(&host, x.read(), None, y.write()).unwrap();
    assert_last(&mut y, |c| c as f32 + 1.5);
}

#[test]
fn shifts() {
    let host = Host::of_the_last(1);
    let shape = Shift {
        n: ROWS / 32,
        t: 32,
        pixels: 1,
        channels: CHANNELS,
        fold: 8,
    };
    let (mut x, mut y) = (activations(), empty());
    x.end::<bf16>(2 * CHANNELS)[..CHANNELS].fill(bf16::from_f32(-1.0));
    shift::forward(&host, &shape, x.read(), y.write()).unwrap();
    assert_last(&mut y, |c| match c {
        0..8 => 0.0,
        8..16 => -1.0,
        c => c as f32 + 1.0,
    });
}

#[test]
fn pooling() {
    let host = Host::of_the_last(1);
    let shape = Pool::new(ROWS / 32, [1, 4, 8], CHANNELS, [1, 1, 1], [1, 1, 1], [0, 0, 0]);
    let (x, mut y) = (activations(), empty());
    let mut index = Sparse::new(ROWS * CHANNELS, Number::U8);
    index.end::<u8>(CHANNELS).fill(9);
    pool::max_forward(&host, &shape, x.read(), y.write(), index.write()).unwrap();
    assert_last(&mut y, |c| c as f32 + 1.0);
    assert_eq!(index.end::<u8>(CHANNELS), [0; CHANNELS]);
    let mut dx = empty();
    pool::max_backward(&host, &shape, y.read(), index.read(), dx.write()).unwrap();
    assert_last(&mut dx, |c| c as f32 + 1.0);
    let mut mean = Sparse::new(ROWS * CHANNELS, Number::F32);
    pool::global_mean(&host, ROWS, 1, CHANNELS, x.read(), mean.write()).unwrap();
    let last: Vec<f32> = (1..=CHANNELS).map(|c| c as f32).collect();
    assert_eq!(mean.end::<f32>(CHANNELS), last);
}

#[test]
fn bytes() {
    let host = Host::of_the_last(1);
    let shape = Frames {
        frames: 3 << 15,
        height: 255,
        width: 64,
    };
    let len = shape.frames * shape.height * shape.width * 3;
    assert!(len > 1 << 32);
    let (mut x, mut y) = (Sparse::new(len, Number::U8), Sparse::new(len, Number::Bf16));
    x.end::<u8>(3).copy_from_slice(&[10, 20, 30]);
    let scale = Scale {
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    normalize(&host, &shape, x.read(), &scale, 3, y.write()).unwrap();
    assert_eq!(y.end::<bf16>(3), [10.0, 20.0, 30.0].map(bf16::from_f32));
}
