//! Numbers that change over a phase.

use super::compute::Step;
use super::problem::ParamProblem;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// How the strength λ of a gradient reversal layer, the weight of a loss, or a parameter grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// λ = 1.
    #[default]
    Constant,
    /// λ = p with p the fraction of the phase that is done.
    Linear,
    /// λ = e^(−5(1−p)²) (Laine and Aila, ICLR 2017).
    SigmoidWarmUp,
    /// λ = 2 / (1 + e^(−10p)) − 1.
    Ganin,
    /// λ = 2 / (1 + e^(−i/1000)) − 1 with i the steps done in the phase.
    WarmStart,
}

impl Schedule {
    /// λ at a fraction `progress` of the phase, after `step` steps.
    pub fn strength(self, progress: f64, step: u64) -> f64 {
        let ramp = |x: f64| 2.0 / (1.0 + (-x).exp()) - 1.0;
        match self {
            Schedule::Constant => 1.0,
            Schedule::Linear => progress,
            Schedule::SigmoidWarmUp => (-5.0 * (1.0 - progress).powi(2)).exp(),
            Schedule::Ganin => ramp(10.0 * progress),
            Schedule::WarmStart => ramp(step as f64 / 1000.0),
        }
    }
}

/// A parameter that is a number, `0.5`, or changes over the phase: `{ from = 1.0, to = 0.5, schedule = "linear" }` is from + λ (to −
/// from) with the λ of the schedule. In views it is `to`.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema)]
#[schemars(with = "Forms")]
pub enum Scheduled {
    /// The same throughout.
    Number(f64),
    /// What changes.
    Changing(Change),
}

/// A number that changes over the phase.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The number that it begins with.
    pub from: f64,
    /// The number that it comes to.
    pub to: f64,
    /// How λ grows from 0 to 1.
    pub schedule: Schedule,
}

#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum Forms {
    /// The same throughout.
    Number(f64),
    /// Changes over the phase.
    Changing(Change),
}

impl Scheduled {
    /// The number in this step.
    pub fn at(&self, step: &Step<'_>) -> f64 {
        match *self {
            Scheduled::Number(v) => v,
            Scheduled::Changing(c) if !step.training => c.to,
            Scheduled::Changing(Change { from, to, schedule }) => {
                from + schedule.strength(step.progress, step.step) * (to - from)
            }
        }
    }

    /// What is wrong with the parameter `name`: what `wrong` says of its numbers, each at its place. What lies between two numbers
    /// that are allowed has to be, too.
    pub fn problems(&self, name: &str, wrong: impl Fn(f64) -> Option<String>) -> Vec<ParamProblem> {
        let problem = |path: String, v: f64| wrong(v).map(|message| ParamProblem::new(path, message));
        match *self {
            Scheduled::Number(v) => problem(name.into(), v).into_iter().collect(),
            Scheduled::Changing(Change { from, to, schedule }) => {
                let constant = (schedule == Schedule::Constant).then(|| {
                    let what = "a constant schedule has `to` from the first step on";
                    ParamProblem::new(format!("{name}.schedule"), what)
                        .help("write the number alone, or another schedule")
                });
                let numbers = [("from", from), ("to", to)].map(|(key, v)| problem(format!("{name}.{key}"), v));
                numbers.into_iter().chain([constant]).flatten().collect()
            }
        }
    }
}

impl Serialize for Scheduled {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Scheduled::Number(v) => v.serialize(to),
            Scheduled::Changing(c) => c.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Scheduled {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

/// Reads either form, so that a mistake inside the table keeps its place.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Scheduled;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a table with `from`, `to` and `schedule`")
    }

    fn visit_f64<E>(self, v: f64) -> Result<Scheduled, E> {
        Ok(Scheduled::Number(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Scheduled, E> {
        Ok(Scheduled::Number(v as f64))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Scheduled, E> {
        Ok(Scheduled::Number(v as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Scheduled, A::Error> {
        Change::deserialize(MapAccessDeserializer::new(map)).map(Scheduled::Changing)
    }
}

#[cfg(all(test, feature = "kinds"))]
mod tests {
    use super::*;
    use crate::Args;
    use crate::testing::{Probe, normal, rejected, scalar, ty};
    use serde_json::{Value, json};

    fn types() -> [(&'static str, Vec<crate::Type>); 1] {
        [("logits", vec![ty("Logits", "B,3")])]
    }

    /// The loss at a point of the phase, with this temperature.
    fn at(temperature: Value, progress: f64, step: u64, training: bool) -> f64 {
        let mut p = Probe::new("class_confusion", json!({ "temperature": temperature }), &types(), &[]).unwrap();
        (p.progress, p.step, p.training) = (progress, step, training);
        scalar(
            &p.forward(&Args::default().with("logits", vec![normal(3, &[4, 3])]))
                .unwrap()[0],
        )
    }

    #[test]
    fn a_parameter_changes_over_the_phase() {
        let change = |schedule: &str| json!({ "from": 4.0, "to": 1, "schedule": schedule });
        for (progress, now) in [(0.0, 4.0), (0.25, 3.25), (1.0, 1.0)] {
            assert_eq!(
                at(change("linear"), progress, 0, true),
                at(json!(now), progress, 0, true)
            );
        }
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}");
        // tanh(5 · 0.1), e^(−5 · 0.9²) and tanh(400 / 2000).
        close(
            at(change("ganin"), 0.1, 0, true),
            at(json!(4.0 - 3.0 * 0.5f64.tanh()), 0.0, 0, true),
        );
        close(
            at(change("sigmoid_warm_up"), 0.1, 0, true),
            at(json!(4.0 - 3.0 * (-4.05f64).exp()), 0.0, 0, true),
        );
        close(
            at(change("warm_start"), 0.1, 400, true),
            at(json!(4.0 - 3.0 * 0.2f64.tanh()), 0.0, 0, true),
        );
        assert_eq!(
            at(change("linear"), 0.0, 0, false),
            at(json!(1), 0.0, 0, false),
            "in views it is the last"
        );
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in ["0.5", r#"{"from":1.0,"to":0.5,"schedule":"warm_start"}"#] {
            let read: Scheduled = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
        assert_eq!(serde_json::from_str::<Scheduled>("2").unwrap(), Scheduled::Number(2.0));
    }

    #[test]
    fn mistakes_are_named_at_their_place() {
        let of = |temperature: Value| rejected("class_confusion", json!({ "temperature": temperature }), &types());
        assert_eq!(of(json!(0)), ["temperature: 0 is not a number above zero"]);
        assert_eq!(
            of(json!({ "from": 1.0, "to": 0.0, "schedule": "constant" })),
            [
                "temperature.to: 0 is not a number above zero",
                "temperature.schedule: a constant schedule has `to` from the first step on"
            ]
        );
        assert_eq!(
            of(json!({ "from": 1.0, "schedule": "linear" })),
            ["temperature: missing field `to`"]
        );
        let word = of(json!({ "from": 1.0, "to": 2.0, "schedule": "linaer" }));
        assert!(
            word[0].starts_with("temperature.schedule: unknown variant `linaer`"),
            "{word:?}"
        );
        let text = of(json!("cold"));
        assert!(
            text[0].ends_with("expected a number, or a table with `from`, `to` and `schedule`"),
            "{text:?}"
        );
    }
}
