//! Phases and views: from their tables to [`PhaseDef`]s and [`ViewDef`]s.

use super::expand::{Member, NODE_KEYS};
use super::node::known_streams;
use super::optim::optimizer;
use super::read::Out;
use super::refs::{Resolver, Use};
use crate::diag::{Place, Problem, Spanned, suggest};
use crate::graph::{LossDef, PhaseDef, ViewDef};
use crate::tree::{Tree, TreeValue};
use indexmap::IndexMap;

const PHASE_KEYS: [&str; 14] = [
    "streams",
    "split",
    "epochs",
    "steps",
    "batch",
    "micro_batch",
    "dims",
    "nodes",
    "losses",
    "reset",
    "frozen",
    "seed",
    "optimizer",
    "validate",
];
const VIEW_KEYS: [&str; 7] = ["streams", "split", "batch", "dims", "nodes", "roots", "optional"];

/// What reading phases and views needs to know.
pub(super) struct PhaseCx<'a, 'b> {
    pub streams: &'a [String],
    pub dims: &'a IndexMap<String, Spanned<usize>>,
    pub resolver: &'a mut Resolver<'b>,
}

impl PhaseCx<'_, '_> {
    /// The phase called `name`; `None` where what is wrong leaves none.
    pub fn phase(&mut self, name: &str, t: &Tree, out: &mut Out) -> Option<PhaseDef> {
        let table = t.entries()?;
        let at = |key: &str| format!("phases.{name}.{key}");
        out.unknown_keys(&format!("phase `{name}`"), table, &PHASE_KEYS);
        let losses = table
            .get("losses")
            .map(|t| self.losses(&at("losses"), t, out))
            .unwrap_or_default();
        let (streams, split, dims, nodes) = self.shared("phases", name, table, "train", out);
        let mut count = |key: &str| table.get(key).map(|t| out.count(&at(key), t, 1));
        let (batch, micro_batch, epochs, steps) =
            (count("batch"), count("micro_batch"), count("epochs"), count("steps"));
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
        if batch.is_none() {
            out.push(missing(
                name,
                &t.key,
                "batch size",
                "`batch = …`, videos per stream in a step",
            ));
        }
        if let (Some(Some(b)), Some(Some(m))) = (&batch, &micro_batch)
            && b.value % m.value != 0
        {
            out.push(
                Problem::error(format!("`micro_batch` {} does not divide `batch` {}", m.value, b.value))
                    .at(&m.place, "parts of this size")
                    .at(&b.place, "do not make up this"),
            );
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
        let mut nodes_of = |key: &str| {
            let list = table.get(key).and_then(|t| out.names(&at(key), t)).unwrap_or_default();
            list.into_iter()
                .filter(|n| self.resolver.node_or_composite(n).is_some())
                .collect()
        };
        let (reset, frozen) = (nodes_of("reset"), nodes_of("frozen"));
        Some(PhaseDef {
            name: name.into(),
            place: t.key.clone(),
            streams,
            split,
            epochs: epochs.flatten(),
            steps: steps.flatten(),
            batch: batch.flatten().unwrap_or_else(|| Spanned::new(1, t.key.clone())),
            micro_batch: micro_batch.flatten(),
            dims,
            nodes,
            losses,
            reset,
            frozen,
            seed: table.get("seed").and_then(|t| out.whole(&at("seed"), t, 0)),
            optimizer: optimizer?,
            validate: table.get("validate").and_then(|t| out.string(&at("validate"), t)),
        })
    }

    /// The view called `name`.
    pub fn view(&mut self, name: &str, t: &Tree, out: &mut Out) -> Option<ViewDef> {
        let table = t.entries()?;
        out.unknown_keys(&format!("view `{name}`"), table, &VIEW_KEYS);
        let (streams, split, dims, nodes) = self.shared("views", name, table, "test", out);
        let roots = table
            .get("roots")
            .and_then(|t| out.names(&format!("views.{name}.roots"), t))
            .unwrap_or_default();
        Some(ViewDef {
            name: name.into(),
            place: t.key.clone(),
            streams,
            split,
            batch: table
                .get("batch")
                .and_then(|t| out.count(&format!("views.{name}.batch"), t, 1)),
            dims,
            nodes,
            roots: roots
                .iter()
                .flat_map(|r| self.resolver.resolve(0, r, Use::Value))
                .collect(),
            optional: table
                .get("optional")
                .and_then(|t| out.boolean(&format!("views.{name}.optional"), t))
                .unwrap_or(false),
        })
    }

    /// What phases and views both have.
    #[allow(clippy::type_complexity, reason = "four fields that go straight into two structs")]
    fn shared(
        &mut self,
        section: &str,
        name: &str,
        table: &IndexMap<String, Tree>,
        split: &str,
        out: &mut Out,
    ) -> (
        Option<Vec<Spanned<String>>>,
        Spanned<String>,
        IndexMap<String, Spanned<usize>>,
        IndexMap<String, Spanned<IndexMap<String, Tree>>>,
    ) {
        let at = |key: &str| format!("{section}.{name}.{key}");
        let streams = table.get("streams").and_then(|t| out.names(&at("streams"), t));
        let given = table.get("split").and_then(|t| out.string(&at("split"), t));
        let key = table.values().next().map(|t| t.key.clone());
        let split = given.unwrap_or_else(|| Spanned::new(split.into(), key.expect("a phase or view with any key")));
        let mut dims = IndexMap::new();
        for (dim, value) in table
            .get("dims")
            .and_then(|t| out.table(&at("dims"), t))
            .into_iter()
            .flatten()
        {
            if !self.dims.contains_key(dim) {
                let p = Problem::error(format!("unknown dimension `{dim}`"))
                    .at(&value.key, "not one of the graph's `dims`")
                    .help(suggest(dim, "dims", self.dims.keys().map(String::as_str)));
                out.push(p);
            }
            if let Some(n) = out.count(&at(&format!("dims.{dim}")), value, 0) {
                dims.insert(dim.clone(), n);
            }
        }
        let mut nodes = IndexMap::new();
        for (node, value) in table
            .get("nodes")
            .and_then(|t| out.table(&at("nodes"), t))
            .into_iter()
            .flatten()
        {
            let label = Spanned::new(node.clone(), value.key.clone());
            let Some(member) = self.resolver.node_or_composite(&label) else {
                continue;
            };
            let Some(entries) = out.table(&at(&format!("nodes.{node}")), value) else {
                continue;
            };
            if let Member::Composite(_) = member {
                // What is said of composites was spread over the nodes inside; here they are expanded already.
                let p = Problem::error(format!("`{node}` stands for several nodes"))
                    .at(&value.key, "here")
                    .help(format!(
                        "name the one whose parameter differs: `\"{node}.NODE\" = {{ … }}`"
                    ));
                out.push(p);
                continue;
            }
            for (key, v) in entries.iter().filter(|(k, _)| NODE_KEYS.contains(&k.as_str())) {
                let p = Problem::error(format!("`{key}` of a node is the same in all phases and views"));
                out.push(p.at(&v.key, "only parameters may differ"));
            }
            let entries = entries.iter().filter(|(k, _)| !NODE_KEYS.contains(&k.as_str()));
            let entries = entries.map(|(k, v)| (k.clone(), v.clone())).collect();
            nodes.insert(node.clone(), Spanned::new(entries, value.key.clone()));
        }
        let streams = streams.map(|s| known_streams(s, self.streams, out));
        (streams, split, dims, nodes)
    }

    /// `losses`: a weight by reference, or `name = { of = reference, weight = … }`.
    fn losses(&mut self, name: &str, t: &Tree, out: &mut Out) -> IndexMap<String, LossDef> {
        let mut losses = IndexMap::new();
        for (key, value) in out.table(name, t).into_iter().flatten() {
            let at = format!("{name}.{key}");
            let by_key = Spanned::new(key.clone(), value.key.clone());
            let (target, weight) = match &value.value {
                TreeValue::Table(long) if !long.contains_key("of") && !long.contains_key("weight") => {
                    let port = long.keys().next().map_or("PORT", String::as_str);
                    let p = Problem::error(format!("loss `{key}` is a table without `of` and `weight`"))
                        .at(&value.key, "here")
                        .help(format!("a port of `{key}` is written `\"{key}.{port}\" = 1.0`"));
                    out.push(p);
                    continue;
                }
                TreeValue::Table(long) => {
                    out.unknown_keys(&format!("loss `{key}`"), long, &["of", "weight"]);
                    let target = long.get("of").map(|t| out.string(&format!("{at}.of"), t));
                    let weight = long.get("weight").map(|t| out.number(&format!("{at}.weight"), t));
                    if weight.is_none() {
                        let p = Problem::error(format!("loss `{key}` has no weight")).at(&value.key, "here");
                        out.push(p.help(format!("write `{key} = {{ of = \"node.port\", weight = 1.0 }}`")));
                    }
                    (target.unwrap_or(Some(by_key)), weight.flatten())
                }
                _ => (Some(by_key), out.number(&at, value)),
            };
            let Some(target) = target else { continue };
            let found = self.resolver.resolve(0, &target, Use::Loss).into_iter().next();
            if let (Some(found), Some(weight)) = (found, weight) {
                losses.insert(key.clone(), LossDef { target: found, weight });
            }
        }
        losses
    }
}

fn missing(phase: &str, place: &Place, what: &str, write: &str) -> Problem {
    Problem::error(format!("phase `{phase}` has no {what}"))
        .at(place, "this phase")
        .help(format!("write {write}"))
}
