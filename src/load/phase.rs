//! Phases and views: from their tables to [`PhaseDef`]s and [`ViewDef`]s.

use super::expand::Member;
use super::node::known_streams;
use super::optim::optimizer;
use super::refs::{Resolver, Use};
use crate::diag::{Place, Problem, Spanned, suggest};
use crate::graph::{Batch, Epoch, Often, PhaseDef, PhaseKeys, RefreshDef, RefreshKeys, ViewDef, ViewKeys, is_node_key};
use crate::keys::{Free, Sub, Table};
use crate::tree::{Out, Tree, TreeValue};
use indexmap::IndexMap;

/// The context for reading phases and views.
pub(super) struct PhaseCx<'a, 'b> {
    pub streams: &'a [String],
    pub dims: &'a IndexMap<String, Spanned<usize>>,
    pub resolver: &'a mut Resolver<'b>,
}

impl PhaseCx<'_, '_> {
    /// The phase called `name`; `None` where mistakes prevent one.
    pub(super) fn phase(&mut self, name: &str, t: &Tree, out: &mut Out) -> Option<PhaseDef> {
        let table = t.entries()?;
        let at = |key: &str| format!("phases.{name}.{key}");
        out.unknown_keys(&format!("phase `{name}`"), table, &PhaseKeys::names());
        // The optimiser is read separately: without one there is no phase.
        let mut own = table.clone();
        own.shift_remove("optimizer");
        if let Some(t) = own.get("epoch").filter(|t| matches!(t.value, TreeValue::Integer(_))) {
            let p = Problem::error(format!("`epoch` of phase `{name}` is no number")).at(&t.place, "here");
            out.push(p.help("the length is `epochs = …`; `epoch = \"longest\"` says over which list a pass is one"));
            own.shift_remove("epoch");
        }
        super::rounds::shape(name, &mut own, out);
        let keys = PhaseKeys::read(&at(""), &own, out);
        let (rounds, losses) = self.rounds(name, t, keys.losses, keys.rounds, out);
        let (streams, dims, nodes) = self.shared(table, keys.streams, keys.dims, keys.nodes, out);
        match (table.get("epochs"), table.get("steps")) {
            (Some(e), Some(s)) => out.push(
                Problem::error(format!("phase `{name}` has its length twice"))
                    .at(&e.key, "in passes over the data")
                    .at(&s.key, "in steps")
                    .help("leave one of `epochs` and `steps` out (`drop = [\"phases.X.steps\"]`)".replace('X', name)),
            ),
            (None, None) => out.push(missing(name, &t.key, "length", "`epochs = …` or `steps = …`")),
            _ => {}
        }
        if !table.contains_key("batch") {
            out.push(missing(
                name,
                &t.key,
                "batch size",
                "`batch = …`, videos per stream in a step",
            ));
        }
        for batch in [&keys.batch, &keys.micro_batch].into_iter().flatten() {
            self.streams_of(batch, out);
        }
        if let (Some(b), Some(m)) = (&keys.batch, &keys.micro_batch) {
            in_parts(b, m).into_iter().for_each(|p| out.push(p));
        }
        let optimizer = match table.get("optimizer") {
            Some(t) => optimizer(&at("optimizer"), t, out),
            None => {
                let what = "`optimizer = { kind = \"sgd\", lr = … }`";
                out.push(missing(name, &t.key, "optimizer", what));
                None
            }
        };
        for g in optimizer.iter().flat_map(|o| &o.groups).flat_map(|g| &g.nodes) {
            self.resolver.node_or_composite(g);
        }
        let mut known = |mut list: Vec<Spanned<String>>| {
            list.retain(|n| self.resolver.node_or_composite(n).is_some());
            list
        };
        Some(PhaseDef {
            name: name.into(),
            place: t.key.clone(),
            streams,
            split: split(keys.split, "train", table),
            epochs: keys.epochs,
            steps: keys.steps,
            epoch: Epoch {
                over: keys.epoch,
                drop_last: keys.drop_last,
            },
            batch: keys.batch.unwrap_or_else(|| Spanned::new(Batch::All(1), t.key.clone())),
            micro_batch: keys.micro_batch,
            dims,
            nodes,
            rounds,
            losses,
            reset: known(keys.reset),
            frozen: known(keys.frozen),
            seed: keys.seed,
            optimizer: optimizer?,
            refresh: keys.refresh.and_then(|r| refresh(name, r, out)),
            validate: keys.validate,
        })
    }

