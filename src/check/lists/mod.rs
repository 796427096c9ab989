//! What lists and graph tell together, before anything runs: classes and labels against scores, videos that the method may
//! not train on, lists and phases that are too short for what is asked of them.
//!
//! A list is read once, and only what the checks ask of it is kept.

mod digest;
mod leak;
mod length;
mod classes;
mod order;
mod place;

pub(super) use digest::{Lists, Wanted};
pub(super) use place::list_place;

use super::sink::Sink;
use crate::graph::Graph;
use crate::program::{Program, ProgramKind};

/// What all of these checks share.
struct Cx<'a> {
    graph: &'a Graph,
    lists: &'a Lists,
    sink: &'a mut Sink,
}

/// Checks the programs of a run against the lists that they read, as far as these are there and sound.
pub(super) fn check(graph: &Graph, programs: &[&Program], lists: &Lists, sink: &mut Sink) {
    let mut cx = Cx { graph, lists, sink };
    for program in programs {
        classes::check(&mut cx, program);
        if program.kind == ProgramKind::Phase {
            length::check(&mut cx, program);
            order::check(&mut cx, program);
        }
    }
    leak::check(&mut cx, programs);
}

/// `phase main`, `view infer`.
fn title(program: &Program) -> String {
    match program.kind {
        ProgramKind::Phase => format!("phase {}", program.name),
        ProgramKind::View => format!("view {}", program.name),
    }
}

/// `1 video`, `3 videos`.
fn videos(n: usize) -> String {
    format!("{n} video{}", if n == 1 { "" } else { "s" })
}
