//! The data side: lists, order, worker threads, batches.

mod batches;
mod feed;
mod host;
mod order;
mod stack;
#[cfg(test)]
mod testing;

pub use batches::{Batches, again, batches};
pub use feed::{BadVideo, FeedOptions, Recipe, Want, sample_key};
pub use host::HostSide;
pub use order::{Drawn, Order, PassCache, draw_key};
pub use stack::Stacker;
