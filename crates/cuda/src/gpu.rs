//! A device that gives memory and runs kernels.

use crate::Result;
use std::marker::PhantomData;

/// What kind of numbers memory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    /// 32-bit floating point.
    F32,
    /// bfloat16: the upper half of a 32-bit number.
    Bf16,
    /// Bytes.
    U8,
    /// 32-bit whole numbers.
    U32,
}

impl Number {
    /// Bytes of one.
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
    /// `len` numbers at `address`.
    ///
    /// # Safety
    /// They stay there, and nobody writes to them, for the lifetime that the caller gives it, on the stream that the
    /// device's launches are queued on.
    pub unsafe fn new(address: u64, len: usize, number: Number) -> Self {
        In {
            address,
            len,
            number,
            life: PhantomData,
        }
    }

    /// Where it is, as the device counts.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What they are.
    pub fn number(&self) -> Number {
        self.number
    }
}

/// Device memory that an operation writes, and may read.
#[derive(Debug)]
pub struct Out<'a> {
    address: u64,
    len: usize,
    number: Number,
    life: PhantomData<&'a mut [u8]>,
}

impl Out<'_> {
    /// `len` numbers at `address`.
    ///
    /// # Safety
    /// They stay there, and nobody else reads or writes them, for the lifetime that the caller gives it, on the stream that
    /// the device's launches are queued on.
    pub unsafe fn new(address: u64, len: usize, number: Number) -> Self {
        Out {
            address,
            len,
            number,
            life: PhantomData,
        }
    }

    /// Where it is, as the device counts.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What they are.
    pub fn number(&self) -> Number {
        self.number
    }

    /// The same memory, to be read.
    pub fn read(&self) -> In<'_> {
        In {
            address: self.address,
            len: self.len,
            number: self.number,
            life: PhantomData,
        }
    }

    /// The same memory, lent on.
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

/// A number that the host knows when it launches, or that lies on the device, where it may change between two runs of a
/// recorded launch.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a, T> {
    /// It is this.
    Host(T),
    /// It is what is there when the kernel runs.
    Device(In<'a>),
}

/// Which kernel, and how many threads.
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

/// Memory that a device gave, freed when dropped.
pub trait Memory {
    /// To be read.
    fn input(&self) -> In<'_>;
    /// To be written.
    fn output(&mut self) -> Out<'_>;
}

/// A device. What it is asked to do it does in that order (one stream).
pub trait Gpu {
    /// Its memory.
    type Memory: Memory;

    /// Memory for `len` numbers (which may be 0), which hold anything. It is aligned to 16 bytes at least, and used in the
    /// order of the launches: it may be given out again as soon as it is dropped.
    ///
    /// # Errors
    /// The device has not so much left.
    fn alloc(&self, len: usize, number: Number) -> Result<Self::Memory>;

    /// Runs a kernel.
    ///
    /// # Safety
    /// The arguments are of the types and in the order that the kernel has them, pointers lead to as much memory as it reads
    /// and writes, and nothing that it writes is lent to anybody else.
    ///
    /// # Errors
    /// There is no such kernel, or the driver refuses.
    unsafe fn launch(&self, launch: &Launch, args: &[Arg<'_>]) -> Result<()>;
}
