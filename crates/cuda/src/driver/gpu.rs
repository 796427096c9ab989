//! A GPU, and the one stream on which its work runs in order.

use super::cudnn::Cudnn;
use super::fault::Doing;
use super::memory::{CudaMemory, Element, whole, whole_mut};
use super::modules::Modules;
use super::pool;
use super::queue::Queue;
use crate::{Arg, Error, Gpu, In, Launch, Number, Out, Result};
use cudarc::driver::sys::{self, CUdevice_attribute};
use cudarc::driver::{CudaContext, CudaSlice, CudaStream, DeviceRepr};
use half::bf16;
use std::ffi::c_void;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A GPU with its stream, kernels, and convolutions. Clones refer to the same GPU.
#[derive(Clone)]
pub struct CudaGpu(Arc<Inner>);

struct Inner {
    queue: Queue,
    modules: Arc<Modules>,
    cudnn: Mutex<Cudnn>,
    multiprocessors: usize,
    /// How often a recorded graph was launched.
    launched: AtomicU64,
}

/// The GPUs requested so far. They stay until the process ends, with their modules, plans and workspace:
/// every step uses them.
static GPUS: Mutex<Vec<CudaGpu>> = Mutex::new(Vec::new());

impl CudaGpu {
    /// The GPU of a stream, which is a Candle device's (`CudaDevice::cuda_stream`). The same stream always returns
    /// the same GPU, so every operation may call this.
    ///
    /// The first call loads the kernels into the context, makes its memory pool keep freed memory, and turns off `cudarc`'s
    /// tracking of slices by events (two events a tensor). That tracking orders the uses of a slice on several streams; here
    /// all memory is used on one stream, and [`Upload`](super::Upload), which has a second one, orders its own copies.
    ///
    /// # Errors
    /// The stream is CUDA's per-thread default, which differs on each thread (`Device::new_cuda` creates it; use
    /// `Device::new_cuda_with_stream`); or the driver cannot load the kernels.
    pub fn of(stream: &Arc<CudaStream>) -> Result<CudaGpu> {
        // A panic elsewhere leaves the list valid: it is only pushed to.
        let mut gpus = GPUS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gpu) = gpus.iter().find(|c| c.stream() == stream) {
            return Ok(gpu.clone());
        }
        let context = stream.context();
        let modules = gpus
            .iter()
            .find(|c| c.context() == context)
            .map(|c| c.0.modules.clone());
        let gpu = CudaGpu::new(stream, modules)?;
        gpus.push(gpu.clone());
        Ok(gpu)
    }

    fn new(stream: &Arc<CudaStream>, modules: Option<Arc<Modules>>) -> Result<CudaGpu> {
        const PER_THREAD: usize = 2;
        if stream.cu_stream() as usize == PER_THREAD {
            return Err(Error::Device(
                "the device was made by `Device::new_cuda`, whose stream is another one on each thread: make it by \
                 `Device::new_cuda_with_stream`"
                    .into(),
            ));
        }
        let context = stream.context();
        context.bind_to_thread().doing(|| "choose the device".into())?;
        // SAFETY: slices of this context are used on its one stream only; Upload, which copies on another, makes each
        // stream wait for the other where it must.
        unsafe { context.disable_event_tracking() };
        pool::keep_freed_memory(context)?;
        let multiprocessors = context
            .attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
            .doing(|| "count the device's multiprocessors".into())?;
        Ok(CudaGpu(Arc::new(Inner {
            queue: Queue::new(stream.clone()),
            modules: match modules {
                Some(m) => m,
                None => Arc::new(Modules::load(context)?),
            },
            cudnn: Mutex::new(Cudnn::new()?),
            multiprocessors: usize::try_from(multiprocessors).unwrap_or(1).max(1),
            launched: AtomicU64::new(0),
        })))
    }

    /// The stream on which everything is queued.
    pub fn stream(&self) -> &Arc<CudaStream> {
        self.0.queue.stream()
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.0.queue
    }

    pub(super) fn context(&self) -> &Arc<CudaContext> {
        self.0.queue.context()
    }

    /// Binds the context to the calling thread, as every driver call requires.
    pub(super) fn bind(&self) -> Result<()> {
        self.0.queue.bind()
    }

    /// Whether the GPU's work is being [recorded](Self::record) into a CUDA graph, on any thread, instead of run.
    pub fn is_recording(&self) -> bool {
        self.0.queue.is_recording()
    }

    /// How often [recorded](Self::record) graphs were launched so far.
    pub fn graphs_launched(&self) -> u64 {
        self.0.launched.load(Ordering::Relaxed)
    }

    pub(super) fn count_launch(&self) {
        self.0.launched.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether it was recording before.
    pub(super) fn set_recording(&self, on: bool) -> bool {
        self.0.queue.set_recording(on)
    }

    /// Whether convolutions must give the same bits for the same input (the default). Otherwise cuDNN may add up in
    /// an order that differs from run to run.
    pub fn set_deterministic(&self, on: bool) {
        self.lock_cudnn().set_deterministic(on);
    }

    /// Caches cuDNN's autotuned plans in a file, and uses the plans found there without timing them: with
    /// it, runs on one machine give the same bits and start faster. Call it before the first convolution. A file
    /// of another device or cuDNN version is overwritten.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn keep_plans(&self, path: &Path) -> Result<()> {
        let name = self.context().name().doing(|| "tell the device's name".into())?;
        let device = format!("{name}, {} multiprocessors", self.0.multiprocessors);
        self.lock_cudnn().keep_choices(path, &device)
    }

    /// The device's name and size and the version of cuDNN: the bits of a result depend on them.
    ///
    /// # Errors
    /// The driver does not report the name.
    pub fn identity(&self) -> Result<String> {
        let name = self.context().name().doing(|| "tell the device's name".into())?;
        let cudnn = cudarc::cudnn::result::get_version();
        Ok(format!(
            "{name}, {} multiprocessors, cuDNN {cudnn}",
            self.0.multiprocessors
        ))
    }

    pub(super) fn lock_cudnn(&self) -> MutexGuard<'_, Cudnn> {
        // A panic elsewhere leaves the plans valid: they are inserted complete.
        self.0.cudnn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A part of a tensor's memory, for reading.
    ///
    /// # Errors
    /// The part is not inside the slice, or the slice belongs to another stream.
    pub fn input<'a, T: Element>(&self, slice: &'a CudaSlice<T>, part: Range<usize>) -> Result<In<'a>> {
        self.owns(slice, &part)?;
        let all = whole(slice);
        // SAFETY: a part of a slice that is borrowed for the same lifetime.
        Ok(unsafe { In::new(all.address() + offset::<T>(&part), part.len(), T::NUMBER) })
    }

    /// A part of a tensor's memory, for writing.
    ///
    /// # Errors
    /// The part is not inside the slice, or the slice belongs to another stream.
    pub fn output<'a, T: Element>(&self, slice: &'a mut CudaSlice<T>, part: Range<usize>) -> Result<Out<'a>> {
        self.owns(slice, &part)?;
        let all = whole_mut(slice);
        // SAFETY: a part of a slice that is mutably borrowed for the same lifetime.
        Ok(unsafe { Out::new(all.address() + offset::<T>(&part), part.len(), T::NUMBER) })
    }

    fn owns<T>(&self, slice: &CudaSlice<T>, part: &Range<usize>) -> Result<()> {
        if slice.stream() != self.stream() {
            return Err(Error::Device("a tensor of another device or stream".into()));
        }
        if part.start > part.end || part.end > slice.len() {
            return Err(Error::Device(format!(
                "the part {part:?} of a tensor of {} numbers",
                slice.len()
            )));
        }
        Ok(())
    }

    /// Streaming multiprocessors: at least as many blocks of a kernel run in parallel.
    pub fn multiprocessors(&self) -> usize {
        self.0.multiprocessors
    }

    /// Waits until all queued work is done.
    ///
    /// # Errors
    /// Something queued before failed.
    pub fn synchronize(&self) -> Result<()> {
        self.0.queue.synchronize()
    }

    /// Memory for `len` values of a type.
    pub(super) fn slice<T: DeviceRepr>(&self, len: usize) -> Result<CudaSlice<T>> {
        self.0.queue.slice(len)
    }

    /// The most bytes that tensors and workspaces held at one time since the last [`reset_peak`](Self::reset_peak) (Candle's
    /// too; not what CUDA and its libraries use themselves). With recorded graphs it is an upper bound:
    /// it counts what is mapped for a graph whether or not it runs, and the two peaks, which are added, may have
    /// occurred at different times.
    ///
    /// # Errors
    /// The device has no memory pools.
    pub fn peak_bytes(&self) -> Result<u64> {
        pool::peak_used(self.context())
    }

    /// As [`peak_bytes`](Self::peak_bytes), including freed memory that the pool keeps.
    ///
    /// # Errors
    /// The device has no memory pools.
    pub fn peak_held_bytes(&self) -> Result<u64> {
        pool::peak_held(self.context())
    }

    /// Resets [`peak_bytes`](Self::peak_bytes) and [`peak_held_bytes`](Self::peak_held_bytes) to the memory in use now.
    ///
    /// # Errors
    /// The device has no memory pools.
    pub fn reset_peak(&self) -> Result<()> {
        pool::reset_peaks(self.context())
    }

    /// Returns freed memory that the pool keeps to the device, for other programs. Waits until all queued work is done.
    ///
    /// # Errors
    /// The device has no memory pools, or something queued before failed.
    pub fn release_kept(&self) -> Result<()> {
        self.0.queue.release_kept()
    }
}

