//! A card that is the CPU: a library that has what glad calls of CUDA's driver, cuBLAS, cuRAND and cuDNN under their names, so
//! that the CUDA build of glad runs, unchanged, where there is no card. It is a test tool: `tools/gpu/check.sh` puts it in the
//! place of NVIDIA's libraries (`LD_LIBRARY_PATH`), and it is in no package.
//!
//! glad's kernels and those of Candle are run from their sources by `glad-cuda-host`; products of
//! matrices and convolutions are loops with sums in 32 bits, whose operands are rounded as the precision says. It shows that what
//! is asked of the card is right: every address is looked up, memory that was freed is never given again and cannot be
//! touched, and what is wrong stops the device with a message, after which every call fails, as on a card. Kernels are
//! given real addresses of this process, so the host is *not* kept from reading device memory.
//!
//! With `GLAD_EMULATOR=late` each stream is a queue that runs as late as CUDA allows: when it is waited for, or when an event of
//! it is. Copies from page-locked memory then read it at that time. So a wait that is missing between two streams, or memory
//! that is used again too early, gives wrong numbers here, too. Without, everything is done when it is asked.
//!
//! What a stream records (`capture.rs`) goes the same way, once for each launch. Memory that a graph takes has an address of its
//! own, and is there from launch to free; what glad may not ask for while it records breaks the recording, with a message.
//!
//! It cannot show speed, what the compiler makes of the kernels, cuDNN's own rounding and refusals, or races between threads.

#![cfg(feature = "card")]
// The functions are called by CUDA's rules, which are the caller's to keep; see NVIDIA's documentation of each.
#![allow(clippy::missing_safety_doc, missing_docs, non_snake_case, clippy::too_many_arguments)]

mod blas;
mod capture;
mod conv;
mod dnn;
mod driver;
mod memory;
mod queue;
mod rand;
