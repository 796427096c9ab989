//! The way of a batch's bytes to the device, and how busy the device is.

#[cfg(feature = "cuda")]
mod gpu;

use anyhow::Result;
use candle_core::{Device, Tensor};
use std::sync::Arc;
use std::time::Duration;

/// What the data side needs of a device: memory to gather a batch in, from which its bytes travel while the device computes.
pub(super) trait Staging: Send + Sync {
    /// An empty buffer with room for `len` bytes. Any thread may ask.
    ///
    /// # Errors
    /// There is no such memory left.
    fn buffer(&self, len: usize) -> Result<Box<dyn Buffer>>;

    /// The device.
    fn device(&self) -> Device;

    /// What is asked of the device from now on is the work that [`Staging::busy`] counts.
    ///
    /// # Errors
    /// The device failed.
    fn begin(&self) -> Result<()> {
        Ok(())
    }

    /// All of that has been asked.
    ///
    /// # Errors
    /// The device failed.
    fn end(&self) -> Result<()> {
        Ok(())
    }

    /// How long the device has worked so far, as far as it is known without waiting; `None` where the computation
    /// is this process's own.
    ///
    /// # Errors
    /// The device failed.
    fn busy(&self) -> Result<Option<Duration>> {
        Ok(None)
    }
}

/// Bytes of a batch that are being gathered.
pub(super) trait Buffer: Send {
    /// Adds bytes behind those that are there. There is room for them.
    fn add(&mut self, bytes: &[u8]);

    /// Sends all bytes on their way, and returns at once.
    ///
    /// # Errors
    /// The device failed, or has no memory left.
    fn send(self: Box<Self>) -> Result<Box<dyn Sent>>;
}

/// Bytes on their way to the device.
pub(super) trait Sent: Send {
    /// Them, as a tensor of bytes: what the device is asked from now on comes after their arrival. The shape has as many
    /// elements as bytes were added.
    ///
    /// # Errors
    /// The device failed.
    fn arrive(self: Box<Self>, shape: &[usize]) -> Result<Tensor>;
}

/// The way to `device`.
///
/// # Errors
/// The device failed.
pub(super) fn staging(device: &Device) -> Result<Arc<dyn Staging>> {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(cuda) = device {
        return Ok(Arc::new(gpu::GpuStaging::new(cuda)?));
    }
    Ok(Arc::new(Host(device.clone())))
}

/// Plain memory. On the CPU it becomes the tensor itself, without a copy, and comes back to the allocator with it, which keeps
/// it for the next batch (see `keep_freed_memory`).
struct Host(Device);

struct Plain {
    bytes: Vec<u8>,
    device: Device,
}

impl Staging for Host {
    fn device(&self) -> Device {
        self.0.clone()
    }

    fn buffer(&self, len: usize) -> Result<Box<dyn Buffer>> {
        Ok(Box::new(Plain {
            bytes: Vec::with_capacity(len),
            device: self.0.clone(),
        }))
    }
}

impl Buffer for Plain {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn send(self: Box<Self>) -> Result<Box<dyn Sent>> {
        Ok(self)
    }
}

impl Sent for Plain {
    fn arrive(self: Box<Self>, shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::from_vec(self.bytes, shape, &self.device)?)
    }
}
