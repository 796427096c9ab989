//! `glad-run lint`: every line and every file of all lists of a graph.
//!
//! `lists` finds the lists that the graph's phases and views read, and looks at their files; `findings` lists what is
//! wrong with them, in the order of what it does to a run; `text` and `page` print it.

mod findings;
mod lists;
mod page;
mod text;

pub use findings::{Finding, Item, Level, findings};
pub use lists::{Listed, Look, lists};
pub use page::page;
pub use text::text;
