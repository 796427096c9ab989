//! From files to a [`Graph`](crate::graph::Graph): setting, graph, overlays, `--set`, composites.
//!
//! # Layers
//! The setting, what the graph `extends`, the graph, the files of `--with`, each `--set`. A layer's plain tables add to
//! those below, leaf by leaf; a leaf that exists already is an error. Existing values are changed by verbs, tables and
//! lists at the top of a file, which see the layers below and apply before the file's own plain tables:
//!
//! | verb | does | fails where |
//! |---|---|---|
//! | `drop = ["tol", "phases.warmup"]` | leaves out a node with its losses, roots and other mentions, a loss, any path | nothing has the name |
//! | `[replace.nodes.X]` | puts a whole node, phase or view in the place of another | there is none |
//! | `set.a.b = v` | changes a leaf | no layer below writes it |
//! | `remove.a.b = [..]`, `append.a.b = [..]` | takes items out of a list, adds some | there is no such list or item; a string is there already |
//! | `bypass = ["bg_mix"]` | lets a node's input through as its output | there is no such node |
//!
//! `--set a.b=v` is `set`, but may also add a key inside a node, phase or view; `--set drop=tol` is `drop`.
//!
//! What a graph changes under one setting only is an overlay of its own in `under`, by the setting's name:
//! `[under.mini.set.phases.main]`. It is laid right above the file that has it, and left out under other settings.
//!
//! A phase without a loss and a view without a root are left out, with a note.
//!
//! # Parameters
//! A value `"$name"` is the value of `params.name`; `params` may use each other.
//!
//! # Composites
//! A node whose `kind` is a file, relative to the file that names it, or a built-in one (`glad:lib/order`), stands for
//! that file's nodes:
//! ```toml
//! [composite]
//! inputs  = ["x"]                        # `in.x` inside; what the outside leaves unconnected is left out
//! outputs = { loss = "ce.loss" }         # the first is what a loss that names the node takes
//! params  = { hidden = 512, form = {} }  # with defaults; `{}` is none, so that the node has to give the value
//! ```
//! Nodes inside are called `outer.inner`, and may be referred to, frozen, bypassed or changed by a phase under that
//! name; a phase may also change the composite's parameters.
//!
//! # Losses
//! `losses = { ce = 1.0 }` weighs a node's first output, `"ce.loss" = 1.0` a port, `total = { of = "ce.loss",
//! weight = 1.0 }` one under another name.
//!
//! # Rounds
//! A phase may have `rounds` in place of `losses`: tables by name, which a step takes in their order, those of a layer
//! above after those below. As tables, and not as a list, so that a layer changes one of them as any other value:
//! `set.phases.main.rounds.features.repeat = 2`, `drop = ["phases.main.rounds.features"]`.
//!
//! # Relative paths
//! in a node's parameters are resolved against the folder of the file that wrote its `kind`, or against its `folder`;
//! those that `--set` gives to `list`, `root`, `classes`, `init` and `out` against the current folder. `~/` begins a
//! path in the home folder. A built-in file has no folder: data that it names by `../data/x` are `data/x` in the
//! current one, and a file that changes such a parameter of its nodes means it relative to its own folder.

mod build;
mod builtin;
mod composite;
mod copy;
mod diff;
mod effective;
mod expand;
mod explain;
mod in_phase;
mod layers;
mod merge;
mod missing;
mod node;
mod open;
mod optim;
mod overlay;
mod params;
mod phase;
mod raw;
mod refs;
mod rounds;
mod set_arg;
mod ties;
mod under;
mod what;

pub use builtin::{BuiltIn, Use, built_in, built_ins};
pub(crate) use builtin::{from_command_line, home, name_of, resolve};
pub use copy::copy_of;
pub use diff::diff;
pub use effective::{effective, experiment};
pub use explain::explain;
pub use open::{LoadOptions, load, load_text};
