//! Results of runs: pictures, tables, the page that a browser opens.

mod chart;
mod confusion;
mod curves;
mod features;
mod gap;
mod histogram;
mod page;
mod predictions;
mod result;
mod scatter;
mod scores;
mod times;
mod trial;
mod write;

pub use features::FeatureFolder;
pub use predictions::{predictions_csv, predictions_json, write_ports};
pub use result::{probabilities_text, result_text, summary_json, view_text};
pub use scores::class_names;
pub use trial::trial_text;
pub use write::write;
