//! An experiment before anything runs: pictures of graphs, plans, pages about node kinds, the schema for editors.

mod draw;
mod form;
mod nodes;
mod params;
mod plan;
mod plan_data;
mod plan_summary;
mod schema;
pub(crate) mod svg;
mod table;

pub use draw::{draw, draw_open};
pub use form::form;
pub use nodes::{node_page, nodes};
pub use plan::{Target, other_precision, plan_text};
pub use plan_data::{CallPlan, MemoryPlan, Plan, ProgramPlan, Reached, plan_schema};
pub use schema::schema;
pub(crate) use table::{bytes, table};
