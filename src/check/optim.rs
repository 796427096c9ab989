//! Optimiser settings that have no effect.

use super::cx::Cx;
use crate::diag::{Place, Problem};
use crate::graph::{CosineDef, Graph, GroupDef, LinearDef, OptimizerKind, Over, Per, PhaseDef, ScheduleDef, Update};
use crate::keys::Word;

/// Where a key of a phase's optimiser was written, or the nearest place to it.
pub(super) fn place(graph: &Graph, phase: &PhaseDef, key: &str) -> Place {
    let path = ["phases", &phase.name, "optimizer"];
    let written = graph.tree.at(path.into_iter().chain(key.split('.')));
    let nearest = written.map(|t| &t.place).or_else(|| Some(&graph.tree.at(path)?.key));
    nearest.unwrap_or(&phase.place).clone()
}

/// Checks an optimiser against itself and against the phase's length as written.
pub(super) fn check(cx: &Cx, phase: &PhaseDef) {
    let o = &phase.optimizer;
    let at = |key: &str| place(cx.graph, phase, key);
    let warn = |message: String, key: &str, label: &str| Problem::warning(message).at(&at(key), label);
    if o.lr == 0.0 {
        let p = warn(
            format!("the learning rate of phase {} is 0", phase.name),
            "lr",
            "no weight changes",
        );
        cx.push(p.help("only running statistics of norms do: raise it, unless these are what the phase is for"));
    }
    let sgd_alone = Update::Sgd {
        momentum: 0.0,
        nesterov: true,
    };
    if o.update() == sgd_alone {
        let p = Problem::error(format!("`nesterov` of phase {} needs a momentum", phase.name));
        cx.push(p.at(&at("nesterov"), "without momentum there is nothing to look ahead along"));
    }
    let decays = o.weight_decay > 0.0 || o.groups.iter().any(|g| g.weight_decay.is_some_and(|d| d > 0.0));
    if o.kind == OptimizerKind::AdamW && !decays {
        let p = warn(
            format!("the optimiser of phase {} is AdamW without weight decay", phase.name),
            "kind",
            "the same as `adam`",
        );
        cx.push(p.help("write `weight_decay = …` (PyTorch's default for AdamW is 0.01, here it is 0)"));
    }
    if let (Some(Per::Epoch), Some(steps)) = (o.schedule.per(), &phase.steps) {
        let p = Problem::error(format!(
            "the schedule of phase {} is by epochs, and the phase has none",
            phase.name
        ))
        .at(&at("schedule.per"), "changes once an epoch")
        .at(&steps.place, "the length is in steps");
        cx.push(p.help("give the phase `epochs = …`, or leave `per` out"));
    }
    if let Some(steps) = &phase.steps {
        warm_up(cx.graph, phase, steps.value as u64)
            .into_iter()
            .for_each(|p| cx.push(p));
    }
    let still = |key: &str, label: &str| warn(format!("the rate of phase {} does not fall", phase.name), key, label);
    match &o.schedule {
        ScheduleDef::Constant => {}
        ScheduleDef::Cosine(CosineDef { end, .. }) | ScheduleDef::Linear(LinearDef { end, .. }) => {
            const HELP: &str = "`end` is the share of `lr` that is left at the end: 0 by default";
            if *end == 1.0 {
                cx.push(still("schedule.end", "of 1 is no fall").help(HELP));
            } else if *end > 1.0 {
                let label = format!("rises to {end} times `lr`");
                let what = format!("the rate of phase {} rises over the phase", phase.name);
                cx.push(warn(what, "schedule.end", &label).help(HELP));
            }
        }
        ScheduleDef::Inverse(s) => {
            if let Some(key) = [("schedule.gamma", s.gamma), ("schedule.power", s.power)]
                .iter()
                .find(|k| k.1 == 0.0)
            {
                cx.push(still(key.0, "of 0 is no fall").help("the rate is `lr · (1 + gamma · x)^(−power)`"));
            }
            // (1 + γ)^(−β) of a γ that is meant for the share of the phase leaves next to nothing after some thousand steps.
            if s.over == Over::Steps && s.gamma >= 1.0 {
                let what = format!("the rate of phase {} falls within its first steps", phase.name);
                let p = warn(what, "schedule.gamma", "is multiplied with the number of steps");
                cx.push(p.help(
                    "for `over = \"steps\"` it is about 0.001; for the share of the phase write `over = \"phase\"`",
                ));
            }
        }
        ScheduleDef::Step(s) => {
            let own = match (&phase.steps, &phase.epochs) {
                (Some(s), _) => (s, Per::Step),
                (None, Some(e)) => (e, Per::Epoch),
                (None, None) => return,
            };
            let unit = s.per.unwrap_or(own.1);
            // How many steps epochs have the lists say.
            let length = own.0.value;
            let late: Vec<String> = (s.at.0.iter().filter(|at| unit == own.1 && **at >= length))
                .map(usize::to_string)
                .collect();
            if s.gamma == 1.0 || s.at.0.is_empty() {
                let key = if s.at.0.is_empty() {
                    "schedule.at"
                } else {
                    "schedule.gamma"
                };
                cx.push(still(key, "changes nothing"));
            } else if !late.is_empty() {
                let unit = format!("{}s", unit.word());
                let what = format!("the rate of phase {} never falls at {}", phase.name, late.join(", "));
                let p = warn(what, "schedule.at", &format!("in {unit}"));
                cx.push(p.at(&own.0.place, format!("the phase ends after {length} {unit}")));
            }
        }
    }
    groups(cx, phase);
}

