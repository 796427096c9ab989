//! The data side: lists, order, worker threads, batches.

mod batches;
mod feed;
mod host;
mod order;
mod stack;
#[cfg(test)]
mod testing;

pub(super) use batches::{Batches, again, batches};
pub use feed::{BadVideo, FeedOptions, sample_key};
pub(super) use feed::{Recipe, Want};
pub(super) use host::HostSide;
pub use host::unusual;
pub use order::draw_key;
pub(super) use order::{Drawn, Order, PassCache};
pub(super) use stack::{Stacker, Staged};
