//! A device that allocates memory and runs kernels.

use crate::Result;
use std::marker::PhantomData;

/// A number type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    /// 32-bit floating point.
    F32,
    /// bfloat16: the upper half of an f32.
    Bf16,
    /// Bytes.
    U8,
    /// 32-bit unsigned integers.
    U32,
}

impl Number {
    /// Its size in bytes.
    pub fn size(self) -> usize {
        match self {
            Number::F32 | Number::U32 => 4,
            Number::Bf16 => 2,
            Number::U8 => 1,
        }
    }
}

/// Device memory that an operation reads.
#[derive(Clone, Copy, Debug)]
pub struct In<'a> {
    address: u64,
    len: usize,
    number: Number,
    life: PhantomData<&'a [u8]>,
}

impl In<'_> {
    /// `len` values at `address`.
    ///
    /// # Safety
    /// They stay allocated, and nothing writes to them, for the lifetime that the caller chooses, on the stream that the
    /// device's launches are queued on.
    pub unsafe fn new(address: u64, len: usize, number: Number) -> Self {
        In {
            address,
            len,
            number,
            life: PhantomData,
        }
    }

    /// Its device address.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Its length in values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its number type.
    pub fn number(&self) -> Number {
        self.number
    }
}

/// Device memory that an operation writes and may read.
#[derive(Debug)]
pub struct Out<'a> {
    address: u64,
    len: usize,
    number: Number,
    life: PhantomData<&'a mut [u8]>,
}

impl Out<'_> {
    /// `len` values at `address`.
    ///
    /// # Safety
    /// They stay allocated, and nothing else reads or writes them, for the lifetime that the caller chooses, on the stream that
    /// the device's launches are queued on.
    pub unsafe fn new(address: u64, len: usize, number: Number) -> Self {
        Out {
            address,
            len,
            number,
            life: PhantomData,
        }
    }

    /// Its device address.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Its length in values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its number type.
    pub fn number(&self) -> Number {
        self.number
    }

    /// The same memory, for reading.
    pub fn read(&self) -> In<'_> {
        In {
            address: self.address,
            len: self.len,
            number: self.number,
            life: PhantomData,
        }
    }

    /// Reborrows the memory.
    pub fn lend(&mut self) -> Out<'_> {
        Out {
            address: self.address,
            len: self.len,
            number: self.number,
            life: PhantomData,
        }
    }
}

/// An argument of a kernel, by value, as `cuLaunchKernel` takes it: a pointer to the value, in the parameters' order.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// A pointer; 0 is null.
    Address(u64),
    /// `unsigned int`.
    U32(u32),
    /// `int`.
    I32(i32),
    /// `unsigned long long`.
    U64(u64),
    /// `float`.
    F32(f32),
    /// A struct of `unsigned int`s.
    Words(&'a [u32]),
}

/// A number that the host passes at launch, or that is in device memory, where it may change between two runs of a
/// recorded launch.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a, T> {
    /// Passed by value.
    Host(T),
    /// Read from device memory when the kernel runs.
    Device(In<'a>),
}

/// A kernel and its launch configuration.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// The source file without its ending: `norm`.
    pub module: &'static str,
    /// The kernel's name in it.
    pub kernel: &'static str,
    /// Blocks along x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y and z.
    pub block: [u32; 3],
}

/// Memory allocated on a device, freed when dropped.
pub trait Memory {
    /// To be read.
    fn input(&self) -> In<'_>;
    /// To be written.
    fn output(&mut self) -> Out<'_>;
}

/// A device. It runs its work in order (one stream).
pub trait Gpu {
    /// Its memory.
    type Memory: Memory;

    /// Allocates `len` values (possibly 0) with arbitrary contents. The memory is aligned to at least 16 bytes, and used in the
    /// order of the launches: it may be reused as soon as it is dropped.
    ///
    /// # Errors
    /// The device is out of memory.
    fn alloc(&self, len: usize, number: Number) -> Result<Self::Memory>;

    /// Runs a kernel.
    ///
    /// # Safety
    /// The arguments have the kernel's types and order, pointers are valid for as much memory as it reads
    /// and writes, and nothing that it writes is borrowed elsewhere.
    ///
    /// # Errors
    /// There is no such kernel, or the driver fails.
    unsafe fn launch(&self, launch: &Launch, args: &[Arg<'_>]) -> Result<()>;
}
