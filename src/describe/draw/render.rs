//! From positions to SVG.

use super::arrange::{Arrangement, Rect, Route, arrange};
use super::cards::{cards, class, legend, stream};
use super::picture::{Edge, NodeBox, Picture};
use super::sizes::{self, PAD};
use crate::describe::svg::{GROUPS, MONO, SANS, STREAMS, num, rule, style, width};
use maud::{Markup, PreEscaped, html};

const CLASS: &str = "glad-graph";
const MARGIN: f64 = 28.0;
/// How far the back of a folded composite is offset.
const BACK: f64 = 4.0;
/// Distance between lines of different streams on one edge.
const STRAND: f64 = 3.2;

/// The whole picture.
pub(super) fn render(p: &Picture) -> String {
    let a = arrange(p);
    let wide = a.size.0.max(900.0);
    let (legend, legend_high) = legend(p, wide);
    let top = MARGIN + 44.0;
    let zone = if a.border.is_some() { 34.0 } else { 0.0 };
    let graph_y = top + legend_high + 26.0 + zone;
    let below = graph_y + a.size.1 + 44.0;
    let (cards, cards_high) = cards(&p.cards, wide);
    let size = (wide + 2.0 * MARGIN, below + cards_high + MARGIN);
    let shift = |x: f64, y: f64| format!("translate({} {})", num(x), num(y));
    let svg = html! {
        svg.(CLASS) xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {} {}", num(size.0), num(size.1)))
            width=(num(size.0)) height=(num(size.1)) role="img" {
            title { (p.title) }
            style { (PreEscaped(css())) }
            rect.page width=(num(size.0)) height=(num(size.1)) {}
            text.title x=(num(MARGIN)) y=(num(MARGIN + 16.0)) { (p.title) }
            text.subtitle x=(num(MARGIN + width(&p.title, 22.0) * 1.1 + 16.0)) y=(num(MARGIN + 16.0)) { (p.subtitle) }
            g transform=(shift(MARGIN, top)) { (legend) }
            g transform=(shift(MARGIN, graph_y)) { (graph(p, &a, wide, zone)) }
            g transform=(shift(MARGIN, below)) { (cards) }
        }
    };
    let mut text = svg.into_string();
    text.push('\n');
    text
}

fn graph(p: &Picture, a: &Arrangement, wide: f64, zone: f64) -> Markup {
    // Faint and many-stream lines are drawn below the others.
    let mut order: Vec<usize> = (0..p.edges.len()).collect();
    order.sort_by_key(|e| (!p.edges[*e].pale, p.edges[*e].stream.is_some()));
    html! {
        @if let Some(x) = a.border { (zones(x, wide, a.size.1, zone)) }
        @for (f, r) in p.frames.iter().zip(&a.frames) {
            rect.frame x=(num(r.x)) y=(num(r.y)) width=(num(r.w)) height=(num(r.h)) rx="12" {}
            text.name x=(num(r.x + sizes::FRAME_SIDE)) y=(num(r.y + 18.0)) { (f.name) }
            text.kind x=(num(r.x + sizes::FRAME_SIDE)) y=(num(r.y + 32.0)) { (f.kind) }
        }
        @for e in order { (edge(&p.edges[e], &a.edges[e], p.streams.len())) }
        @for (b, r) in p.boxes.iter().zip(&a.boxes) { (node(b, *r)) }
    }
}

/// The areas of host and device, and the line between them.
fn zones(x: f64, wide: f64, high: f64, zone: f64) -> Markup {
    let (y, h) = (-zone, high + zone + 16.0);
    let out = 14.0;
    html! {
        rect.host x=(num(-out)) y=(num(y)) width=(num(x + out)) height=(num(h)) rx="12" {}
        rect.device x=(num(x)) y=(num(y)) width=(num(wide - x + out)) height=(num(h)) rx="12" {}
        text.zone x=(num(x - 16.0)) y=(num(y + 19.0)) text-anchor="end" { tspan.strong { "host" } "  a video at a time, on worker threads" }
        text.zone x=(num(x + 16.0)) y=(num(y + 19.0)) { tspan.strong { "device" } "  a batch at a time" }
        path.border d=(format!("M{} {}V{}", num(x), num(y), num(y + h))) {}
    }
}

