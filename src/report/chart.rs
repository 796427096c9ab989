//! A line chart, with names at the ends of its lines.

use crate::describe::svg::{SANS, num, rule, style, width};
use maud::{Markup, html};

/// The class that scopes the rules of [`css`].
pub(super) const CLASS: &str = "glad-chart";

/// Colours of lines: on white, on black.
const COLOURS: [(&str, &str); 8] = [
    ("#2b6cdf", "#6ea3ff"),
    ("#d9601a", "#ff9a4d"),
    ("#17885f", "#4fd0a0"),
    ("#8e44c4", "#c58af0"),
    ("#b7912a", "#e3c15d"),
    ("#c2375d", "#ff7d9f"),
    ("#1b8fa6", "#5fd0e3"),
    ("#5d6b7a", "#a3b0bd"),
];

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// Its name.
    pub name: String,
    /// Its colour, by index.
    pub colour: usize,
    /// Step and value.
    pub points: Vec<(f64, f64)>,
}

/// A chart.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    /// Its title.
    pub title: String,
    /// Its lines.
    pub series: Vec<Series>,
    /// Whether values are fractions, shown as percentages from 0 to 100.
    pub shares: bool,
    /// A reference level and its meaning.
    pub level: Option<(f64, &'static str)>,
}

const LEFT: f64 = 46.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 26.0;

impl Chart {
    /// The chart in a rectangle of this size.
    pub(super) fn draw(&self, w: f64, h: f64) -> Markup {
        let smooth: Vec<Vec<(f64, f64)>> = self.series.iter().map(|s| smoothed(&s.points)).collect();
        let ends: Vec<String> = self
            .series
            .iter()
            .zip(&smooth)
            .map(|(s, p)| self.label(&s.name, p))
            .collect();
        let right = ends.iter().map(|e| width(e, 11.0)).fold(20.0, f64::max) + 12.0;
        let x1 = self
            .series
            .iter()
            .flat_map(|s| s.points.last())
            .map(|p| p.0 + 1.0)
            .fold(1.0, f64::max);
        let values = || smooth.iter().flatten().map(|p| p.1).filter(|v| v.is_finite());
        let (low, high) = match self.shares {
            true => (0.0, 1.0),
            false => (values().fold(0.0, f64::min), values().fold(1e-6, f64::max) * 1.06),
        };
        let (wide, deep) = ((w - LEFT - right).max(40.0), h - TOP - BOTTOM);
        let x = |v: f64| LEFT + wide * v / x1;
        let y = |v: f64| TOP + deep * (1.0 - (v - low) / (high - low)).clamp(-0.02, 1.02);
        let rows = if self.shares {
            vec![0.0, 0.25, 0.5, 0.75, 1.0]
        } else {
            ticks(low, high, 4)
        };
        let last: Vec<f64> = smooth.iter().map(|p| p.last().map_or(TOP, |p| y(p.1))).collect();
        let names = apart(&last, 13.0, (TOP + 2.0, h - BOTTOM));
        let path = |points: &[(f64, f64)]| -> String {
            let point = |(i, p): (usize, &(f64, f64))| {
                format!("{}{} {}", if i == 0 { "M" } else { "L" }, num(x(p.0)), num(y(p.1)))
            };
            points
                .iter()
                .filter(|p| p.1.is_finite())
                .enumerate()
                .map(point)
                .collect()
        };
        html! {
            text.charttitle x="4" y="16" { (self.title) }
            @for v in &rows {
                path.grid d=(format!("M{} {}H{}", num(LEFT), num(y(*v)), num(LEFT + wide))) {}
                text.tick x=(num(LEFT - 7.0)) y=(num(y(*v) + 3.6)) text-anchor="end" { (self.value(*v, &rows)) }
            }
            @for v in ticks(0.0, x1, 4) {
                text.tick x=(num(x(v))) y=(num(h - BOTTOM + 16.0)) text-anchor="middle" { (num(v)) }
            }
            text.tick x=(num(LEFT + wide + 20.0)) y=(num(h - BOTTOM + 16.0)) { "step" }
            @if let Some((v, words)) = self.level {
                path.level d=(format!("M{} {}H{}", num(LEFT), num(y(v)), num(LEFT + wide))) {}
                text.tick x=(num(12.0 + width(&self.title, 12.5) * 1.06)) y="16" { (words) }
            }
            @for s in &self.series {
                path class=(format!("raw c{}", s.colour % COLOURS.len())) d=(path(&thinned(&s.points))) {}
            }
            @for (i, s) in self.series.iter().enumerate() {
                @let colour = s.colour % COLOURS.len();
                path class=(format!("line c{colour}")) d=(path(&smooth[i])) { title { (s.name) } }
                text class=(format!("end t{colour}")) x=(num(LEFT + wide + 7.0)) y=(num(names[i] + 3.6)) { (ends[i]) }
            }
        }
    }

