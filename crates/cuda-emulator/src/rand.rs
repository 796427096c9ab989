//! cuRAND: Candle creates a generator for each device, which glad never uses.

use std::ffi::c_void;

#[unsafe(no_mangle)]
unsafe extern "C" fn curandCreateGenerator(generator: *mut *mut c_void, _kind: u32) -> u32 {
    // SAFETY: the caller has room for a handle.
    unsafe { *generator = std::ptr::dangling_mut::<u64>().cast() };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandDestroyGenerator(_generator: *mut c_void) -> u32 {
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandSetPseudoRandomGeneratorSeed(_generator: *mut c_void, _seed: u64) -> u32 {
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn curandSetStream(_generator: *mut c_void, _stream: u64) -> u32 {
    0
}
