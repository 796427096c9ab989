//! The integration tests of the framework and of `glad-run`: one binary, since linking each file took longer than
//! running it.

mod bad_graphs;
mod builtin;
mod check;
mod commands;
mod common;
mod draw;
mod finite;
mod frames;
mod gap;
mod graphs;
mod large_graphs;
mod layers;
mod learns;
mod lint;
mod load;
mod load_layers;
mod load_mutations;
mod mixed_videos;
mod numbers;
mod outputs;
mod own_videos;
mod paired;
mod plan;
mod precision;
mod prepare;
mod rehearsal;
mod resume;
mod run;
mod run_folder;
mod same_data;
mod schema;
mod starts;
mod stop;
mod typed_errors;
mod untrusted;
