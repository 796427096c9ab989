//! Terms of an objective.

use crate::diag::{Place, Problem, Spanned};
use crate::keys::{Rules, Value, Word, schema};
use crate::tree::{Out, Tree, TreeValue, Written, string};
use glad_nodes::align::Schedule;
use indexmap::IndexMap;
use serde_json::{Value as Json, json};

/// How a term's weight grows in a phase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// How.
    pub schedule: Schedule,
    /// The share of the phase before which the weight is 0.
    pub from: f64,
    /// The share of the phase at which it has grown.
    pub to: f64,
}

impl Default for Ramp {
    fn default() -> Ramp {
        Ramp {
            schedule: Schedule::Constant,
            from: 0.0,
            to: 1.0,
        }
    }
}

impl Ramp {
    /// What the weight is multiplied with at a fraction `progress` of the phase, after `step` steps.
    pub fn at(&self, progress: f64, step: u64) -> f64 {
        if progress < self.from {
            return 0.0;
        }
        let done = ((progress - self.from) / (self.to - self.from)).min(1.0);
        self.schedule.strength(done, step)
    }
}

impl Word for Schedule {
    const WHAT: &'static str = "schedule";
    const ALL: &'static [Schedule] = &[
        Schedule::Constant,
        Schedule::Linear,
        Schedule::SigmoidWarmUp,
        Schedule::Ganin,
        Schedule::WarmStart,
    ];

    fn word(self) -> &'static str {
        match self {
            Schedule::Constant => "constant",
            Schedule::Linear => "linear",
            Schedule::SigmoidWarmUp => "sigmoid_warm_up",
            Schedule::Ganin => "ganin",
            Schedule::WarmStart => "warm_start",
        }
    }
}

/// A term of an objective: a weight under the name of an output, or `{ of = "node.port", weight = 1.0 }` under any name.
#[derive(Clone, Debug)]
pub struct LossKeys {
    /// The output, where it is not the term's name.
    pub of: Option<Spanned<String>>,
    /// Its weight.
    pub weight: Spanned<f64>,
    /// How the weight grows.
    pub ramp: Ramp,
    /// Where its name was written.
    pub key: Place,
}

const KEYS: [&str; 5] = ["of", "weight", "schedule", "from", "to"];

impl Value for LossKeys {
    fn read(at: &str, t: &Tree, _: &Rules, out: &mut Out) -> Option<Self> {
        // `phases.main.losses.NAME`, or `phases.main.rounds.ROUND.losses.NAME`.
        let above = if at.split('.').nth(2) == Some("rounds") { 6 } else { 4 };
        let name = at.splitn(above, '.').last().unwrap_or(at);
        let Some(long) = t.entries() else {
            return Some(LossKeys {
                of: None,
                weight: out.number(at, t)?,
                ramp: Ramp::default(),
                key: t.key.clone(),
            });
        };
        if !KEYS.iter().any(|k| long.contains_key(*k)) {
            let port = long.keys().next().map_or("PORT", String::as_str);
            let p = Problem::error(format!("loss `{name}` is a table without `of` and `weight`"))
                .at(&t.key, "here")
                .help(format!("a port of `{name}` is written `\"{name}.{port}\" = 1.0`"));
            out.push(p);
            return None;
        }
        out.unknown_keys(&format!("loss `{name}`"), long, &KEYS);
        let of = long.get("of").map(|t| out.string(&format!("{at}.of"), t));
        let weight = long.get("weight").map(|t| out.number(&format!("{at}.weight"), t));
        if weight.is_none() {
            let p = Problem::error(format!("loss `{name}` has no weight")).at(&t.key, "here");
            out.push(p.help(format!("write `{name} = {{ of = \"node.port\", weight = 1.0 }}`")));
        }
        let ramp = ramp(name, at, long, out);
        let of = match of {
            Some(None) => return None,
            of => of.flatten(),
        };
        Some(LossKeys {
            of,
            weight: weight.flatten()?,
            ramp: ramp?,
            key: t.key.clone(),
        })
    }

    fn write(&self, _: &Rules) -> Option<TreeValue> {
        let weight = TreeValue::Float(self.weight.value);
        if self.of.is_none() && self.ramp == Ramp::default() {
            return Some(weight);
        }
        let mut to = Written::nowhere();
        to.opt("of", self.of.as_ref().map(|of| string(&of.value)));
        to.put("weight", weight);
        let Ramp {
            schedule,
            from,
            to: end,
        } = self.ramp;
        to.opt(
            "schedule",
            (schedule != Schedule::Constant).then(|| string(schedule.word())),
        );
        to.opt("from", (from != 0.0).then_some(TreeValue::Float(from)));
        to.opt("to", (end != 1.0).then_some(TreeValue::Float(end)));
        Some(to.tree().value)
    }

