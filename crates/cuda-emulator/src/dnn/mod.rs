//! cuDNN's graph interface, for graphs of one convolution.

mod descriptor;

use crate::conv::{Conv, Pass};
use crate::driver::{SUCCESS as CUDA_SUCCESS, on_stream, unrecorded};
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

type Status = u32;
const SUCCESS: Status = 0;
const NOT_INITIALIZED: Status = 1001;
const BAD_PARAM: Status = 2000;
const NULL_POINTER: Status = 2002;
const NOT_FINALIZED: Status = 2004;
const SHAPE_MISMATCH: Status = 2008;
const ATTRIBUTE_TYPE: Status = 2010;
const DESCRIPTOR_TYPE: Status = 2012;
const NOT_SUPPORTED: Status = 3000;
const EXECUTION_FAILED: Status = 5000;

// Kinds of descriptors.
const CONVOLUTION: u32 = 1;
const ENGINE: u32 = 2;
const ENGINECFG: u32 = 3;
const ENGINEHEUR: u32 = 4;
const PLAN: u32 = 5;
const FILTER: u32 = 11;
const FORWARD: u32 = 10;
const DATA: u32 = 12;
const GRAPH: u32 = 15;
const PACK: u32 = 16;
const TENSOR: u32 = 17;

// Types of attributes.
const T_HANDLE: u32 = 0;
const T_DATA_TYPE: u32 = 1;
const T_INT64: u32 = 3;
const T_FLOAT: u32 = 4;
const T_POINTER: u32 = 6;
const T_MODE: u32 = 7;
const T_HEUR: u32 = 8;
const T_NOTE: u32 = 11;
const T_DESCRIPTOR: u32 = 15;

// Numerical notes.
const TENSOR_CORE: u32 = 0;
const NONDETERMINISTIC: u32 = 4;
const WINOGRAD: u32 = 5;

#[derive(Clone, Debug)]
enum Value {
    Longs(Vec<i64>),
    Words(Vec<u32>),
    Float(f32),
    Child(Arc<Descriptor>),
}

/// An engine: a way to run a convolution. Some exist to be rejected.
#[derive(Clone, Copy, Debug)]
struct Engine {
    number: i64,
    notes: &'static [u32],
    workspace: usize,
    /// Whether building its plan fails because it does not support the problem.
    refuses: bool,
}

const fn engine(number: i64, notes: &'static [u32], workspace: usize) -> Engine {
    Engine {
        number,
        notes,
        workspace,
        refuses: false,
    }
}

const REFUSING: Engine = Engine {
    refuses: true,
    ..engine(33, &[TENSOR_CORE], 0)
};
const ENGINES: [Engine; 7] = [
    engine(41, &[TENSOR_CORE, NONDETERMINISTIC], 0),
    engine(5, &[WINOGRAD], 0),
    REFUSING,
    engine(62, &[TENSOR_CORE], 3 << 20),
    engine(45, &[TENSOR_CORE], 0),
    // More workspace than allowed.
    engine(44, &[TENSOR_CORE], 8 << 30),
    engine(1, &[], 100),
];

#[derive(Clone, Debug, Default)]
struct Descriptor {
    kind: u32,
    attributes: HashMap<u32, Value>,
    finished: bool,
    engine: Option<Engine>,
    conv: Option<Conv>,
}

/// The last handle that was issued, and all descriptors by handle: unfinalised ones may change, the others are
/// shared.
type Descriptors = (u64, HashMap<u64, Arc<Descriptor>>);

static DESCRIPTORS: LazyLock<Mutex<Descriptors>> = LazyLock::new(|| Mutex::new((0x10_0000, HashMap::new())));
static HANDLES: LazyLock<Mutex<HashMap<u64, u64>>> = LazyLock::new(Mutex::default);
static LAST: Mutex<String> = Mutex::new(String::new());

