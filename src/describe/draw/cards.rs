//! Phases and views below the graph, each with the nodes that it keeps; and the legend.

use super::picture::{Card, Picture};
use crate::describe::svg::{GROUPS, num, width};
use maud::{Markup, html};

const CHIP: f64 = 11.0;
const CHIP_H: f64 = 19.0;
const CHIP_GAP: f64 = 5.0;
const PAD: f64 = 14.0;
const HEAD: f64 = 54.0;
const GAP: f64 = 16.0;
/// A card is not narrower than this.
const LEAST: f64 = 290.0;

/// The cards in rows of `total` width; returns the markup and its height.
pub(super) fn cards(cards: &[Card], total: f64) -> (Markup, f64) {
    let fit = (((total + GAP) / (LEAST + GAP)).floor() as usize).max(1);
    let rows = cards.len().div_ceil(fit).max(1);
    let per_row = cards.len().div_ceil(rows).max(1);
    let wide = (total - GAP * (per_row - 1) as f64) / per_row as f64;
    let mut y = 0.0;
    let mut placed = vec![];
    for row in cards.chunks(per_row) {
        let chips: Vec<_> = row.iter().map(|c| chips(c, wide - 2.0 * PAD)).collect();
        let high = chips.iter().map(|(_, h)| HEAD + h + PAD - 4.0).fold(0.0, f64::max);
        for (i, (card, (chips, _))) in row.iter().zip(chips).enumerate() {
            placed.push(one(card, chips, (i as f64 * (wide + GAP), y), (wide, high)));
        }
        y += high + GAP;
    }
    let all = html! { @for c in &placed { (c) } };
    (all, (y - GAP).max(0.0))
}

fn one(card: &Card, chips: Markup, at: (f64, f64), size: (f64, f64)) -> Markup {
    let number = card.turn.map(|n| n.to_string()).unwrap_or_default();
    let gap = if number.is_empty() { 0.0 } else { 7.0 };
    let after = PAD + (width(&number, 15.0) + width(&card.name, 15.0)) * 1.1 + gap + 10.0;
    html! {
        g transform=(format!("translate({} {})", num(at.0), num(at.1))) {
            rect.card width=(num(size.0)) height=(num(size.1)) rx="10" {}
            text.cardname x=(num(PAD)) y="25" { tspan.faint { (number) } tspan dx=(num(gap)) { (card.name) } }
            text.kind x=(num(after)) y="25" { (card.what) }
            text.kind x=(num(PAD)) y="43" { (card.facts) }
            g transform=(format!("translate({} {})", num(PAD), num(HEAD))) { (chips) }
        }
    }
}

/// Chips in lines of `total` width.
fn chips(card: &Card, total: f64) -> (Markup, f64) {
    let (mut x, mut y) = (0.0, 0.0);
    let mut placed = vec![];
    for (name, group) in &card.keeps {
        let w = width(name, CHIP) + 14.0;
        if x + w > total && x > 0.0 {
            x = 0.0;
            y += CHIP_H + CHIP_GAP;
        }
        placed.push(html! {
            g.box.(class(group)) transform=(format!("translate({} {})", num(x), num(y))) {
                rect width=(num(w)) height=(num(CHIP_H)) rx="5" {}
                text.chip x=(num(w / 2.0)) y="13.3" text-anchor="middle" { (name) }
            }
        });
        x += w + CHIP_GAP;
    }
    (html! { @for c in &placed { (c) } }, y + CHIP_H)
}

/// The CSS class of a group's colours.
pub(super) fn class(group: &str) -> String {
    if group.is_empty() {
        "unused".into()
    } else {
        group.to_string()
    }
}

/// The legend of colours and lines, in lines of at most `total`; returns the markup and its height.
pub(super) fn legend(p: &Picture, total: f64) -> (Markup, f64) {
    let mut entries: Vec<(f64, Markup, String)> = vec![];
    let used = |g: &str| p.boxes.iter().any(|b| b.group == g);
    for (name, _) in GROUPS.iter().filter(|(g, _)| used(g)) {
        let mark = html! { g.box.(name) { rect y="-9" width="16" height="12" rx="3.5" {} } };
        entries.push((16.0, mark, name.to_string()));
    }
    for (i, name) in p.streams.iter().enumerate() {
        if p.edges.iter().any(|e| e.stream == Some(i)) {
            let class = format!("edge s{}", stream(i));
            entries.push((24.0, html! { path class=(class) d="M0 -3H24" {} }, name.clone()));
        }
    }
    if p.edges.iter().any(|e| e.stream.is_none()) {
        entries.push((
            24.0,
            html! { path.edge.many d="M0 -3H24" {} },
            "several streams, same weights".into(),
        ));
    }
    if p.boxes.iter().any(|b| b.train_only) {
        let mark = html! { g.box.tensor { rect.train y="-9" width="20" height="12" rx="3.5" {} } };
        entries.push((20.0, mark, "in training only".into()));
    }
    if p.boxes.iter().any(|b| !b.folded.is_empty()) {
        let mark = html! { g.box.align { rect.back x="4" y="-7" width="18" height="12" rx="3.5" {} rect y="-11" width="18" height="12" rx="3.5" {} } };
        entries.push((22.0, mark, "a composite, folded".into()));
    }
    if p.boxes.iter().any(|b| b.pale) {
        let mark = html! { g.box.tensor.pale { rect y="-9" width="16" height="12" rx="3.5" {} } };
        entries.push((16.0, mark, "in no phase".into()));
    }
    if p.boxes.iter().any(|b| !b.terms.is_empty()) {
        let mark = html! { g { rect.term y="-11" width="38" height="15" rx="7.5" {} text.termtext x="19" y="0.5" text-anchor="middle" { "× 1" } } };
        entries.push((38.0, mark, "weight in the objective of a phase".into()));
    }
    let (mut x, mut y) = (0.0, 10.0);
    let mut placed = vec![];
    for (w, mark, text) in entries {
        let wide = w + 6.0 + width(&text, 12.0);
        if x + wide > total && x > 0.0 {
            x = 0.0;
            y += 22.0;
        }
        placed.push(html! {
            g transform=(format!("translate({} {})", num(x), num(y))) { (mark) text.legend x=(num(w + 6.0)) { (text) } }
        });
        x += wide + 20.0;
    }
    (html! { @for e in &placed { (e) } }, y + 4.0)
}

/// The colour of stream `i`.
pub(super) fn stream(i: usize) -> usize {
    i % crate::describe::svg::STREAMS.len()
}
