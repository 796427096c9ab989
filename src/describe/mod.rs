//! An experiment as people look at it before anything runs: pictures of graphs, plans, pages about node kinds, the schema for
//! editors.

mod draw;
mod nodes;
mod params;
mod plan;
mod schema;
pub(crate) mod svg;
mod table;

pub use draw::draw;
pub use nodes::{node_page, nodes};
pub use plan::{Target, other_precision, plan_text};
pub use schema::schema;
pub(crate) use table::{bytes, table};