fn node(b: &NodeBox, r: Rect) -> Markup {
    let pale = if b.pale { " pale" } else { "" };
    let kind = sizes::kind_text(b);
    let types_y = r.y + sizes::head(b);
    let bottom = types_y + sizes::LINE * b.outputs.len() as f64;
    let (left, right) = (num(r.x + PAD), num(r.x + r.w - PAD));
    let beside = sizes::beside(b);
    let (mut x, term_y, type_y) = match beside {
        sizes::Beside::Nothing => (r.x + PAD, bottom + 3.0, types_y + 10.5),
        sizes::Beside::Type => (0.0, 0.0, r.y + 17.0),
        sizes::Beside::Term => (
            r.x + r.w - PAD - b.terms.iter().map(|t| sizes::term_width(t)).sum::<f64>(),
            r.y + 4.5,
            0.0,
        ),
    };
    let terms: Vec<(f64, f64, &str)> = b
        .terms
        .iter()
        .map(|t| {
            let here = x;
            x += sizes::term_width(t) + 5.0;
            (here, sizes::term_width(t), t.as_str())
        })
        .collect();
    html! {
        g class=(format!("box {}{pale}", class(b.group))) {
            title { (b.path) " (" (b.kind) ")" @for inner in &b.folded { "\n" (inner) } }
            @if !b.folded.is_empty() {
                rect.back x=(num(r.x + BACK)) y=(num(r.y + BACK)) width=(num(r.w)) height=(num(r.h)) rx="7" {}
            }
            rect.under x=(num(r.x)) y=(num(r.y)) width=(num(r.w)) height=(num(r.h)) rx="7" {}
            rect.train[b.train_only] x=(num(r.x)) y=(num(r.y)) width=(num(r.w)) height=(num(r.h)) rx="7" {}
            text.name x=(left) y=(num(r.y + 17.0)) { (b.name) }
            @if sizes::one_line(b) {
                text.kind x=(num(r.x + PAD + sizes::name_width(b) + 7.0)) y=(num(r.y + 17.0)) { (kind) }
            } @else {
                text.kind x=(left) y=(num(r.y + 31.0)) { (kind) }
            }
            @for (i, line) in b.lines().iter().enumerate() {
                text.type x=(right) y=(num(type_y + sizes::LINE * i as f64)) text-anchor="end" { (line) }
            }
            @for (x, w, text) in terms {
                rect.term x=(num(x)) y=(num(term_y)) width=(num(w)) height="17" rx="8.5" {}
                text.termtext x=(num(x + w / 2.0)) y=(num(term_y + 12.3)) text-anchor="middle" { (text) }
            }
        }
    }
}

fn edge(e: &Edge, route: &Route, streams: usize) -> Markup {
    let Some((last, before)) = route.points.split_last() else {
        return html! {};
    };
    // The lines of different streams on one edge are drawn side by side.
    let off = e
        .stream
        .map_or(0.0, |s| STRAND * (s as f64 - (streams as f64 - 1.0) / 2.0));
    let moved = |(x, y): (f64, f64)| if route.down { (x + off, y) } else { (x, y + off) };
    // The line ends where the arrow begins.
    let tip = moved(*last);
    let end = if route.down {
        (tip.0, tip.1 - 5.0)
    } else {
        (tip.0 - 5.0, tip.1)
    };
    let mut points: Vec<(f64, f64)> = before.iter().map(|q| moved(*q)).collect();
    points.push(end);
    let (x, y) = tip;
    let arrow = if route.down {
        format!("M{} {}l-3.2 -6h6.4z", num(x), num(y))
    } else {
        format!("M{} {}l-6 -3.2v6.4z", num(x), num(y))
    };
    let colour = e.stream.map_or("many".to_string(), |s| format!("s{}", stream(s)));
    let pale = if e.pale { " pale" } else { "" };
    html! {
        g class=(format!("{colour}{pale}")) {
            title { (e.tip) }
            path class=(format!("edge {colour}")) d=(smooth(&points, route.down)) {}
            path class=(format!("arrow {colour}")) d=(arrow) {}
        }
    }
}

