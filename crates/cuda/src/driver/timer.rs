//! Time on the device, by events: nothing waits while it is measured.

use super::card::Card;
use super::fault::Doing;
use crate::Result;
use cudarc::driver::CudaEvent;
use cudarc::driver::sys::CUevent_flags::CU_EVENT_DEFAULT;

/// A stretch of launches that began.
#[derive(Debug)]
pub struct Timer {
    start: CudaEvent,
}

/// A stretch of launches with its end.
#[derive(Debug)]
pub struct Span {
    start: CudaEvent,
    end: CudaEvent,
}

fn mark(card: &Card) -> Result<CudaEvent> {
    card.stream()
        .record_event(Some(CU_EVENT_DEFAULT))
        .doing(|| "record an event".into())
}

impl Timer {
    /// From what is queued next.
    ///
    /// # Errors
    /// The driver refuses, or something queued before failed.
    pub fn start(card: &Card) -> Result<Timer> {
        Ok(Timer { start: mark(card)? })
    }

    /// To what was queued last.
    ///
    /// # Errors
    /// The driver refuses, or something queued before failed.
    pub fn stop(self, card: &Card) -> Result<Span> {
        Ok(Span {
            start: self.start,
            end: mark(card)?,
        })
    }
}

impl Span {
    /// Whether the device has come to the end of it.
    ///
    /// # Errors
    /// Something queued before failed.
    pub fn is_over(&self) -> Result<bool> {
        let context = self.end.context();
        context.bind_to_thread().doing(|| "choose the device".into())?;
        self.end.try_is_complete().doing(|| "ask for an event".into())
    }

    /// How long it took the device, idle time included. Waits for the end.
    ///
    /// # Errors
    /// Something in it failed.
    pub fn milliseconds(&self) -> Result<f64> {
        let ms = self.start.elapsed_ms(&self.end);
        Ok(f64::from(ms.doing(|| "time a stretch of work".into())?))
    }

    /// How long the device had nothing of ours to do between the end of `earlier` and the beginning of this. Waits for both.
    ///
    /// # Errors
    /// Something before it failed.
    pub fn gap_after(&self, earlier: &Span) -> Result<f64> {
        let ms = earlier.end.elapsed_ms(&self.start);
        Ok(f64::from(ms.doing(|| "time a stretch of idleness".into())?))
    }
}
