//! From a graph to programs, or to everything that is wrong with it, before anything runs.
//!
//! Start reading at [`check`]. The order of the checks: what is wrong whatever the phase (`wiring`, `params`,
//! `phases`); then, for each phase and view (a `scene`), what is needed (`prune`), in which order and of which types
//! (`draft`, `typing`), whether labels leak (`leak`) and go with the right scores (`labels`), whether two domains are two
//! (`domains`), and what is trained by what (`gradients`, `terms`); then what passes from phase to phase (`weights`) and what
//! chooses the result (`select`). Nothing of this reads data or makes weights. [`absent`] does: it says which data is not
//! there, and `lists` holds the lists that are there against the programs.

mod absent;
mod bodies;
mod checker;
mod cx;
mod cycles;
mod domains;
mod draft;
mod flow;
mod gradients;
mod labels;
mod leak;
mod lists;
mod optim;
mod order;
mod params;
mod phases;
mod prune;
mod refs;
mod scene;
mod select;
mod sink;
mod starts;
mod terms;
#[cfg(test)]
mod testing;
mod typing;
mod unused;
mod weights;
mod wiring;

pub use absent::{Look, absent, absent_of, between_lists, left_out, runs};
pub use checker::check;
pub use starts::{not_given, starts_from};
