//! Vectors behind one trait, so that each micro-kernel is written once: of `f32`, and of bytes.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod bytes;
pub(crate) mod portable;
mod vector;

pub(crate) use vector::Simd;
