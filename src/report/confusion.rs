//! A picture of a confusion matrix.

use super::scores::{class_name, percent};
use crate::describe::svg::{SANS, num, rule, style, width};
use maud::{Markup, PreEscaped, html};

const CLASS: &str = "glad-confusion";
const CELL: f64 = 46.0;
const SIZE: f64 = 12.0;
/// Above so many classes cells are smaller and hold no numbers.
const MANY: usize = 24;

/// Rows: true class; columns: predicted class. Each cell has the share of its row, which is its colour; the diagonal is
/// the recall of each class.
pub(super) fn confusion(title: &str, classes: &[String], counts: &[Vec<u64>]) -> String {
    let n = counts.len();
    let many = n > MANY;
    let cell = if many { (620.0 / n as f64).max(6.0) } else { CELL };
    let names: Vec<String> = (0..n).map(|i| class_name(classes, i)).collect();
    let size = if many { cell.clamp(7.0, SIZE) } else { SIZE };
    let label = names.iter().map(|t| width(t, size)).fold(20.0, f64::max);
    let (left, top) = (label + 54.0, 66.0 + label * 0.72 + 22.0);
    let right = 120.0;
    let (w, h) = (left + cell * n as f64 + right, top + cell * n as f64 + 24.0);
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
            text.faint x="24" y="51" { "rows: true class, columns: predicted; percent of a row's videos" }
            @for (i, name) in names.iter().enumerate() {
                @let x = left + cell * (i as f64 + 0.5);
                text.label transform=(format!("translate({} {}) rotate(-45)", num(x + 4.0), num(top - 9.0))) { (name) }
                text.label x=(num(left - 10.0)) y=(num(top + cell * (i as f64 + 0.5) + size * 0.36)) text-anchor="end" { (name) }
            }
            @for (i, (y, row, total)) in rows.iter().enumerate() {
                @for (j, count) in row.iter().enumerate() {
                    (square(i == j, (left + cell * j as f64, *y), cell, *count, *total, many, (&names[i], &names[j])))
                }
                text.count x=(num(left + cell * n as f64 + 10.0)) y=(num(y + cell / 2.0 + size * 0.36)) {
                    @if *total > 0 { (total) } @else { "none" }
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
    let inner = cell - if many { 0.5 } else { 2.0 };
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
    format!(
        ".{CLASS} text{{font-family:{SANS}}}
.{CLASS} .title{{font-size:17px;font-weight:650}}
.{CLASS} .faint{{font-size:12px}}
.{CLASS} .label{{font-size:{size}px}}
.{CLASS} .count{{font-size:11px}}
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

    #[test]
    fn shares_are_of_rows() {
        let classes = ["run <fast>".to_string(), "jump".to_string()];
        let svg = confusion("target & all", &classes, &[vec![3, 1], vec![0, 0]]);
        assert!(svg.contains("run &lt;fast&gt; → jump: 1 of 4 (25.0 %)"), "{svg}");
        assert!(svg.contains(">75</text>") && svg.contains(">25</text>"));
        assert!(svg.contains("target &amp; all") && svg.contains(">none</text>"));
    }
}
