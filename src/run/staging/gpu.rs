//! A GPU: batches are gathered in page-locked memory, and copied on a stream of their own.

use super::{Buffer, Sent, Staging};
use anyhow::Result;
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, Device, Storage, Tensor};
use glad_cuda::driver::{CudaGpu, Pinned, Sent as Copied, Span, Timer, Upload};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) struct GpuStaging {
    device: CudaDevice,
    gpu: CudaGpu,
    upload: Upload,
    clock: Mutex<Clock>,
}

#[derive(Default)]
struct Clock {
    running: Option<Timer>,
    /// Steps that were not seen to be over.
    pending: VecDeque<Span>,
    busy: Duration,
}

impl GpuStaging {
    pub(super) fn new(device: &CudaDevice) -> Result<GpuStaging> {
        let gpu = CudaGpu::of(&device.cuda_stream())?;
        Ok(GpuStaging {
            device: device.clone(),
            upload: Upload::new(&gpu)?,
            gpu,
            clock: Mutex::default(),
        })
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        // A panic elsewhere leaves it whole.
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Staging for GpuStaging {
    fn device(&self) -> Device {
        Device::Cuda(self.device.clone())
    }

    fn buffer(&self, len: usize) -> Result<Box<dyn Buffer>> {
        Ok(Box::new(Filling {
            bytes: self.upload.buffer(len)?,
            filled: 0,
            upload: self.upload.clone(),
            device: self.device.clone(),
        }))
    }

    fn begin(&self) -> Result<()> {
        self.clock().running = Some(Timer::start(self.gpu.stream())?);
        Ok(())
    }

    fn end(&self) -> Result<()> {
        let mut clock = self.clock();
        if let Some(timer) = clock.running.take() {
            clock.pending.push_back(timer.stop(self.gpu.stream())?);
        }
        Ok(())
    }

    fn busy(&self) -> Result<Option<Duration>> {
        let mut clock = self.clock();
        while let Some(span) = clock.pending.front() {
            if !span.is_over()? {
                break;
            }
            let took = Duration::from_secs_f64(span.milliseconds()?.max(0.0) / 1e3);
            clock.busy += took;
            clock.pending.pop_front();
        }
        Ok(Some(clock.busy))
    }
}

struct Filling {
    bytes: Pinned,
    filled: usize,
    upload: Upload,
    device: CudaDevice,
}

struct Travelling {
    sent: Copied,
    device: CudaDevice,
}

impl Buffer for Filling {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    fn send(self: Box<Self>) -> Result<Box<dyn Sent>> {
        Ok(Box::new(Travelling {
            sent: self.upload.send(self.bytes)?,
            device: self.device,
        }))
    }
}

impl Sent for Travelling {
    fn arrive(self: Box<Self>, shape: &[usize]) -> Result<Tensor> {
        let slice = self.sent.arrive()?;
        let room = slice.len();
        let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(slice, self.device));
        let all = Tensor::from_storage(storage, room, BackpropOp::none(), false);
        // Videos that were left out leave room at the end.
        Ok(all.narrow(0, 0, shape.iter().product())?.reshape(shape)?)
    }
}
