//! cuDNN's descriptors: opaque objects with attributes, which are set, then finalised, then read.

use cudarc::cudnn::sys::{
    self, cudnnBackendAttributeName_t as Name, cudnnBackendAttributeType_t as Type, cudnnBackendDescriptor_t,
    cudnnBackendDescriptorType_t as Kind, cudnnHandle_t, cudnnStatus_t,
};
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

/// The result of a cuDNN call, with an error message. Callers that know the convolution prefix its name.
pub(super) type Fault<T> = Result<T, String>;

/// Turns a status into a message: the request, cuDNN's name of the error, and the reason in its log.
///
/// A status is only compared and passed back to cuDNN, never printed by name here: a later version has more of them
/// than these bindings.
pub(super) fn accepted(status: cudnnStatus_t, what: impl FnOnce() -> String) -> Fault<()> {
    if status == cudnnStatus_t::CUDNN_STATUS_SUCCESS {
        return Ok(());
    }
    // SAFETY: cuDNN returns a static string for any number.
    let name = unsafe { CStr::from_ptr(sys::cudnnGetErrorString(status)) };
    const LOG: usize = 2048;
    let mut log = [0_u8; LOG];
    // SAFETY: `log` has that many bytes; cuDNN ends what it writes with a zero.
    unsafe { sys::cudnnGetLastErrorString(log.as_mut_ptr().cast::<c_char>(), LOG) };
    let end = log.iter().position(|&b| b == 0).unwrap_or(LOG);
    let why = String::from_utf8_lossy(&log[..end]);
    let why = why.trim();
    let colon = if why.is_empty() { "" } else { ": " };
    Err(format!(
        "cuDNN refused to {} ({}{colon}{why})",
        what(),
        name.to_string_lossy()
    ))
}

/// A descriptor, destroyed when dropped.
#[derive(Debug)]
pub(super) struct Descriptor {
    raw: cudnnBackendDescriptor_t,
    kind: Kind,
}

// SAFETY: cuDNN's descriptors are not tied to a thread.
unsafe impl Send for Descriptor {}
// SAFETY: only finalised ones are shared, which do not change.
unsafe impl Sync for Descriptor {}

