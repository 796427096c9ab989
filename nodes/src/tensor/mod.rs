//! Kinds that rearrange tensors.

mod add;
mod concat;
mod detach;
mod fold;
mod gate;
mod join_rows;
mod mean;
mod mismatch;
pub(crate) mod normalize_rows;
mod outer;
pub(crate) mod parts;
mod softmax;
mod split;
mod stack;
mod sum;
mod thin_clips;
mod unfold;

pub use add::Add;
pub use concat::Concat;
pub use detach::Detach;
pub use fold::Fold;
pub use gate::{Along, Gate};
pub use join_rows::JoinRows;
pub use mean::Mean;
pub use mismatch::Mismatch;
pub use normalize_rows::NormalizeRows;
pub use outer::Outer;
pub use softmax::Softmax;
pub use split::Split;
pub use stack::Stack;
pub use sum::Sum;
pub use thin_clips::ThinClips;
pub use unfold::Unfold;