    /// The view called `name`.
    pub(super) fn view(&mut self, name: &str, t: &Tree, out: &mut Out) -> Option<ViewDef> {
        let table = t.entries()?;
        let at = format!("views.{name}.");
        out.unknown_keys(&format!("view `{name}`"), table, &ViewKeys::names());
        let keys = ViewKeys::read(&at, table, out);
        let (streams, dims, nodes) = self.shared(table, keys.streams, keys.dims, keys.nodes, out);
        let roots = keys.roots.iter();
        Some(ViewDef {
            name: name.into(),
            place: t.key.clone(),
            streams,
            split: split(keys.split, "test", table),
            batch: keys.batch,
            dims,
            nodes,
            roots: roots.flat_map(|r| self.resolver.resolve(0, r, Use::Value)).collect(),
            statistics: keys.statistics,
            optional: keys.optional,
        })
    }

    /// Resolves the parts common to phases and views.
    #[allow(clippy::type_complexity, reason = "three fields that go straight into two structs")]
    fn shared(
        &mut self,
        table: &IndexMap<String, Tree>,
        streams: Option<Vec<Spanned<String>>>,
        dims: IndexMap<String, Spanned<usize>>,
        overrides: IndexMap<String, Spanned<Free>>,
        out: &mut Out,
    ) -> (
        Option<Vec<Spanned<String>>>,
        IndexMap<String, Spanned<usize>>,
        IndexMap<String, Spanned<IndexMap<String, Tree>>>,
    ) {
        for (dim, value) in table.get("dims").and_then(Tree::entries).into_iter().flatten() {
            if !self.dims.contains_key(dim) {
                let p = Problem::error(format!("unknown dimension `{dim}`"))
                    .at(&value.key, "not one of the graph's `dims`")
                    .help(suggest(dim, "dims", self.dims.keys().map(String::as_str)));
                out.push(p);
            }
        }
        let mut nodes = IndexMap::new();
        for (node, Spanned { value, place }) in overrides {
            let key = value.key.unwrap_or(place);
            let label = Spanned::new(node.clone(), key.clone());
            let Some(member) = self.resolver.node_or_composite(&label) else {
                continue;
            };
            if let Member::Composite(_) = member {
                // Entries for composites were moved to the nodes inside; here they are expanded already.
                let p = Problem::error(format!("`{node}` stands for several nodes"))
                    .at(&key, "here")
                    .help(format!(
                        "name the one whose parameter differs: `\"{node}.NODE\" = {{ … }}`"
                    ));
                out.push(p);
                continue;
            }
            let (own, params): (IndexMap<_, _>, IndexMap<_, _>) =
                value.entries.into_iter().partition(|(k, _)| is_node_key(k));
            for (key, v) in own {
                let p = Problem::error(format!("`{key}` of a node is the same in all phases and views"));
                out.push(p.at(&v.key, "only parameters may differ"));
            }
            // A table without entries changes nothing.
            if !params.is_empty() {
                nodes.insert(node, Spanned::new(params, key));
            }
        }
        let streams = streams.map(|s| known_streams(s, self.streams, out));
        (streams, dims, nodes)
    }

