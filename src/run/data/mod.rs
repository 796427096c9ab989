//! The data side: lists, order, worker threads, batches.

mod collate;
mod feed;
mod host;
mod order;

pub use collate::collate;
pub use feed::{BadVideo, FeedOptions, Recipe, Want, feed, sample_key};
pub use host::HostSide;
pub use order::{Drawn, Order, PassCache};
