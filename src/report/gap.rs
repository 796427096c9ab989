//! How far two sets of videos are apart: as text, and as the pictures of the paper's Figures 1c and 2.

use super::histogram::histogram;
use super::scatter::{Pair, scatter};
use crate::program::Checked;
use crate::run::{RunResult, ViewResult};
use glad_nodes::Distribution;
use serde_json::Value;

/// Lines on the lengths of each set.
pub(super) fn lengths_text(view: &ViewResult) -> String {
    let all = view.scores.iter().flat_map(|s| &s.scores.distributions);
    let wide = all.clone().map(|d| d.name.chars().count()).max().unwrap_or(0);
    all.filter_map(|d| {
        let (least, most) = (d.counts.keys().next()?, d.counts.keys().next_back()?);
        Some(format!(
            "  {:wide$}  {} videos of {least} to {most} frames, median {}, mean {:.1}\n",
            d.name,
            videos(d),
            median(d),
            mean(d)
        ))
    })
    .collect()
}

/// The number of videos.
pub(super) fn videos(d: &Distribution) -> u64 {
    d.counts.values().sum()
}

/// The lower median.
pub(super) fn median(d: &Distribution) -> u32 {
    let half = videos(d).div_ceil(2);
    let mut below = 0;
    let at = d.counts.iter().find(|(_, n)| {
        below += **n;
        below >= half
    });
    at.map_or(0, |(length, _)| *length)
}

fn mean(d: &Distribution) -> f64 {
    let sum: f64 = d.counts.iter().map(|(length, n)| f64::from(*length) * *n as f64).sum();
    sum / videos(d).max(1) as f64
}

/// The pictures of a run that measured gaps: file name, heading, picture.
pub(super) fn pictures(checked: &Checked, result: &RunResult) -> Vec<(&'static str, String, String)> {
    let scores = || result.views.iter().flat_map(|(_, v)| &v.scores);
    let value = |name: &str| {
        let values = scores().flat_map(|s| &s.scores.values);
        values.into_iter().find(|(n, _)| n == name).map(|(_, v)| *v)
    };
    let mut out = vec![];
    let lengths = scores().find(|s| !s.scores.distributions.is_empty());
    if let Some(s) = lengths {
        let heading = match value("delta_temp") {
            Some(d) => format!("Lengths of the videos: Δ_temp = {d:.2} frames"),
            None => "Lengths of the videos".to_string(),
        };
        let picture = histogram(&heading, &s.scores.distributions);
        out.push(("lengths.svg", "Lengths".to_string(), picture));
    }
    if let (Some(s), Some(delta_temp)) = (lengths, value("delta_temp")) {
        let own = Pair {
            name: "these lists".into(),
            videos: s.scores.distributions.iter().map(|d| videos(d) as f64).sum(),
            delta_bg: value("delta_bg"),
            delta_temp,
        };
        let picture = scatter(&own, &beside(checked, &s.node));
        out.push(("gap.svg", "Beside other pairs".to_string(), picture));
    }
    out
}

/// The pairs listed by the measuring node.
fn beside(checked: &Checked, node: &str) -> Vec<Pair> {
    let calls = checked.views.values().flat_map(|p| &p.calls);
    let params = calls.into_iter().find(|c| c.node == node).map(|c| &c.params["beside"]);
    let all = params.and_then(Value::as_array);
    let pair = |v: &Value| {
        Some(Pair {
            name: v["name"].as_str()?.to_string(),
            videos: v["videos"].as_f64()?,
            delta_bg: v["delta_bg"].as_f64(),
            delta_temp: v["delta_temp"].as_f64()?,
        })
    };
    all.into_iter().flatten().filter_map(pair).collect()
}

/// The lengths as a table: a row per length, a column per set.
pub(super) fn lengths_csv(sets: &[Distribution]) -> String {
    let mut lengths: Vec<u32> = sets.iter().flat_map(|d| d.counts.keys().copied()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let names: Vec<&str> = sets.iter().map(|d| d.name.as_str()).collect();
    let mut out = format!("frames,{}\n", names.join(","));
    for length in lengths {
        let counts = sets
            .iter()
            .map(|d| d.counts.get(&length).copied().unwrap_or(0).to_string());
        out += &format!("{length},{}\n", counts.collect::<Vec<_>>().join(","));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn set(name: &str, counts: &[(u32, u64)]) -> Distribution {
        Distribution {
            name: name.into(),
            counts: BTreeMap::from_iter(counts.iter().copied()),
        }
    }

    #[test]
    fn lengths_in_words_and_as_a_table() {
        let d = set("source", &[(10, 2), (30, 1), (300, 1)]);
        assert_eq!((videos(&d), median(&d), mean(&d)), (4, 10, 87.5));
        assert_eq!(median(&set("x", &[(10, 1), (30, 2)])), 30);
        assert_eq!(
            lengths_csv(&[d, set("target", &[(30, 5)])]),
            "frames,source,target\n10,2,0\n30,1,5\n300,1,0\n"
        );
    }
}
