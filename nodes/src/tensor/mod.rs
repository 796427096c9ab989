//! Kinds that rearrange tensors.

mod concat;
mod detach;
mod gate;
mod mean;
mod outer;
pub(crate) mod parts;
mod softmax;
mod split;

pub use concat::Concat;
pub use detach::Detach;
pub use gate::{Along, Gate};
pub use mean::Mean;
pub use outer::Outer;
pub use softmax::Softmax;
pub use split::Split;
