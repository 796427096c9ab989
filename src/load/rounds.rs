//! The rounds of a phase's step, and their losses.

use super::phase::PhaseCx;
use super::refs::Use;
use crate::diag::{Problem, Spanned};
use crate::graph::{LossDef, LossKeys, RoundDef, RoundKeys};
use crate::keys::Sub;
use crate::tree::{Out, Tree, TreeValue, is_name};
use indexmap::IndexMap;

/// Reports `rounds` that are no tables, and takes them away.
pub(super) fn shape(phase: &str, table: &mut IndexMap<String, Tree>, out: &mut Out) {
    if let Some(t) = table.get("rounds").filter(|t| matches!(t.value, TreeValue::Array(_))) {
        let p = Problem::error(format!("the rounds of phase `{phase}` have no names"));
        out.push(p.at(&t.key, "a list").help(format!(
            "write `[phases.{phase}.rounds.NAME]` for each, in the order in which a step takes them"
        )));
        table.shift_remove("rounds");
    }
}

impl PhaseCx<'_, '_> {
    /// The rounds of phase `phase`, which is `t`: those written, or one of its `losses`. With the terms whose outputs
    /// exist.
    pub(super) fn rounds(
        &mut self,
        phase: &str,
        t: &Tree,
        own: IndexMap<String, Spanned<LossKeys>>,
        keys: IndexMap<String, Spanned<Sub<RoundKeys>>>,
        out: &mut Out,
    ) -> (Vec<RoundDef>, IndexMap<String, LossDef>) {
        let mut losses = IndexMap::new();
        let Some(written) = t.get("rounds").filter(|_| !keys.is_empty()) else {
            let whole = RoundDef {
                name: String::new(),
                place: t.key.clone(),
                train: None,
                repeat: 1,
            };
            self.losses(0, &whole, own, &mut losses);
            return (vec![whole], losses);
        };
        if let Some(twice) = t.get("losses").filter(|_| !own.is_empty()) {
            let p = Problem::error(format!("phase `{phase}` has `losses` and `rounds`"));
            let p = p
                .at(&twice.key, "of one round")
                .at(&written.key, "rounds with losses of their own");
            out.push(p.help(format!(
                "leave one of the two out; what a layer below writes is removed by `drop = [\"phases.{phase}.losses\"]`"
            )));
        }
        let mut rounds = vec![];
        for (
            name,
            Spanned {
                value: Sub(keys),
                place,
            },
        ) in keys
        {
            let place = written.get(&name).map_or(place, |t| t.key.clone());
            if !is_name(&name) {
                let p = Problem::error(format!("`{name}` cannot be a round's name")).at(&place, "here");
                out.push(p.help("letters, digits and `_`"));
            }
            let train = keys.train.map(|mut list| {
                if list.is_empty() {
                    let p = Problem::error(format!("round `{name}` of phase `{phase}` trains nothing"));
                    let here = written.get(&name).and_then(|t| t.get("train"));
                    out.push(p.at(here.map_or(&place, |t| &t.key), "no node").help(
                        "name the nodes whose weights it updates, or leave `train` out: then it updates all that its losses reach",
                    ));
                }
                list.retain(|n| self.resolver.node_or_composite(n).is_some());
                list
            });
            let round = RoundDef {
                name,
                place,
                train,
                repeat: keys.repeat,
            };
            self.losses(rounds.len(), &round, keys.losses, &mut losses);
            rounds.push(round);
        }
        (rounds, losses)
    }

    /// Adds the terms of a round whose outputs exist.
    fn losses(
        &mut self,
        index: usize,
        round: &RoundDef,
        keys: IndexMap<String, Spanned<LossKeys>>,
        to: &mut IndexMap<String, LossDef>,
    ) {
        for (name, Spanned { value: term, .. }) in keys {
            let label = round.label(&name);
            let of = term.of.unwrap_or_else(|| Spanned::new(name, term.key));
            let target = self.resolver.resolve(0, &of, Use::Loss).into_iter().next();
            to.extend(target.map(|target| {
                let loss = LossDef {
                    target,
                    weight: term.weight,
                    ramp: term.ramp,
                    round: index,
                };
                (label, loss)
            }));
        }
    }
}