fn offset<T>(part: &Range<usize>) -> u64 {
    (part.start * size_of::<T>()) as u64
}

impl Gpu for CudaGpu {
    type Memory = CudaMemory;

    fn alloc(&self, len: usize, number: Number) -> Result<CudaMemory> {
        Ok(match number {
            Number::F32 => CudaMemory::F32(self.slice::<f32>(len)?),
            Number::Bf16 => CudaMemory::Bf16(self.slice::<bf16>(len)?),
            Number::U8 => CudaMemory::U8(self.slice::<u8>(len)?),
            Number::U32 => CudaMemory::U32(self.slice::<u32>(len)?),
        })
    }

    unsafe fn launch(&self, launch: &Launch, args: &[Arg<'_>]) -> Result<()> {
        let kernel = self.0.modules.kernel(launch, args)?;
        self.bind()?;
        let mut pointers: Vec<*mut c_void> = args.iter().map(pointer).collect();
        let [gx, gy, gz] = launch.grid;
        let [bx, by, bz] = launch.block;
        // SAFETY: the kernel was found in a module of this context, and takes arguments of this number and these sizes (`kernel`
        // checked); that their meaning matches is the caller's promise. The driver copies them before it
        // returns.
        unsafe {
            sys::cuLaunchKernel(
                kernel,
                gx,
                gy,
                gz,
                bx,
                by,
                bz,
                0,
                self.stream().cu_stream(),
                pointers.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        }
        .result()
        .doing(|| {
            format!(
                "launch `{}` of {}.cu ({gx} × {gy} × {gz} blocks of {bx} × {by} × {bz} threads)",
                launch.kernel, launch.module
            )
        })
    }
}

/// Where an argument's bytes are.
fn pointer(arg: &Arg<'_>) -> *mut c_void {
    match arg {
        Arg::Address(v) | Arg::U64(v) => (&raw const *v).cast_mut().cast(),
        Arg::U32(v) => (&raw const *v).cast_mut().cast(),
        Arg::I32(v) => (&raw const *v).cast_mut().cast(),
        Arg::F32(v) => (&raw const *v).cast_mut().cast(),
        Arg::Words(words) => words.as_ptr().cast_mut().cast(),
    }
}
