//! Device time measured by events, without waiting.

use super::fault::Doing;
use crate::Result;
use cudarc::driver::sys::CUevent_flags::CU_EVENT_DEFAULT;
use cudarc::driver::{CudaEvent, CudaStream};

/// A started measurement.
#[derive(Debug)]
pub struct Timer {
    start: CudaEvent,
}

/// A finished measurement.
#[derive(Debug)]
pub struct Span {
    start: CudaEvent,
    end: CudaEvent,
}

fn mark(stream: &CudaStream) -> Result<CudaEvent> {
    stream
        .record_event(Some(CU_EVENT_DEFAULT))
        .doing(|| "record an event".into())
}

impl Timer {
    /// Starts at the work that is queued on a stream next.
    ///
    /// # Errors
    /// The driver fails, or something queued before failed.
    pub fn start(stream: &CudaStream) -> Result<Timer> {
        Ok(Timer { start: mark(stream)? })
    }

    /// Stops after the work that was queued last on the same stream.
    ///
    /// # Errors
    /// The driver fails, or something queued before failed.
    pub fn stop(self, stream: &CudaStream) -> Result<Span> {
        Ok(Span {
            start: self.start,
            end: mark(stream)?,
        })
    }
}

impl Span {
    /// Whether the device has reached its end.
    ///
    /// # Errors
    /// Something queued before failed.
    pub fn is_over(&self) -> Result<bool> {
        let context = self.end.context();
        context.bind_to_thread().doing(|| "choose the device".into())?;
        self.end.try_is_complete().doing(|| "ask for an event".into())
    }

    /// The time on the device, including idle time. Waits for the end.
    ///
    /// # Errors
    /// Something in it failed.
    pub fn milliseconds(&self) -> Result<f64> {
        let ms = self.start.elapsed_ms(&self.end);
        Ok(f64::from(ms.doing(|| "time a stretch of work".into())?))
    }

    /// The time between the end of `earlier` and the start of this, when the device was idle. Waits for both.
    ///
    /// # Errors
    /// Something before it failed.
    pub fn gap_after(&self, earlier: &Span) -> Result<f64> {
        let ms = earlier.end.elapsed_ms(&self.start);
        Ok(f64::from(ms.doing(|| "time a stretch of idleness".into())?))
    }
}
