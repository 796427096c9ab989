//! Distributions of lengths as a picture, one set over the other (the paper's Figure 1c).

use super::chart::{CLASS, css, ticks};
use super::gap::{median, videos};
use crate::describe::svg::{STREAMS, num, rule, style};
use glad_nodes::Distribution;
use maud::{Markup, PreEscaped, html};

const W: f64 = 720.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 24.0;
const PANEL: f64 = 150.0;
const GAP: f64 = 40.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 44.0;
/// The approximate number of bars of a panel.
const BARS: f64 = 60.0;

/// A panel for each set, over the same lengths: the share of its videos in each bar.
pub(super) fn histogram(title: &str, sets: &[Distribution]) -> String {
    let most = sets.iter().filter_map(|d| d.counts.keys().next_back()).max();
    let most = f64::from(most.copied().unwrap_or(1));
    let bin = bin_width(most);
    let bars = (most / bin).floor() as usize + 1;
    let x1 = bin * bars as f64;
    let h = TOP + sets.len() as f64 * (PANEL + GAP) - GAP + BOTTOM;
    let x = |v: f64| LEFT + (W - LEFT - RIGHT) * v / x1;
    let shares: Vec<Vec<f64>> = sets.iter().map(|d| shares(d, bin, bars)).collect();
    let svg = html! {
        svg.(CLASS) xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {} {}", num(W), num(h)))
            width=(num(W)) height=(num(h)) role="img" {
            title { (title) }
            style { (PreEscaped(css())) (PreEscaped(colours())) }
            rect.page width=(num(W)) height=(num(h)) {}
            text.head x="20" y="34" { (title) }
            @for (i, d) in sets.iter().enumerate() {
                @let top = TOP + i as f64 * (PANEL + GAP);
                (panel(d, &shares[i], i, top, bin, &x))
            }
            @for v in ticks(0.0, x1, 8) {
                text.tick x=(num(x(v))) y=(num(h - BOTTOM + 17.0)) text-anchor="middle" { (num(v)) }
            }
            text.tick x=(num(W - RIGHT)) y=(num(h - 8.0)) text-anchor="end" { "frames of a video; a bar is " (num(bin)) " wide" }
        }
    };
    svg.into_string() + "\n"
}

fn panel(d: &Distribution, shares: &[f64], place: usize, top: f64, bin: f64, x: &dyn Fn(f64) -> f64) -> Markup {
    let high = shares.iter().copied().fold(1e-9, f64::max) * 1.05;
    let y = |v: f64| top + PANEL * (1.0 - v / high);
    let colour = place % STREAMS.len();
    let middle = f64::from(median(d));
    // Text is placed where the bars leave space.
    let at = x(middle);
    let (words, anchor) = if at < (LEFT + W) / 2.0 {
        (at + 7.0, "start")
    } else {
        (at - 7.0, "end")
    };
    html! {
        @for v in ticks(0.0, high, 4) {
            path.grid d=(format!("M{} {}H{}", num(LEFT), num(y(v)), num(W - RIGHT))) {}
            text.tick x=(num(LEFT - 8.0)) y=(num(y(v) + 3.6)) text-anchor="end" { (share(v)) }
        }
        @for (i, v) in shares.iter().enumerate().filter(|(_, v)| **v > 0.0) {
            @let (a, b) = (x(i as f64 * bin), x((i + 1) as f64 * bin));
            rect class=(format!("bar b{colour}")) x=(num(a + 0.4)) y=(num(y(*v))) width=(num((b - a - 0.8).max(0.5)))
                height=(num((top + PANEL - y(*v)).max(0.6))) {
                title { (share(*v)) " of " (d.name) ": " (num(i as f64 * bin)) " to " (num((i + 1) as f64 * bin - 1.0)) " frames" }
            }
        }
        path.axis d=(format!("M{} {}H{}", num(LEFT), num(top + PANEL), num(W - RIGHT))) {}
        @if !d.counts.is_empty() {
            path.level d=(format!("M{} {}V{}", num(at), num(top - 4.0), num(top + PANEL))) {}
            text.tick x=(num(words)) y=(num(top + 6.0)) text-anchor=(anchor) { "median " (num(middle)) }
        }
        text class=(format!("end t{colour}")) x=(num(LEFT)) y=(num(top - 9.0)) { (d.name) ", " (videos(d)) " videos" }
    }
}

fn share(v: f64) -> String {
    let percent = 100.0 * v;
    if percent >= 10.0 || percent.fract() == 0.0 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

/// A round width that gives about [`BARS`] bars.
fn bin_width(most: f64) -> f64 {
    let raw = (most / BARS).max(1.0);
    let scale = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * scale)
        .into_iter()
        .find(|s| *s >= raw)
        .unwrap_or(raw)
}

fn shares(d: &Distribution, bin: f64, bars: usize) -> Vec<f64> {
    let mut out = vec![0.0; bars];
    let all = videos(d).max(1) as f64;
    for (length, n) in &d.counts {
        let bar = (f64::from(*length) / bin) as usize;
        out[bar.min(bars - 1)] += *n as f64 / all;
    }
    out
}

fn colours() -> String {
    style(CLASS, |base, dark| {
        let mut r = vec![rule(".axis", format!("stroke:{};stroke-width:1;fill:none", base.flow))];
        for (i, (light, black)) in STREAMS.iter().enumerate() {
            let c = if dark { black } else { light };
            r.push(rule(format!(".b{i}"), format!("fill:{c}")));
            r.push(rule(format!(".t{i}"), format!("fill:{c}")));
        }
        r
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn bars_are_round_and_hold_all_videos() {
        assert_eq!([bin_width(9.0), bin_width(300.0), bin_width(6001.0)], [1.0, 5.0, 200.0]);
        let d = Distribution {
            name: "source".into(),
            counts: BTreeMap::from([(1, 3), (299, 1), (300, 4)]),
        };
        let s = shares(&d, 5.0, 61);
        assert_eq!((s[0], s[59], s[60]), (0.375, 0.125, 0.5));
        let picture = histogram("lengths", &[d.clone(), Distribution::default()]);
        roxmltree::Document::parse(&picture).unwrap();
        assert_eq!(picture.matches("class=\"bar b0\"").count(), 3);
        assert!(picture.contains("source, 8 videos") && picture.contains("median 299"));
    }
}
