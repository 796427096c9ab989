//! A picture of a confusion matrix.

use super::scores::{class_name, percent};
use crate::describe::svg::{SANS, num, rule, shortened, style, width};
use maud::{Markup, PreEscaped, html};

const CLASS: &str = "glad-confusion";
const CELL: f64 = 46.0;
const SIZE: f64 = 12.0;
/// Above this number of classes cells are smaller and hold no numbers.
const MANY: usize = 24;
/// The least distance of labels; where cells are smaller, only some are labelled.
const LINE: f64 = 9.0;
/// The most characters of a label.
const LETTERS: usize = 28;

/// Sizes for a given number of classes.
struct Sizes {
    cell: f64,
    text: f64,
    /// One label per this many rows and columns.
    every: usize,
}

impl Sizes {
    fn of(classes: usize) -> Sizes {
        let n = classes as f64;
        let cell = match classes {
            0..=MANY => CELL,
            // Each has its label up to 150 classes; larger matrices keep the same size.
            25..=150 => (900.0 / n).clamp(LINE, 30.0),
            _ => (150.0 * LINE / n).max(1.0),
        };
        Sizes {
            cell,
            text: (cell - 1.0).clamp(LINE - 1.0, SIZE),
            every: (LINE / cell).ceil() as usize,
        }
    }
}

const SUBTITLE: &str = "rows: true class, columns: predicted; percent of a row's videos";

/// Rows: true class; columns: predicted class. Each cell shows its share of the row as colour; the diagonal is the
/// recall of each class.
pub(super) fn confusion(title: &str, classes: &[String], counts: &[Vec<u64>]) -> String {
    let n = counts.len();
    let many = n > MANY;
    let Sizes {
        cell,
        text: size,
        every,
    } = Sizes::of(n);
    let names: Vec<String> = (0..n).map(|i| class_name(classes, i)).collect();
    let labels: Vec<String> = names.iter().map(|t| shortened(t, LETTERS)).collect();
    let label = labels.iter().map(|t| width(t, size)).fold(20.0, f64::max);
    // Labels of columns are slanted where there is space, else upright.
    let (slope, rise) = if many { (-90, 1.0) } else { (-45, 0.72) };
    let (left, top) = (label + 54.0, 66.0 + label * rise + 22.0);
    let right = if many { 120.0 } else { (label * rise).max(120.0) };
    let heading = width(title, 17.0).max(width(SUBTITLE, SIZE)) + 48.0;
    let (w, h) = (
        (left + cell * n as f64 + right).max(heading),
        top + cell * n as f64 + 24.0,
    );
    let labelled = |i: &usize| i.is_multiple_of(every);
    let rows: Vec<(f64, &Vec<u64>, u64)> = counts
        .iter()
        .enumerate()
        .map(|(i, r)| (top + cell * i as f64, r, r.iter().sum()))
        .collect();
    let svg = html! {
        svg.(CLASS) xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {} {}", num(w), num(h)))
            width=(num(w)) height=(num(h)) role="img" {
            title { (title) }
            style { (PreEscaped(css(size))) }
            rect.page width=(num(w)) height=(num(h)) {}
            text.title x="24" y="32" { (title) }
            text.faint x="24" y="51" { (SUBTITLE) }
            @for (i, name) in labels.iter().enumerate().filter(|(i, _)| labelled(i)) {
                @let x = left + cell * (i as f64 + 0.5) + if many { size * 0.36 } else { 4.0 };
                text.label transform=(format!("translate({} {}) rotate({slope})", num(x), num(top - 9.0))) { (name) }
                text.label x=(num(left - 10.0)) y=(num(top + cell * (i as f64 + 0.5) + size * 0.36)) text-anchor="end" { (name) }
            }
            @for (i, (y, row, total)) in rows.iter().enumerate() {
                @for (j, count) in row.iter().enumerate() {
                    (square(i == j, (left + cell * j as f64, *y), cell, *count, *total, many, (&names[i], &names[j])))
                }
                @if labelled(&i) {
                    text.count x=(num(left + cell * n as f64 + 10.0)) y=(num(y + cell / 2.0 + size * 0.36)) {
                        @if *total > 0 { (total) } @else { "none" }
                    }
                }
            }
            text.count x=(num(left + cell * n as f64 + 10.0)) y=(num(top - 10.0)) { "videos" }
        }
    };
    svg.into_string() + "\n"
}