    /// Refuses streams that the graph does not have.
    fn streams_of(&self, batch: &Spanned<Batch>, out: &mut Out) {
        let named = batch.value.named().into_iter().flatten();
        let names = named.map(|(stream, n)| Spanned::new(stream.clone(), n.place.clone()));
        known_streams(names.collect(), self.streams, out);
    }
}

/// When a phase runs which view over its lists.
fn refresh(phase: &str, written: Spanned<Sub<RefreshKeys>>, out: &mut Out) -> Option<RefreshDef> {
    let Spanned {
        value: Sub(keys),
        place,
    } = written;
    let often = [
        ("every", keys.every, Often::Epochs as fn(usize) -> Often),
        ("steps", keys.steps, Often::Steps),
        ("times", keys.times, Often::Times),
    ];
    let often: Vec<_> = often
        .into_iter()
        .filter_map(|(key, n, of)| n.map(|n| (key, Spanned::new(of(n.value), n.place))))
        .collect();
    if let [(first, a), (second, b), ..] = &often[..] {
        let p = Problem::error(format!(
            "`refresh` of phase `{phase}` has two times: `{first}` and `{second}`"
        ));
        let p = p.at(&a.place, a.value.to_string()).at(&b.place, b.value.to_string());
        out.push(p.help("`every` counts epochs, `steps` steps, `times` the passes of the phase: give one of them"));
    }
    let Some(view) = keys.view else {
        let p = Problem::error(format!("`refresh` of phase `{phase}` has no view")).at(&place, "here");
        out.push(p.help("write `refresh = { view = \"NAME\", every = 1 }`, with a view of the same lists"));
        return None;
    };
    let often = often.into_iter().next().map(|(_, often)| often);
    Some(RefreshDef {
        view,
        often: often.unwrap_or(Spanned::new(Often::Epochs(1), place)),
    })
}

/// What is wrong with the parts of a step: sizes that do not divide it, or other numbers of parts for other streams.
fn in_parts(batch: &Spanned<Batch>, micro: &Spanned<Batch>) -> Option<Problem> {
    let named = [batch, micro].map(|b| b.value.named().map(|n| n.keys().collect::<Vec<_>>()));
    let named: Vec<&String> = named.into_iter().flatten().flatten().collect();
    let at = |p: Problem| {
        p.at(&micro.place, "parts of this size")
            .at(&batch.place, "do not make up this")
    };
    if named.is_empty() {
        let (b, m) = (batch.value.largest(), micro.value.largest());
        return (b % m != 0).then(|| at(Problem::error(format!("`micro_batch` {m} does not divide `batch` {b}"))));
    }
    let mut first: Option<(&String, usize)> = None;
    for stream in named {
        let (b, m) = (batch.value.of(stream), micro.value.of(stream));
        if b % m != 0 {
            let what = format!("`micro_batch` {m} does not divide `batch` {b} of stream `{stream}`");
            return Some(at(Problem::error(what)));
        }
        match first {
            Some((other, parts)) if parts != b / m => {
                let what = format!(
                    "a step has {parts} parts of stream `{other}` and {} of stream `{stream}`",
                    b / m
                );
                let p = Problem::error(what)
                    .at(&micro.place, "videos of a part")
                    .at(&batch.place, "videos of a step");
                return Some(p.help("give `micro_batch` by stream, too, so that all have as many parts"));
            }
            Some(_) => {}
            None => first = Some((stream, b / m)),
        }
    }
    None
}

/// The list that is read: what is written, else `default`, at the first key of the phase or view.
fn split(written: Option<Spanned<String>>, default: &str, table: &IndexMap<String, Tree>) -> Spanned<String> {
    written.unwrap_or_else(|| {
        let first = table.values().next().expect("a phase or view with any key");
        Spanned::new(default.into(), first.key.clone())
    })
}

fn missing(phase: &str, place: &Place, what: &str, write: &str) -> Problem {
    Problem::error(format!("phase `{phase}` has no {what}"))
        .at(place, "this phase")
        .help(format!("write {write}"))
}