/// A warm-up that reaches the full rate only at the end of the phase or later.
pub(super) fn warm_up(graph: &Graph, phase: &PhaseDef, steps: u64) -> Option<Problem> {
    let warm = phase.optimizer.warmup_steps as u64;
    let length = phase.steps.as_ref().or(phase.epochs.as_ref());
    (warm > 0 && warm >= steps).then(|| {
        let count = |n: u64| format!("{n} step{}", if n == 1 { "" } else { "s" });
        let p = Problem::warning(format!("the warm-up of phase {} takes all of it", phase.name)).at(
            &place(graph, phase, "warmup_steps"),
            format!("{} of warm-up", count(warm)),
        );
        let p = match length {
            Some(l) => p.at(&l.place, format!("the phase has {}", count(steps))),
            None => p,
        };
        p.help("the learning rate is reached with the last step or never: give it fewer `warmup_steps`")
    })
}

/// Parameter groups that match nothing because groups before them match it all.
fn groups(cx: &Cx, phase: &PhaseDef) {
    let groups = &phase.optimizer.groups;
    let takes = |a: &GroupDef, b: &GroupDef| {
        let roles = a.roles.0.is_empty() || !b.roles.0.is_empty() && b.roles.0.iter().all(|r| a.roles.0.contains(r));
        let inside = |n: &str| {
            let mut of = a.nodes.iter();
            of.any(|m| {
                n.strip_prefix(m.value.as_str())
                    .is_some_and(|r| r.is_empty() || r.starts_with('.'))
            })
        };
        let nodes = a.nodes.is_empty() || !b.nodes.is_empty() && b.nodes.iter().all(|n| inside(&n.value));
        roles && nodes
    };
    let path = ["phases", &phase.name, "optimizer", "groups"];
    let items = cx.graph.tree.at(path).and_then(|t| t.items()).unwrap_or_default();
    for (j, b) in groups.iter().enumerate() {
        if let Some(i) = groups[..j].iter().position(|a| takes(a, b))
            && let (Some(first), Some(second)) = (items.get(i), items.get(j))
        {
            cx.push(
                Problem::warning(format!(
                    "group {} of the optimiser of phase {} is never used",
                    j + 1,
                    phase.name
                ))
                .at(&second.place, "all its weights")
                .at(&first.place, "belong to this one already")
                .help("a weight belongs to the first group that it fits: put the narrower one first"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::check::testing::{errors, warnings};

    /// The main phase with this optimiser, whatever schedule and warm-up the setting has.
    fn main(overlay: &str) -> String {
        format!(
            "drop = [\"phases.main.optimizer.schedule\", \"phases.main.optimizer.warmup_steps\"]\n[set.phases.main]\nsteps = \
             50\n{overlay}"
        )
    }

    #[test]
    fn settings_that_change_nothing_are_reported() {
        let of = |optimizer: &str| warnings(&main(&format!("[phases.main.optimizer]\n{optimizer}")));
        assert!(of("").is_empty());
        let still = warnings(&main("[set.phases.main.optimizer]\nlr = 0.0"));
        assert_eq!(still, ["the learning rate of phase main is 0"]);
        for (steps, reported) in [(0, false), (1, false), (49, false), (50, true), (51, true)] {
            let found = of(&format!("warmup_steps = {steps}"));
            let expect: &[&str] = match reported {
                true => &["the warm-up of phase main takes all of it"],
                false => &[],
            };
            assert_eq!(found, expect, "{steps}");
        }
        let step = |at: &str, gamma: &str| of(&format!("schedule = {{ kind = \"step\", at = {at}, gamma = {gamma} }}"));
        assert!(step("[10, 49]", "0.1").is_empty());
        assert_eq!(
            step("[10, 50, 60]", "0.1"),
            ["the rate of phase main never falls at 50, 60"]
        );
        assert_eq!(step("[10]", "1.0"), ["the rate of phase main does not fall"]);
        assert_eq!(step("[]", "0.1"), ["the rate of phase main does not fall"]);
        let cosine = |end: &str| of(&format!("schedule = {{ kind = \"cosine\", end = {end} }}"));
        assert!(cosine("0.5").is_empty());
        assert_eq!(cosine("1.0"), ["the rate of phase main does not fall"]);
        assert_eq!(cosine("1.5"), ["the rate of phase main rises over the phase"]);
        assert!(of("schedule = \"constant\"").is_empty());
        let linear = |end: &str| of(&format!("schedule = {{ kind = \"linear\", end = {end} }}"));
        assert!(linear("0.0").is_empty());
        assert_eq!(linear("1.0"), ["the rate of phase main does not fall"]);
        assert_eq!(linear("2.0"), ["the rate of phase main rises over the phase"]);
        let inverse = |keys: &str| of(&format!("schedule = {{ kind = \"inverse\", {keys} }}"));
        assert!(inverse("gamma = 10").is_empty());
        assert!(inverse("gamma = 0.001, over = \"steps\"").is_empty());
        assert_eq!(inverse("gamma = 0"), ["the rate of phase main does not fall"]);
        assert_eq!(
            inverse("gamma = 1, power = 0"),
            ["the rate of phase main does not fall"]
        );
        assert_eq!(
            inverse("gamma = 10, over = \"steps\""),
            ["the rate of phase main falls within its first steps"]
        );
    }

    #[test]
    fn adamw_is_meant_to_decay() {
        let of = |keys: &str| {
            let optimizer = format!("{{ kind = \"adamw\", lr = 0.001, {keys} }}");
            warnings(&format!("[replace.phases.main]\noptimizer = {optimizer}\n{REST}"))
        };
        const REST: &str = "steps = 50\nbatch = 4\nlosses = { ce = 1.0 }";
        assert_eq!(of(""), ["the optimiser of phase main is AdamW without weight decay"]);
        assert!(of("weight_decay = 0.01").is_empty());
        assert!(of("groups = [{ weight_decay = 0.01, roles = [\"weight\"] }]").is_empty());
    }

    #[test]
    fn a_schedule_by_epochs_needs_a_phase_in_epochs() {
        let of = |schedule: &str| {
            main(&format!(
                "[phases.main.optimizer]\nschedule = {{ {schedule}, per = \"epoch\" }}"
            ))
        };
        let wrong = ["the schedule of phase main is by epochs, and the phase has none"];
        for schedule in [
            "kind = \"cosine\"",
            "kind = \"linear\"",
            "kind = \"inverse\", gamma = 10",
            "kind = \"step\", at = [3], gamma = 0.1",
        ] {
            assert_eq!(errors(&of(schedule)), wrong, "{schedule}");
            assert!(
                warnings(&of(schedule).replace("\"epoch\"", "\"step\"")).is_empty(),
                "{schedule}"
            );
        }
    }

    #[test]
    fn milestones_are_in_the_unit_of_the_length() {
        let epochs = |at: &str| {
            let o = format!(
                "optimizer = {{ kind = \"sgd\", lr = 0.1, schedule = {{ kind = \"step\", gamma = 0.1, at = {at} }} }}"
            );
            let phase = format!("epochs = 7\nbatch = 4\n{o}\nlosses = {{ ce = 1.0 }}");
            warnings(&format!("[replace.phases.main]\n{phase}"))
        };
        assert!(epochs("[3, 6]").is_empty());
        assert_eq!(epochs("[3, 7]"), ["the rate of phase main never falls at 7"]);
        assert!(epochs("[3, 700], per = \"step\"").is_empty());
    }

    #[test]
    fn nesterov_needs_a_momentum() {
        let nesterov = |momentum: &str| {
            let o = "[phases.main.optimizer]\nnesterov = true\n[set.phases.main.optimizer]";
            main(&format!("{o}\nmomentum = {momentum}"))
        };
        assert_eq!(errors(&nesterov("0.0")), ["`nesterov` of phase main needs a momentum"]);
        assert!(warnings(&nesterov("0.5")).is_empty());
    }

    #[test]
    fn a_group_behind_one_that_takes_all_of_it_is_reported() {
        let of = |groups: &str| warnings(&format!("[phases.main.optimizer]\ngroups = [{groups}]"));
        let never = |n: usize| format!("group {n} of the optimiser of phase main is never used");
        let classify = "{ nodes = [\"classify\"], lr_scale = 5.0 }";
        assert!(of(&format!("{classify}, {{ roles = [\"bias\"], lr_scale = 2.0 }}")).is_empty());
        assert_eq!(of(&format!("{{ weight_decay = 0.0 }}, {classify}")), [never(2)]);
        assert_eq!(
            of(&format!("{classify}, {{ nodes = [\"classify\"], roles = [\"bias\"] }}")),
            [never(2)]
        );
        assert!(of(&format!("{{ nodes = [\"classify\"], roles = [\"bias\"] }}, {classify}")).is_empty());
        assert_eq!(of("{ nodes = [\"tol\"] }, { nodes = [\"tol.head\"] }"), [never(2)]);
        assert!(of("{ nodes = [\"tol.head\"] }, { nodes = [\"tol\"] }").is_empty());
        let role = |a: &str, b: &str| of(&format!("{{ roles = [{a}] }}, {{ roles = [{b}] }}"));
        assert_eq!(role("\"bias\", \"norm\"", "\"norm\""), [never(2)]);
        assert!(role("\"norm\"", "\"bias\", \"norm\"").is_empty());
    }
}