impl Descriptor {
    pub(super) fn new(kind: Kind) -> Fault<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: cuDNN writes one descriptor.
        let status = unsafe { sys::cudnnBackendCreateDescriptor(kind, &raw mut raw) };
        accepted(status, || format!("create {kind:?}"))?;
        Ok(Descriptor { raw, kind })
    }

    /// Finalises the descriptor, for which cuDNN checks the attributes.
    pub(super) fn finish(self) -> Fault<Self> {
        // SAFETY: a descriptor that is not finalised yet.
        let status = unsafe { sys::cudnnBackendFinalize(self.raw) };
        accepted(status, || format!("finalise {:?}", self.kind))?;
        Ok(self)
    }

    pub(super) fn raw(&self) -> cudnnBackendDescriptor_t {
        self.raw
    }

    /// # Safety
    /// At `values` there are `count` values of the type in C that `kind` stands for.
    unsafe fn set(self, name: Name, kind: Type, count: usize, values: *const c_void) -> Fault<Self> {
        let count = i64::try_from(count).map_err(|e| e.to_string())?;
        // SAFETY: the descriptor is not finalised yet (`finish` consumes it); the values are the caller's promise, and cuDNN
        // copies them.
        let status = unsafe { sys::cudnnBackendSetAttribute(self.raw, name, kind, count, values) };
        accepted(status, || format!("set {name:?} of {:?}", self.kind))?;
        Ok(self)
    }

    pub(super) fn longs(self, name: Name, values: &[i64]) -> Fault<Self> {
        // SAFETY: CUDNN_TYPE_INT64 is int64_t.
        unsafe { self.set(name, Type::CUDNN_TYPE_INT64, values.len(), values.as_ptr().cast()) }
    }

    pub(super) fn float(self, name: Name, value: f32) -> Fault<Self> {
        // SAFETY: CUDNN_TYPE_FLOAT is float.
        unsafe { self.set(name, Type::CUDNN_TYPE_FLOAT, 1, (&raw const value).cast()) }
    }

    #[cfg(test)]
    pub(super) fn text(self, name: Name, value: &CStr) -> Fault<Self> {
        let bytes = value.to_bytes_with_nul();
        // SAFETY: CUDNN_TYPE_CHAR is char.
        unsafe { self.set(name, Type::CUDNN_TYPE_CHAR, bytes.len(), bytes.as_ptr().cast()) }
    }

    pub(super) fn data_type(self, name: Name, value: sys::cudnnDataType_t) -> Fault<Self> {
        // SAFETY: CUDNN_TYPE_DATA_TYPE is cudnnDataType_t.
        unsafe { self.set(name, Type::CUDNN_TYPE_DATA_TYPE, 1, (&raw const value).cast()) }
    }

    pub(super) fn mode(self, name: Name, value: sys::cudnnConvolutionMode_t) -> Fault<Self> {
        // SAFETY: CUDNN_TYPE_CONVOLUTION_MODE is cudnnConvolutionMode_t.
        unsafe { self.set(name, Type::CUDNN_TYPE_CONVOLUTION_MODE, 1, (&raw const value).cast()) }
    }

    pub(super) fn heuristic(self, name: Name, value: sys::cudnnBackendHeurMode_t) -> Fault<Self> {
        // SAFETY: CUDNN_TYPE_HEUR_MODE is cudnnBackendHeurMode_t.
        unsafe { self.set(name, Type::CUDNN_TYPE_HEUR_MODE, 1, (&raw const value).cast()) }
    }

    /// # Safety
    /// The handle is alive, and outlives this.
    pub(super) unsafe fn handle(self, name: Name, value: cudnnHandle_t) -> Fault<Self> {
        // SAFETY: CUDNN_TYPE_HANDLE is cudnnHandle_t.
        unsafe { self.set(name, Type::CUDNN_TYPE_HANDLE, 1, (&raw const value).cast()) }
    }

    pub(super) fn child(self, name: Name, value: &Descriptor) -> Fault<Self> {
        // SAFETY: CUDNN_TYPE_BACKEND_DESCRIPTOR is cudnnBackendDescriptor_t.
        unsafe {
            self.set(
                name,
                Type::CUDNN_TYPE_BACKEND_DESCRIPTOR,
                1,
                (&raw const value.raw).cast(),
            )
        }
    }

    /// Addresses on the device: cuDNN passes them on and does not read them here.
    pub(super) fn addresses(self, name: Name, values: &[u64]) -> Fault<Self> {
        // SAFETY: CUDNN_TYPE_VOID_PTR is void*, which has the 64 bits of a device address.
        unsafe { self.set(name, Type::CUDNN_TYPE_VOID_PTR, values.len(), values.as_ptr().cast()) }
    }

    /// # Safety
    /// At `values` there is room for `room` values of the type in C that `kind` stands for.
    unsafe fn get(&self, name: Name, kind: Type, room: usize, values: *mut c_void) -> Fault<usize> {
        let room = i64::try_from(room).map_err(|e| e.to_string())?;
        let mut count = 0_i64;
        // SAFETY: the room is the caller's promise.
        let status = unsafe { sys::cudnnBackendGetAttribute(self.raw, name, kind, room, &raw mut count, values) };
        accepted(status, || format!("give {name:?} of {:?}", self.kind))?;
        usize::try_from(count).map_err(|e| e.to_string())
    }

    /// One whole number.
    pub(super) fn long(&self, name: Name) -> Fault<i64> {
        let mut value = 0_i64;
        // SAFETY: CUDNN_TYPE_INT64 is int64_t.
        unsafe { self.get(name, Type::CUDNN_TYPE_INT64, 1, (&raw mut value).cast()) }?;
        Ok(value)
    }

    /// The numerical notes of an engine, as numbers: a later cuDNN has more of them than these bindings name.
    pub(super) fn notes(&self, name: Name) -> Fault<Vec<u32>> {
        const ROOM: usize = 32;
        let mut values = [0_u32; ROOM];
        // SAFETY: CUDNN_TYPE_NUMERICAL_NOTE is an enum in C, of 4 bytes.
        let count = unsafe { self.get(name, Type::CUDNN_TYPE_NUMERICAL_NOTE, ROOM, values.as_mut_ptr().cast()) }?;
        Ok(values[..count.min(ROOM)].to_vec())
    }

    /// The descriptors of an attribute that has any number of them.
    pub(super) fn children(&self, name: Name, kind: Kind) -> Fault<Vec<Descriptor>> {
        // The first call returns the maximum count; then that many descriptors, created beforehand, are filled in; fewer may
        // be used.
        // SAFETY: no room is passed, so nothing is written.
        let room = unsafe { self.get(name, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, ptr::null_mut()) }?;
        let mut all = (0..room).map(|_| Descriptor::new(kind)).collect::<Fault<Vec<_>>>()?;
        let mut raw: Vec<_> = all.iter().map(|d| d.raw).collect();
        // SAFETY: CUDNN_TYPE_BACKEND_DESCRIPTOR is cudnnBackendDescriptor_t, and these are live ones of the right kind.
        let count = unsafe { self.get(name, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, room, raw.as_mut_ptr().cast()) }?;
        all.truncate(count);
        Ok(all)
    }

    /// The one descriptor of an attribute.
    pub(super) fn only_child(&self, name: Name, kind: Kind) -> Fault<Descriptor> {
        let child = Descriptor::new(kind)?;
        let mut raw = child.raw;
        // SAFETY: CUDNN_TYPE_BACKEND_DESCRIPTOR is cudnnBackendDescriptor_t, and this is a live one of the right kind.
        unsafe { self.get(name, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, (&raw mut raw).cast()) }?;
        Ok(child)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: created by `new`, and destroyed here alone. An error could not be reported here.
        let _ = unsafe { sys::cudnnBackendDestroyDescriptor(self.raw) };
    }
}
