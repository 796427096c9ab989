//! What people look at: pictures of graphs, pages about node kinds, results of runs.

mod draw;
mod files;
mod nodes;
mod params;
mod predictions;
mod result;
mod svg;

pub use draw::draw;
pub use files::{class_names, write};
pub use nodes::{node_page, nodes};
pub use predictions::{predictions_csv, write_ports};
pub use result::{probabilities_text, result_text, view_text};