fn refuse(status: Status, why: impl Into<String>) -> Status {
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = why.into();
    status
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnGetVersion() -> usize {
    92_801
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnGetErrorString(status: Status) -> *const c_char {
    let text: &'static CStr = match status {
        SUCCESS => c"CUDNN_STATUS_SUCCESS",
        NOT_INITIALIZED => c"CUDNN_STATUS_NOT_INITIALIZED",
        NULL_POINTER => c"CUDNN_STATUS_BAD_PARAM_NULL_POINTER",
        NOT_FINALIZED => c"CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED",
        SHAPE_MISMATCH => c"CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH",
        ATTRIBUTE_TYPE => c"CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE",
        DESCRIPTOR_TYPE => c"CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE",
        2000..3000 => c"CUDNN_STATUS_BAD_PARAM",
        3000..4000 => c"CUDNN_STATUS_NOT_SUPPORTED",
        _ => c"CUDNN_STATUS_EXECUTION_FAILED",
    };
    text.as_ptr()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnGetLastErrorString(message: *mut c_char, room: usize) {
    let text = std::mem::take(&mut *LAST.lock().unwrap_or_else(PoisonError::into_inner));
    let len = text.len().min(room.saturating_sub(1));
    // SAFETY: the caller has that much room.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), message, len);
        *message.add(len) = 0;
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnCreate(handle: *mut u64) -> Status {
    if unrecorded("the start of cuDNN", |_| CUDA_SUCCESS) != CUDA_SUCCESS {
        return refuse(NOT_INITIALIZED, "the thread has no context, or is recording");
    }
    let mut handles = HANDLES.lock().unwrap_or_else(PoisonError::into_inner);
    let new = 0x2000 + 16 * handles.len() as u64;
    handles.insert(new, 0);
    // SAFETY: the caller has room for a handle.
    unsafe { *handle = new };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnDestroy(_handle: u64) -> Status {
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnSetStream(handle: u64, stream: u64) -> Status {
    let mut handles = HANDLES.lock().unwrap_or_else(PoisonError::into_inner);
    match handles.get_mut(&handle) {
        Some(its) => {
            *its = stream;
            SUCCESS
        }
        None => refuse(BAD_PARAM, "no such handle"),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnBackendCreateDescriptor(kind: u32, descriptor: *mut u64) -> Status {
    let mut all = DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner);
    all.0 += 16;
    let handle = all.0;
    let new = Descriptor {
        kind,
        ..Descriptor::default()
    };
    all.1.insert(handle, Arc::new(new));
    // SAFETY: the caller has room for a handle.
    unsafe { *descriptor = handle };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnBackendDestroyDescriptor(descriptor: u64) -> Status {
    let mut all = DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner);
    match all.1.remove(&descriptor) {
        Some(_) => SUCCESS,
        None => refuse(BAD_PARAM, "no such descriptor"),
    }
}

/// The kind of descriptor that an attribute belongs to, and its type.
fn belongs(name: u32) -> Option<(&'static [u32], u32)> {
    Some(match name {
        100 => (&[CONVOLUTION], T_DATA_TYPE),
        101 => (&[CONVOLUTION], T_MODE),
        102..=106 => (&[CONVOLUTION], T_INT64),
        200 => (&[ENGINEHEUR], T_HEUR),
        201 => (&[ENGINEHEUR], T_DESCRIPTOR),
        400 => (&[PLAN], T_HANDLE),
        401 => (&[PLAN], T_DESCRIPTOR),
        700 | 701 => (&[FORWARD], T_FLOAT),
        702..=705 => (&[FORWARD], T_DESCRIPTOR),
        706 | 707 => (&[DATA], T_FLOAT),
        708..=711 => (&[DATA], T_DESCRIPTOR),
        712 | 713 => (&[FILTER], T_FLOAT),
        714..=717 => (&[FILTER], T_DESCRIPTOR),
        800 => (&[GRAPH], T_HANDLE),
        801 => (&[GRAPH], T_DESCRIPTOR),
        900 | 902 | 903 | 906 => (&[TENSOR], T_INT64),
        901 => (&[TENSOR], T_DATA_TYPE),
        1000 => (&[PACK], T_INT64),
        1001 | 1003 => (&[PACK], T_POINTER),
        _ => return None,
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnBackendSetAttribute(
    descriptor: u64,
    name: u32,
    kind: u32,
    count: i64,
    values: *const c_void,
) -> Status {
    let mut all = DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(len) = usize::try_from(count) else {
        return refuse(BAD_PARAM, "a count below 0");
    };
    if values.is_null() || len == 0 {
        return refuse(NULL_POINTER, "no values");
    }
    let value = match kind {
        T_INT64 | T_POINTER | T_HANDLE => {
            // SAFETY: the caller has so many of this type.
            Value::Longs(unsafe { std::slice::from_raw_parts(values.cast(), len) }.to_vec())
        }
        T_DATA_TYPE | T_MODE | T_HEUR => {
            // SAFETY: as above.
            Value::Words(unsafe { std::slice::from_raw_parts(values.cast(), len) }.to_vec())
        }
        // SAFETY: as above.
        T_FLOAT => Value::Float(unsafe { *values.cast() }),
        T_DESCRIPTOR => {
            // SAFETY: as above.
            match all.1.get(unsafe { &*values.cast::<u64>() }) {
                None => return refuse(BAD_PARAM, "no such descriptor"),
                Some(child) if !child.finished => return refuse(NOT_FINALIZED, "a descriptor that is not finalised"),
                Some(child) => Value::Child(child.clone()),
            }
        }
        other => {
            return refuse(
                ATTRIBUTE_TYPE,
                format!("the emulated cuDNN knows no attributes of type {other}"),
            );
        }
    };
    let Some(own) = all.1.get_mut(&descriptor).and_then(Arc::get_mut) else {
        return refuse(BAD_PARAM, "no such descriptor, or one that is in use");
    };
    if own.finished {
        return refuse(BAD_PARAM, "the descriptor is finalised");
    }
    match belongs(name) {
        None => {
            return refuse(
                NOT_SUPPORTED,
                format!("the emulated cuDNN does not know attribute {name}"),
            );
        }
        Some((kinds, _)) if !kinds.contains(&own.kind) => {
            return refuse(
                DESCRIPTOR_TYPE,
                format!("attribute {name} does not belong to kind {}", own.kind),
            );
        }
        Some((_, is)) if is != kind => {
            return refuse(ATTRIBUTE_TYPE, format!("attribute {name} is of type {is}, not {kind}"));
        }
        Some(_) => {}
    }
    own.attributes.insert(name, value);
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnBackendFinalize(descriptor: u64) -> Status {
    let mut all = DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(own) = all.1.get_mut(&descriptor).and_then(Arc::get_mut) else {
        return refuse(BAD_PARAM, "no such descriptor");
    };
    if own.finished {
        return refuse(BAD_PARAM, "the descriptor is finalised");
    }
    match own.finish() {
        Ok(()) => {
            own.finished = true;
            SUCCESS
        }
        Err(why) if own.kind == PLAN => refuse(NOT_SUPPORTED, why),
        Err(why) => refuse(BAD_PARAM, why),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnBackendGetAttribute(
    descriptor: u64,
    name: u32,
    kind: u32,
    room: i64,
    count: *mut i64,
    values: *mut c_void,
) -> Status {
    let mut all = DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(own) = all.1.get(&descriptor).cloned() else {
        return refuse(BAD_PARAM, "no such descriptor");
    };
    if !own.finished {
        return refuse(NOT_FINALIZED, "the descriptor is not finalised");
    }
    let room = usize::try_from(room).unwrap_or(0);
    let children: Vec<Descriptor> = match (own.kind, name, kind) {
        (ENGINE, 1301, T_INT64) | (PLAN, 402, T_INT64) => {
            let Some(engine) = own.engine.filter(|_| room > 0) else {
                return refuse(BAD_PARAM, "no room");
            };
            let value = if own.kind == PLAN {
                engine.workspace as i64
            } else {
                engine.number
            };
            // SAFETY: the caller has room for a count and one value.
            unsafe {
                *count = 1;
                *values.cast::<i64>() = value;
            }
            return SUCCESS;
        }
        (ENGINE, 1303, T_NOTE) => {
            let notes = own.engine.map_or(&[][..], |e| e.notes);
            let some = notes.len().min(room);
            // SAFETY: the caller has room for a count and `room` values.
            unsafe {
                *count = some as i64;
                std::ptr::copy_nonoverlapping(notes.as_ptr(), values.cast::<u32>(), some);
            }
            return SUCCESS;
        }
        (ENGINEHEUR, 202, T_DESCRIPTOR) => ENGINES
            .iter()
            .map(|&engine| Descriptor {
                kind: ENGINECFG,
                finished: true,
                engine: Some(engine),
                conv: own.conv.clone(),
                ..Descriptor::default()
            })
            .collect(),
        (ENGINECFG, 300, T_DESCRIPTOR) => vec![Descriptor {
            kind: ENGINE,
            finished: true,
            engine: own.engine,
            ..Descriptor::default()
        }],
        _ => {
            return refuse(
                BAD_PARAM,
                format!("attribute {name} of kind {} and type {kind}", own.kind),
            );
        }
    };
    if room == 0 {
        // SAFETY: the caller has room for a count.
        unsafe { *count = children.len() as i64 };
        return SUCCESS;
    }
    let some = children.len().min(room);
    for (i, child) in children.into_iter().take(some).enumerate() {
        // SAFETY: the caller has `room` handles there.
        let handle = unsafe { *values.cast::<u64>().add(i) };
        match all.1.get_mut(&handle) {
            Some(to) if to.kind == child.kind && !to.finished => *to = Arc::new(child),
            _ => return refuse(DESCRIPTOR_TYPE, "a descriptor to be filled in is of another kind"),
        }
    }
    // SAFETY: the caller has room for a count.
    unsafe { *count = some as i64 };
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudnnBackendExecute(handle: u64, plan: u64, pack: u64) -> Status {
    let stream = HANDLES
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&handle)
        .copied();
    let Some(stream) = stream else {
        return refuse(BAD_PARAM, "no such handle");
    };
    let (plan, pack) = {
        let all = DESCRIPTORS.lock().unwrap_or_else(PoisonError::into_inner);
        match (all.1.get(&plan).cloned(), all.1.get(&pack).cloned()) {
            (Some(plan), Some(pack)) => (plan, pack),
            _ => return refuse(BAD_PARAM, "no such descriptor"),
        }
    };
    if !plan.finished || !pack.finished {
        return refuse(NOT_FINALIZED, "a descriptor is not finalised");
    }
    let (Some(conv), Some(engine)) = (plan.conv.clone(), plan.engine) else {
        return refuse(BAD_PARAM, "no plan");
    };
    let (Ok(&[x, w, y]), Ok(&[workspace])) = (pack.longs(1001), pack.longs(1003)) else {
        return refuse(BAD_PARAM, "three addresses and a workspace");
    };
    let at = [x, w, y].map(|a| a as u64);
    let status = on_stream(stream, |gpu| {
        let what = format!("{:?} convolution of {:?} with {:?}", conv.pass, conv.x, conv.w);
        gpu.work(stream, what, move |memory| {
            if engine.workspace > 0 {
                memory
                    .check(workspace as u64, engine.workspace)
                    .map_err(|e| format!("workspace: {e}"))?;
                // No one may rely on the workspace's contents afterwards.
                // SAFETY: checked.
                unsafe { (workspace as *mut u8).write_bytes(0xFF, engine.workspace) };
            }
            conv.run(memory, at)
        });
        CUDA_SUCCESS
    });
    match status {
        CUDA_SUCCESS => SUCCESS,
        _ => refuse(EXECUTION_FAILED, "the device has failed, or what it records is broken"),
    }
}
