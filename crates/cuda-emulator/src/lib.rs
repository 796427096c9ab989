//! A GPU emulated on the CPU: a library with the functions of CUDA's driver, cuBLAS, cuRAND and cuDNN that glad calls, so
//! that the CUDA build of glad runs unchanged without a GPU. It is a test tool: `tools/gpu/check.sh` puts it in the
//! place of NVIDIA's libraries (`LD_LIBRARY_PATH`), and it is not distributed.
//!
//! `glad-cuda-host` runs glad's and Candle's kernels from their sources; products of
//! matrices and convolutions are loops with sums in 32 bits, whose operands are rounded to the given precision. It checks the
//! calls to the GPU: every address is looked up, freed memory is never reused and cannot be touched, and an error stops the
//! device with a message, after which every call fails, as on a GPU. Kernels are passed real addresses of this process, so the
//! host is *not* prevented from reading device memory.
//!
//! With `GLAD_EMULATOR=late` each stream is a queue that runs as late as CUDA allows: when the host waits for it or for
//! one of its events. Copies from page-locked memory read it at that time. So a missing wait between two streams, or memory
//! that is reused too early, gives wrong results here, too. Without it, all work runs when it is queued.
//!
//! Recorded work (`capture.rs`) runs the same way, once for each launch. Memory that a graph allocates has an address of its
//! own, and exists from launch to free; calls that are illegal during capture invalidate the recording, with a message.
//!
//! It cannot test speed, nvcc's code, cuDNN's own rounding and limits, or races between threads.

#![cfg(feature = "gpu")]
// The functions follow CUDA's rules, which the caller must keep; see NVIDIA's documentation of each.
#![allow(clippy::missing_safety_doc, missing_docs, non_snake_case, clippy::too_many_arguments)]

mod blas;
mod capture;
mod conv;
mod dnn;
mod driver;
mod memory;
mod queue;
mod rand;
