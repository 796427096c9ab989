//! Where a run computes: the CPU or a GPU, and how much of the GPU's memory it takes.

use anyhow::{Context, Result, bail};
use candle_core::{Device, DeviceLocation};

/// Where the device of a name is, `cpu` or `cuda:0` for the first GPU, whether it is there or not.
///
/// # Errors
/// No device has such a name.
pub fn location(name: &str) -> Result<DeviceLocation> {
    if name == "cpu" {
        return Ok(DeviceLocation::Cpu);
    }
    match name.strip_prefix("cuda:").and_then(|n| n.parse().ok()) {
        Some(gpu_id) => Ok(DeviceLocation::Cuda { gpu_id }),
        None => bail!("there is no device `{name}`; it is `cpu` or `cuda:0`"),
    }
}

/// The device of a name.
///
/// # Errors
/// There is no device of such a name, this program was built without the feature `cuda`, or the driver refuses the GPU.
pub fn device(name: &str) -> Result<Device> {
    let DeviceLocation::Cuda { gpu_id } = location(name)? else {
        return Ok(Device::Cpu);
    };
    if cfg!(not(feature = "cuda")) {
        bail!(
            "device `{name}` needs a program that was built with the feature `cuda` (README.md, \"On a GPU\"); \
             this one has `cpu` alone"
        );
    }
    // On one stream, whichever thread asks.
    let device = Device::new_cuda_with_stream(gpu_id).with_context(|| format!("device `{name}` is not to be had"))?;
    keep_plans(&device)?;
    Ok(device)
}

/// Has the choices among cuDNN's kernels kept next to what runs share: so runs on one machine repeat each other bit for bit,
/// and start sooner.
#[cfg(feature = "cuda")]
fn keep_plans(device: &Device) -> Result<()> {
    // Without, the kernels are chosen anew by each run.
    let Some(folder) = super::cache_folder().filter(|f| std::fs::create_dir_all(f).is_ok()) else {
        return Ok(());
    };
    if let Some(cuda) = cuda(device)? {
        cuda.keep_plans(&folder.join("cudnn-plans.txt"))?;
    }
    Ok(())
}

#[cfg(not(feature = "cuda"))]
fn keep_plans(_: &Device) -> Result<()> {
    Ok(())
}

/// What distinguishes a device from others on which the same computation may give other bits; empty for the CPU, whose
/// instruction set is known elsewhere.
///
/// # Errors
/// The driver does not report it.
pub(super) fn device_identity(device: &Device) -> Result<String> {
    #[cfg(feature = "cuda")]
    if let Some(cuda) = cuda(device)? {
        return Ok(cuda.identity()?);
    }
    let _ = device;
    Ok(String::new())
}

/// What this process took of a GPU's memory, at most, since it was last asked to count anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Bytes that tensors and workspaces took at a time.
    pub used: u64,
    /// Bytes that were held for them, freed ones that are kept included.
    pub held: u64,
}

/// The peaks of a GPU's memory; `None` on the CPU.
///
/// # Errors
/// The driver does not report it.
#[cfg(feature = "cuda")]
pub fn device_memory(device: &Device) -> Result<Option<DeviceMemory>> {
    let Some(cuda) = cuda(device)? else { return Ok(None) };
    Ok(Some(DeviceMemory {
        used: cuda.peak_bytes()?,
        held: cuda.peak_held_bytes()?,
    }))
}

/// The peaks of a GPU's memory; `None` on the CPU.
///
/// # Errors
/// The driver does not report it.
#[cfg(not(feature = "cuda"))]
pub fn device_memory(_: &Device) -> Result<Option<DeviceMemory>> {
    Ok(None)
}

/// Counts [`device_memory`] anew.
///
/// # Errors
/// The driver refuses, or something queued before failed.
pub fn reset_device_memory(device: &Device) -> Result<()> {
    #[cfg(feature = "cuda")]
    if let Some(cuda) = cuda(device)? {
        cuda.reset_peak()?;
    }
    let _ = device;
    Ok(())
}

/// Returns freed memory that is kept to the GPU. Waits for it.
///
/// # Errors
/// The driver refuses, or something queued before failed.
pub fn release_device_memory(device: &Device) -> Result<()> {
    #[cfg(feature = "cuda")]
    if let Some(cuda) = cuda(device)? {
        cuda.release_kept()?;
    }
    let _ = device;
    Ok(())
}

/// How often recorded work (a CUDA graph) was launched on a GPU so far; `None` on the CPU.
///
/// # Errors
/// The GPU cannot be used.
pub(super) fn graphs_launched(device: &Device) -> Result<Option<u64>> {
    #[cfg(feature = "cuda")]
    if let Some(cuda) = cuda(device)? {
        return Ok(Some(cuda.graphs_launched()));
    }
    let _ = device;
    Ok(None)
}

#[cfg(feature = "cuda")]
fn cuda(device: &Device) -> Result<Option<glad_cuda::driver::CudaGpu>> {
    match device {
        Device::Cuda(d) => Ok(Some(glad_cuda::driver::CudaGpu::of(&d.cuda_stream())?)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_a_device_and_other_names_are_reported() {
        assert!(device("cpu").unwrap().is_cpu());
        for name in ["gpu", "cuda", "cuda:x", ""] {
            let e = device(name).unwrap_err().to_string();
            assert_eq!(e, format!("there is no device `{name}`; it is `cpu` or `cuda:0`"));
        }
        assert_eq!(device_memory(&Device::Cpu).unwrap(), None);
        reset_device_memory(&Device::Cpu).unwrap();
        release_device_memory(&Device::Cpu).unwrap();
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_gpu_without_the_feature_is_reported() {
        let e = device("cuda:0").unwrap_err().to_string();
        assert!(e.contains("feature `cuda`"), "{e}");
    }
}