    fn value(&self, v: f64, all: &[f64]) -> String {
        if self.shares {
            return format!("{:.0} %", 100.0 * v);
        }
        let step = all.windows(2).map(|w| w[1] - w[0]).fold(f64::INFINITY, f64::min);
        let digits = if step.is_finite() && step > 0.0 {
            (-step.log10()).ceil().clamp(0.0, 6.0) as usize
        } else {
            1
        };
        format!("{v:.digits$}")
    }

    fn label(&self, name: &str, points: &[(f64, f64)]) -> String {
        match points.last() {
            Some((_, v)) if self.shares => format!("{name} {:.0} %", 100.0 * v),
            Some((_, v)) if v.abs() >= 0.095 || *v == 0.0 => format!("{name} {v:.2}"),
            Some((_, v)) => format!("{name} {v:.2e}"),
            None => name.to_string(),
        }
    }
}

/// Reduces to at most a few hundred points: means of neighbours.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    const MOST: usize = 240;
    let size = points.len().div_ceil(MOST).max(1);
    let mean = |c: &[(f64, f64)]| {
        let n = c.len() as f64;
        (
            c.iter().map(|p| p.0).sum::<f64>() / n,
            c.iter().map(|p| p.1).sum::<f64>() / n,
        )
    };
    points.chunks(size).map(mean).collect()
}

/// Moving means over about a twentieth of the line.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let points = thinned(points);
    let half = points.len() / 40;
    (0..points.len())
        .map(|i| {
            // Equally many on both sides, so that the steep beginning is not bent; at the end lines are flat and noisy.
            let h = half.min(i);
            let around = &points[i - h..=(i + h).min(points.len() - 1)];
            (
                points[i].0,
                around.iter().map(|p| p.1).sum::<f64>() / around.len() as f64,
            )
        })
        .collect()
}

/// About `count` round numbers from `low` to `high`.
pub(super) fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let raw = (high - low) / count as f64;
    if !(raw.is_finite() && raw > 0.0) {
        return vec![];
    }
    let scale = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * scale)
        .into_iter()
        .find(|s| *s >= raw)
        .unwrap_or(raw);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// Positions near `wanted` that are at least `gap` apart and within the bounds where there is space.
pub(super) fn apart(wanted: &[f64], gap: f64, (low, high): (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut at = wanted.to_vec();
    let mut least = low;
    for i in &order {
        at[*i] = at[*i].max(least);
        least = at[*i] + gap;
    }
    let mut most = high;
    for i in order.iter().rev() {
        at[*i] = at[*i].min(most);
        most = at[*i] - gap;
    }
    at
}

/// CSS rules for charts.
pub(super) fn css() -> String {
    format!(
        ".{CLASS} text{{font-family:{SANS}}}
.{CLASS} .head{{font-size:16px;font-weight:650}}
.{CLASS} .charttitle{{font-size:12.5px;font-weight:600}}
.{CLASS} .tick{{font-size:10.5px}}
.{CLASS} .end{{font-size:11px;font-weight:600}}
.{CLASS} .line{{fill:none;stroke-width:1.9;stroke-linejoin:round;stroke-linecap:round}}
.{CLASS} .raw{{fill:none;stroke-width:1;opacity:.22}}
.{CLASS} .grid{{fill:none;stroke-width:1}}
.{CLASS} .level{{fill:none;stroke-width:1.3;stroke-dasharray:5 4}}
"
    ) + &style(CLASS, |base, dark| {
        let mut r = vec![
            rule(".page", format!("fill:{}", base.page)),
            rule("text", format!("fill:{}", base.word)),
            rule(".tick", format!("fill:{}", base.faint)),
            rule(".grid", format!("stroke:{}", if dark { "#222b34" } else { "#e8ecf0" })),
            rule(".level", format!("stroke:{}", base.flow)),
        ];
        for (i, (light, black)) in COLOURS.iter().enumerate() {
            let c = if dark { black } else { light };
            r.push(rule(format!(".c{i}"), format!("stroke:{c}")));
            r.push(rule(format!(".t{i}"), format!("fill:{c}")));
        }
        r
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 1.0, 4), [0.0, 0.5, 1.0]);
        assert_eq!(ticks(0.0, 300.0, 4), [0.0, 100.0, 200.0, 300.0]);
        assert!(ticks(0.0, 0.0, 4).is_empty());
    }

    #[test]
    fn names_do_not_lie_on_each_other() {
        let at = apart(&[50.0, 51.0, 10.0, 52.0], 10.0, (0.0, 60.0));
        let mut sorted = at.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|w| w[1] - w[0] >= 10.0 - 1e-9), "{at:?}");
        assert!(sorted[3] <= 60.0 && at[2] < at[0]);
    }

    #[test]
    fn smoothing_keeps_a_line_straight() {
        let line: Vec<(f64, f64)> = (0..200).map(|i| (i as f64, 2.0 * i as f64)).collect();
        assert!(smoothed(&line)[..190].iter().all(|(x, y)| (y - 2.0 * x).abs() < 1e-9));
    }
}
