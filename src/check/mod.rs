//! From a graph to programs, or to everything that is wrong with it, before anything runs.
//!
//! Start reading at [`check`]. The order of the checks: what is wrong whatever the phase (`wiring`, `params`,
//! `phases`); then, for each phase and view (a `scene`), what is needed (`prune`), in which order and of which types
//! (`draft`, `typing`), whether labels leak (`leak`) and what is trained by what (`gradients`); last, what passes from
//! phase to phase (`weights`). Nothing here reads data or makes weights; [`absent`] says which data is not there.

mod absent;
mod bodies;
mod checker;
mod cx;
mod cycles;
mod draft;
mod gradients;
mod leak;
mod order;
mod params;
mod phases;
mod prune;
mod refs;
mod scene;
mod sink;
mod starts;
mod typing;
mod unused;
mod weights;
mod wiring;

pub use absent::{absent, absent_of, left_out, runs};
pub use checker::check;
pub use starts::{not_given, starts_from};