/// A line through points that leaves and enters each along the flow.
fn smooth(points: &[(f64, f64)], down: bool) -> String {
    let mut d = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        if i == 0 {
            d += &format!("M{} {}", num(*x), num(*y));
            continue;
        }
        let (x0, y0) = points[i - 1];
        let straight = if down {
            (x - x0).abs() < 0.05
        } else {
            (y - y0).abs() < 0.05
        };
        if straight {
            d += &if down {
                format!("V{}", num(*y))
            } else {
                format!("H{}", num(*x))
            };
        } else if down {
            let m = (y0 + y) / 2.0;
            d += &format!("C{} {} {} {} {} {}", num(x0), num(m), num(*x), num(m), num(*x), num(*y));
        } else {
            let m = (x0 + x) / 2.0;
            d += &format!("C{} {} {} {} {} {}", num(m), num(y0), num(m), num(*y), num(*x), num(*y));
        }
    }
    d
}

fn css() -> String {
    let fixed = format!(
        ".{CLASS} text{{font-family:{SANS}}}
.{CLASS} .title{{font-size:22px;font-weight:650}}
.{CLASS} .subtitle{{font-size:14px}}
.{CLASS} .legend{{font-size:12px}}
.{CLASS} .zone{{font-size:12px}}
.{CLASS} .strong{{font-weight:650}}
.{CLASS} .name{{font-size:{}px;font-weight:600}}
.{CLASS} .kind{{font-size:{}px}}
.{CLASS} .type{{font-family:{MONO};font-size:{}px;opacity:.85;white-space:pre}}
.{CLASS} .chip{{font-size:11px}}
.{CLASS} .cardname{{font-size:15px;font-weight:650;white-space:pre}}
.{CLASS} .termtext{{font-size:{}px;font-weight:600}}
.{CLASS} .box>rect{{stroke-width:1.2}}
.{CLASS} .box>rect.train{{stroke-dasharray:5 3.5}}
.{CLASS} .box>rect.under{{stroke:none}}
.{CLASS} .edge{{fill:none;stroke-width:1.7;stroke-linecap:round}}
.{CLASS} .border{{fill:none;stroke-width:1.6;stroke-dasharray:2 5;stroke-linecap:round}}
.{CLASS} .frame{{fill-opacity:.55;stroke-width:1.1}}
.{CLASS} .pale>*{{opacity:.38}}
.{CLASS} .pale>.under{{opacity:1}}
",
        sizes::NAME,
        sizes::KIND,
        sizes::TYPE,
        sizes::KIND
    );
    let coloured = style(CLASS, |base, dark| {
        let mut r = vec![
            rule(".page", format!("fill:{}", base.page)),
            rule("text", format!("fill:{}", base.word)),
            rule(".kind", format!("fill:{}", base.faint)),
            rule(".subtitle", format!("fill:{}", base.faint)),
            rule(".zone", format!("fill:{}", base.faint)),
            rule(".legend", format!("fill:{}", base.faint)),
            rule(".faint", format!("fill:{}", base.faint)),
            rule(".card", format!("fill:{};stroke:{}", base.area, base.line)),
            rule(".frame", format!("fill:{};stroke:{}", base.page, base.flow)),
            rule(".host", format!("fill:{}", if dark { "#111a22" } else { "#f5f9fc" })),
            rule(".device", format!("fill:{}", if dark { "#16151f" } else { "#f8f7fc" })),
            rule(".border", format!("stroke:{}", base.flow)),
            rule(".box>rect.under", format!("fill:{}", base.page)),
            rule(".unused>rect", format!("fill:{};stroke:{}", base.area, base.flow)),
            rule(".edge.many", format!("stroke:{}", base.flow)),
            rule(".arrow.many", format!("fill:{}", base.flow)),
            rule(
                ".term",
                format!("fill:{};stroke:none", if dark { "#d96a66" } else { "#c94a45" }),
            ),
            rule(
                ".termtext",
                format!("fill:{}", if dark { "#20100f" } else { "#ffffff" }),
            ),
        ];
        for (name, paint) in GROUPS {
            let [fill, line, word] = if dark { paint.dark } else { paint.light };
            r.push(rule(
                format!(".{name}>rect:not(.term):not(.under)"),
                format!("fill:{fill};stroke:{line}"),
            ));
            r.push(rule(
                format!(".{name}>text.name,.{CLASS} .{name}>text.type,.{CLASS} .{name}>text.chip"),
                format!("fill:{word}"),
            ));
        }
        for (i, (light, black)) in STREAMS.iter().enumerate() {
            let c = if dark { black } else { light };
            r.push(rule(format!(".edge.s{i}"), format!("stroke:{c}")));
            r.push(rule(format!(".arrow.s{i}"), format!("fill:{c}")));
        }
        r
    });
    fixed + &coloured
}
