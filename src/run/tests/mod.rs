//! The arithmetic of training: a small graph, trained by the real trainer, held to numbers that are computed in f64 beside it.

mod adam;
mod banks;
mod class_sets;
mod copies;
mod harness;
mod kinds;
mod methods;
mod net;
mod optimizer;
mod parity;
mod published;
mod refresh;
mod rounds;
mod schedules;
mod statistics;
mod steps;
mod ties;
mod videos;
mod views;
