//! Messages for the driver's errors.

use crate::{Error, Result};
use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;

/// Adds what was being done when the driver failed.
pub(super) trait Doing<T> {
    /// `what` continues "the CUDA driver failed to".
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for std::result::Result<T, DriverError> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::Device(format!("the CUDA driver failed to {}: {}", what(), words(e))))
    }
}

/// The error's name and text, or its number if the driver cannot name it.
fn words(error: DriverError) -> String {
    let text = |c: std::result::Result<&std::ffi::CStr, DriverError>| c.ok().map(|c| c.to_string_lossy().into_owned());
    match (text(error.error_name()), text(error.error_string())) {
        (Some(name), Some(text)) => format!("{text} ({name})"),
        _ => format!("{:?}", error.0),
    }
}

/// Whether the device is out of memory.
pub(super) fn is_out_of_memory<T>(of: &std::result::Result<T, DriverError>) -> bool {
    matches!(of, Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)))
}

/// `n` bytes in readable form.
pub(super) fn bytes(n: usize) -> String {
    const MIB: usize = 1 << 20;
    if n < MIB {
        format!("{n} bytes")
    } else {
        format!("{} MiB", n.div_ceil(MIB))
    }
}
