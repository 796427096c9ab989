//! From a graph to programs, or to all of its problems, before anything runs.
//!
//! Start reading at [`check`]. The order of the checks: problems of every phase (`wiring`, `params`, `phases`); then,
//! for each phase and view (a `scene`), what is needed (`prune`), in which order and with which types (`draft`,
//! `typing`), whether labels leak (`leak`) and match the scores (`labels`), whether two domains are really two
//! (`domains`), which rows steps get of passes over lists (`refresh`), and what is trained by what, in which round of a
//! step (`rounds`, `gradients`, `terms`); then which copies of weights move (`copies`), whose statistics (`statistics`),
//! which list a bank keeps rows of (`banks`), what passes from phase to phase (`weights`), and what chooses the result
//! (`select`). None of these reads data or initialises weights, but for the number of videos in a list of which a bank has
//! rows. [`absent`] does: it reports missing data, and `lists` checks the programs against the lists that exist.

mod absent;
mod banks;
mod batches;
mod bodies;
mod checker;
mod copies;
mod cx;
mod cycles;
mod domains;
mod draft;
mod examine;
mod flow;
mod gradients;
mod labels;
mod leak;
mod lists;
mod optim;
mod order;
mod params;
mod parts;
mod phases;
mod prune;
mod refresh;
mod refs;
mod rounds;
mod scene;
mod select;
mod sink;
mod starts;
mod statistics;
mod terms;
#[cfg(test)]
mod testing;
mod typing;
mod unused;
mod weights;
mod wiring;

pub use absent::{Look, absent, absent_of, between_lists, left_out, lists_of, runs};
pub use checker::check;
pub(crate) use params::plain;
pub use starts::{not_given, starts_from};
