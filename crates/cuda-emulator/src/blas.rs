//! cuBLAS: products of column-major matrices.

use crate::driver::{SUCCESS, on_gpu, on_stream, unrecorded};
use half::bf16;
use rayon::prelude::*;
use std::collections::HashMap;
use std::ffi::{c_int, c_longlong, c_void};
use std::sync::{LazyLock, Mutex, PoisonError};

const NOT_INITIALIZED: u32 = 1;
const INVALID_VALUE: u32 = 7;
const EXECUTION_FAILED: u32 = 13;
const NOT_SUPPORTED: u32 = 15;

const F32: u32 = 0;
const BF16: u32 = 14;
const COMPUTE_F32: u32 = 68;
const COMPUTE_TF32: u32 = 77;

/// The stream of each handle.
static HANDLES: LazyLock<Mutex<HashMap<u64, u64>>> = LazyLock::new(Mutex::default);

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasCreate_v2(handle: *mut u64) -> u32 {
    if unrecorded("the start of cuBLAS", |_| SUCCESS) != SUCCESS {
        return NOT_INITIALIZED;
    }
    let mut handles = HANDLES.lock().unwrap_or_else(PoisonError::into_inner);
    let new = 0x1000 + 16 * handles.len() as u64;
    handles.insert(new, 0);
    // SAFETY: the caller has room for a handle.
    unsafe { *handle = new };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasDestroy_v2(_handle: u64) -> u32 {
    // It waits for the device.
    match on_gpu(|gpu| gpu.break_all("the end of cuBLAS")) {
        SUCCESS => 0,
        _ => NOT_INITIALIZED,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasSetStream_v2(handle: u64, stream: u64) -> u32 {
    let mut handles = HANDLES.lock().unwrap_or_else(PoisonError::into_inner);
    match handles.get_mut(&handle) {
        Some(its) => {
            *its = stream;
            0
        }
        None => NOT_INITIALIZED,
    }
}

/// 10 bits of mantissa, rounded to nearest.
pub(crate) fn tf32(x: f32) -> f32 {
    if !x.is_finite() {
        return x;
    }
    let bits = x.to_bits();
    f32::from_bits((bits + 0xFFF + (bits >> 13 & 1)) & !0x1FFF)
}

/// Values of device memory, as f32.
///
/// # Safety
/// `len` values can be read at `at`.
pub(crate) unsafe fn read(at: u64, len: usize, bf: bool, to_tf32: bool) -> Vec<f32> {
    // SAFETY: the caller's promise.
    unsafe {
        if bf {
            let all = std::slice::from_raw_parts(at as *const bf16, len);
            return all.iter().map(|v| v.to_f32()).collect();
        }
        let all = std::slice::from_raw_parts(at as *const f32, len);
        match to_tf32 {
            true => all.iter().map(|&v| tf32(v)).collect(),
            false => all.to_vec(),
        }
    }
}

/// How far a batch of matrices reaches, in values.
fn reach(rows: usize, columns: usize, ld: usize, stride: usize, batch: usize) -> usize {
    stride * (batch - 1) + ld * (columns - 1) + rows
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cublasGemmStridedBatchedEx(
    handle: u64,
    transa: u32,
    transb: u32,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: *const c_void,
    a: u64,
    a_type: u32,
    lda: c_int,
    stride_a: c_longlong,
    b: u64,
    b_type: u32,
    ldb: c_int,
    stride_b: c_longlong,
    beta: *const c_void,
    c: u64,
    c_type: u32,
    ldc: c_int,
    stride_c: c_longlong,
    batch: c_int,
    compute: u32,
    _algo: i32,
) -> u32 {
    let Some(stream) = HANDLES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&handle)
        .copied()
    else {
        return NOT_INITIALIZED;
    };
    let bf = match (a_type, b_type, c_type, compute) {
        (F32, F32, F32, COMPUTE_F32 | COMPUTE_TF32) => false,
        (BF16, BF16, BF16, COMPUTE_F32) => true,
        _ => return NOT_SUPPORTED,
    };
    let to_tf32 = compute == COMPUTE_TF32;
    let sizes = [m, n, k, lda, ldb, ldc, batch].map(|v| usize::try_from(v).unwrap_or(0));
    let [m, n, k, lda, ldb, ldc, batch] = sizes;
    let strides = [stride_a, stride_b, stride_c].map(|v| usize::try_from(v).unwrap_or(0));
    let (ta, tb) = (transa != 0, transb != 0);
    let (rows_a, columns_a) = if ta { (k, m) } else { (m, k) };
    let (rows_b, columns_b) = if tb { (n, k) } else { (k, n) };
    if sizes.contains(&0) || lda < rows_a || ldb < rows_b || ldc < m {
        return INVALID_VALUE;
    }
    // SAFETY: alpha and beta are 32-bit floats on the host, as the compute type requires.
    let (alpha, beta) = unsafe { (*alpha.cast::<f32>(), *beta.cast::<f32>()) };
    let status = on_stream(stream, |gpu| {
        gpu.work(
            stream,
            format!("product of {batch} × {m} × {k} × {n}"),
            move |memory| {
                let size = if bf { 2 } else { 4 };
                let [la, lb, lc] = [
                    reach(rows_a, columns_a, lda, strides[0], batch),
                    reach(rows_b, columns_b, ldb, strides[1], batch),
                    reach(m, n, ldc, strides[2], batch),
                ];
                for (name, at, len) in [("A", a, la), ("B", b, lb), ("C", c, lc)] {
                    memory.check(at, len * size).map_err(|e| format!("{name}: {e}"))?;
                    if at % size as u64 != 0 {
                        return Err(format!("{name} at {at:#x} is not aligned"));
                    }
                }
                // SAFETY: checked above.
                let (a, b) = unsafe { (read(a, la, bf, to_tf32), read(b, lb, bf, to_tf32)) };
                for at in 0..batch {
                    let (a, b) = (&a[at * strides[0]..], &b[at * strides[1]..]);
                    // The rows of A, each contiguous.
                    let rows: Vec<f32> = (0..m * k)
                        .map(|i| {
                            let (row, column) = (i / k, i % k);
                            if ta {
                                a[row * lda + column]
                            } else {
                                a[column * lda + row]
                            }
                        })
                        .collect();
                    let columns: Vec<Vec<f32>> = (0..n)
                        .into_par_iter()
                        .map(|column| {
                            let b: Vec<f32> = (0..k)
                                .map(|i| if tb { b[i * ldb + column] } else { b[column * ldb + i] })
                                .collect();
                            rows.chunks_exact(k)
                                .map(|row| row.iter().zip(&b).fold(0.0_f32, |sum, (x, y)| sum + x * y))
                                .collect()
                        })
                        .collect();
                    for (column, sums) in columns.iter().enumerate() {
                        for (row, &sum) in sums.iter().enumerate() {
                            let i = at * strides[2] + column * ldc + row;
                            // SAFETY: inside C, which was checked above.
                            unsafe {
                                if bf {
                                    let to = (c as *mut bf16).add(i);
                                    let old = if beta == 0.0 { 0.0 } else { beta * (*to).to_f32() };
                                    *to = bf16::from_f32(alpha * sum + old);
                                } else {
                                    let to = (c as *mut f32).add(i);
                                    let old = if beta == 0.0 { 0.0 } else { beta * *to };
                                    *to = alpha * sum + old;
                                }
                            }
                        }
                    }
                }
                Ok(())
            },
        );
        SUCCESS
    });
    if status == SUCCESS { 0 } else { EXECUTION_FAILED }
}

/// 64-bit products, which Candle links and glad never calls.
#[unsafe(no_mangle)]
unsafe extern "C" fn cublasDgemmStridedBatched() -> u32 {
    NOT_SUPPORTED
}