fn square(
    diagonal: bool,
    at: (f64, f64),
    cell: f64,
    count: u64,
    total: u64,
    many: bool,
    names: (&str, &str),
) -> Markup {
    let share = if total > 0 { count as f64 / total as f64 } else { 0.0 };
    let inner = cell - if many { (cell / 12.0).min(0.5) } else { 2.0 };
    let gap = (cell - inner) / 2.0;
    let text = num((100.0 * share).round());
    let words = if share > 0.68 { "cell high" } else { "cell" };
    html! {
        g {
            title { (names.0) " → " (names.1) ": " (count) " of " (total) " (" (percent(share)) ")" }
            rect.empty x=(num(at.0 + gap)) y=(num(at.1 + gap)) width=(num(inner)) height=(num(inner)) rx=(if many { "0" } else { "4" }) {}
            @if count > 0 {
                rect class=(if diagonal { "right" } else { "wrong" }) fill-opacity=(format!("{:.3}", 0.08 + 0.92 * share))
                    x=(num(at.0 + gap)) y=(num(at.1 + gap)) width=(num(inner)) height=(num(inner)) rx=(if many { "0" } else { "4" }) {}
                @if !many {
                    text class=(words) x=(num(at.0 + cell / 2.0)) y=(num(at.1 + cell / 2.0 + 4.2)) text-anchor="middle" { (text) }
                }
            }
        }
    }
}

fn css(size: f64) -> String {
    let count = size.min(11.0);
    format!(
        ".{CLASS} text{{font-family:{SANS}}}
.{CLASS} .title{{font-size:17px;font-weight:650}}
.{CLASS} .faint{{font-size:12px}}
.{CLASS} .label{{font-size:{size}px}}
.{CLASS} .count{{font-size:{count}px}}
.{CLASS} .cell{{font-size:12px;font-variant-numeric:tabular-nums}}
"
    ) + &style(CLASS, |base, dark| {
        vec![
            rule(".page", format!("fill:{}", base.page)),
            rule("text", format!("fill:{}", base.word)),
            rule(".faint", format!("fill:{}", base.faint)),
            rule(".count", format!("fill:{}", base.faint)),
            rule(".empty", format!("fill:{}", base.area)),
            rule(".right", format!("fill:{}", if dark { "#4fb384" } else { "#1f8f61" })),
            rule(".wrong", format!("fill:{}", if dark { "#d9795a" } else { "#cf5a35" })),
            rule(
                ".cell.high",
                format!("fill:{}", if dark { "#0c1410" } else { "#ffffff" }),
            ),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The distance of labels is never less than their height.
    #[test]
    fn labels_do_not_overlap() {
        for n in [2, 12, 24, 25, 51, 101, 150, 174, 400, 700] {
            let s = Sizes::of(n);
            assert!(s.cell * s.every as f64 >= s.text + 0.9, "{n}");
            assert!(n > 150 || s.every == 1, "{n}: all are named");
            assert!(s.cell * n as f64 <= 1400.0, "{n}: {}", s.cell * n as f64);
            let classes: Vec<String> = (0..n).map(|i| format!("class number {i}")).collect();
            let counts: Vec<Vec<u64>> = (0..n).map(|i| (0..n).map(|j| u64::from(i == j)).collect()).collect();
            let svg = confusion("view infer, stream target", &classes, &counts);
            let labels = svg.matches("class=\"label\"").count();
            assert_eq!(labels, 2 * n.div_ceil(s.every), "{n}");
        }
    }

    #[test]
    fn shares_are_of_rows() {
        let classes = ["run <fast>".to_string(), "jump".to_string()];
        let svg = confusion("target & all", &classes, &[vec![3, 1], vec![0, 0]]);
        assert!(svg.contains("run &lt;fast&gt; → jump: 1 of 4 (25.0 %)"), "{svg}");
        assert!(svg.contains(">75</text>") && svg.contains(">25</text>"));
        assert!(svg.contains("target &amp; all") && svg.contains(">none</text>"));
    }
}
