//! What people look at: pictures of graphs, pages about node kinds, the schema for editors, results of runs.

mod chart;
mod confusion;
mod curves;
mod draw;
mod gap;
mod histogram;
mod nodes;
mod page;
mod params;
mod predictions;
mod result;
mod scatter;
mod schema;
mod scores;
mod svg;
mod times;
mod trial;
mod write;

pub use draw::draw;
pub use nodes::{node_page, nodes};
pub use predictions::{predictions_csv, write_ports};
pub use result::{probabilities_text, result_text, summary_json, view_text};
pub use schema::schema;
pub use scores::class_names;
pub use trial::trial_text;
pub use write::write;