    fn schema(_: &str, _: &Rules) -> Json {
        let share = |doc: &str| {
            let mut share = schema::typed("number", doc);
            share["minimum"] = json!(0);
            share["maximum"] = json!(1);
            share
        };
        let mut long = serde_json::Map::new();
        long.insert("of".into(), schema::typed("string", "The output."));
        long.insert("weight".into(), schema::typed("number", "Its weight."));
        let words: Vec<&str> = Schedule::ALL.iter().map(|s| s.word()).collect();
        let schedule = "How the weight grows between `from` and `to`; `warm_start` grows with the steps.";
        long.insert("schedule".into(), schema::one_of(&words, schedule));
        long.insert(
            "from".into(),
            share("The share of the phase before which the weight is 0: 0 by default."),
        );
        long.insert(
            "to".into(),
            share("The share of the phase at which the weight has grown: 1 by default."),
        );
        let long = schema::object("A term.", long, json!(false));
        json!({ "anyOf": [schema::typed("number", "The term's weight."), long] })
    }
}

/// Reads how a weight grows; `None` where it is wrong.
fn ramp(name: &str, at: &str, long: &IndexMap<String, Tree>, out: &mut Out) -> Option<Ramp> {
    let schedule = match long.get("schedule") {
        Some(t) => Schedule::read(&format!("{at}.schedule"), t, &Rules::NONE, out)?,
        None => Schedule::Constant,
    };
    let share = |key: &str, default: f64, out: &mut Out| match long.get(key) {
        Some(t) => {
            let n = out.number(&format!("{at}.{key}"), t)?;
            if !(0.0..=1.0).contains(&n.value) {
                let p = Problem::error(format!(
                    "`{key}` of loss `{name}` is {}, and no share of the phase",
                    n.value
                ));
                out.push(p.at(&n.place, "from 0 to 1"));
                return None;
            }
            Some(n.value)
        }
        None => Some(default),
    };
    let (from, to) = (share("from", 0.0, out)?, share("to", 1.0, out)?);
    let places = ["from", "to"].map(|key| long.get(key).map(|t| &t.key));
    let at_places = |p: Problem| places.iter().flatten().fold(p, |p, place| p.at(place, "here"));
    if schedule == Schedule::WarmStart && places.iter().any(Option::is_some) {
        let p = Problem::error(format!(
            "the weight of loss `{name}` grows with the steps, not with the phase"
        ));
        let p = at_places(p).at(&long["schedule"].place, "2 / (1 + e^(−i/1000)) − 1 after i steps");
        out.push(p.help("leave `from` and `to` out, or write `schedule = \"ganin\"`"));
        return None;
    }
    if schedule == Schedule::Constant
        && let Some(place) = places[1]
    {
        let p = Problem::error(format!("`to` of loss `{name}` has no effect: its weight does not grow"));
        out.push(
            p.at(place, "here")
                .help("give it a `schedule`, such as \"linear\", or leave `to` out"),
        );
        return None;
    }
    if from >= to {
        let p = Problem::error(format!("the weight of loss `{name}` has no time to grow"));
        out.push(at_places(p).help("`from` is smaller than `to`: shares of the phase, 0 and 1 by default"));
        return None;
    }
    Some(Ramp { schedule, from, to })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_grows_between_its_ends() {
        let of = |schedule, from, to| move |p: f64| Ramp { schedule, from, to }.at(p, 1000);
        let linear = of(Schedule::Linear, 0.2, 0.6);
        for (p, right) in [(0.0, 0.0), (0.19, 0.0), (0.2, 0.0), (0.3, 0.25), (0.6, 1.0), (0.9, 1.0)] {
            assert!((linear(p) - right).abs() < 1e-12, "{p}");
        }
        let late = of(Schedule::Constant, 0.1, 1.0);
        assert_eq!([0.0, 0.099, 0.1, 1.0].map(late), [0.0, 0.0, 1.0, 1.0]);
        // e^(−5(1−p)²)
        let sigmoid = of(Schedule::SigmoidWarmUp, 0.0, 0.5);
        assert!((sigmoid(0.25) - (-1.25f64).exp()).abs() < 1e-12 && sigmoid(0.5) == 1.0);
        assert!((of(Schedule::WarmStart, 0.0, 1.0)(0.5) - 0.5f64.tanh()).abs() < 1e-12);
    }
}
