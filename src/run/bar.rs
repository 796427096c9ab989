//! The one line of a terminal that shows how far a phase or view is.

use console::{measure_text_width as wide, truncate_str};

/// What the line shows.
pub(super) struct Line<'a> {
    /// The phase or view.
    pub label: &'a str,
    /// How much of it is done.
    pub done: u64,
    /// How much there is.
    pub total: u64,
    /// How long it takes from here; empty where nothing is known.
    pub left: &'a str,
    /// Anything else, the most important first.
    pub words: &'a [String],
}

/// Columns that a bar takes at most, and at least.
const BAR: (usize, usize) = (24, 4);

/// The label, and what stands after it: bar, count, time left, then as many words as there is room for in `width` columns.
/// Nothing is cut: what does not fit whole is left out, with all that comes after it.
pub(super) fn line(width: usize, l: &Line<'_>) -> (String, String) {
    let label = truncate_str(l.label, width, "…").into_owned();
    let count = format!("{}/{}", l.done, l.total);
    let room = width.saturating_sub(wide(&label));
    let mut parts: Vec<&str> = [count.as_str(), l.left].into_iter().filter(|p| !p.is_empty()).collect();
    let taken = |parts: &[&str]| parts.iter().map(|p| 1 + wide(p)).sum::<usize>();
    // The time left matters more than the count, and the count more than the bar.
    while taken(&parts) > room {
        parts.remove(0);
    }
    let most = if width < 60 { BAR.0 / 3 } else { BAR.0 };
    let bar = room.saturating_sub(taken(&parts) + 1).min(most);
    let mut text = String::new();
    if bar >= BAR.1 {
        text += &drawn(bar, l.done, l.total);
    }
    for part in &parts {
        text += if text.is_empty() { "" } else { " " };
        text += part;
    }
    for word in l.words {
        if 1 + wide(&text) + 2 + wide(word) > room {
            break;
        }
        text += "  ";
        text += word;
    }
    (label, text)
}

fn drawn(columns: usize, done: u64, total: u64) -> String {
    let share = if total == 0 {
        0.0
    } else {
        done.min(total) as f64 / total as f64
    };
    let full = (share * columns as f64).floor() as usize;
    "█".repeat(full) + &"░".repeat(columns - full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: usize, label: &str, left: &str) -> String {
        let words = [
            "21 videos/s",
            "loss 2.514",
            "ce 2.402",
            "tol 0.693",
            "align_g 0.682",
            "align_l 0.690",
            "align_x 0.688",
            "waits for data 3 %, data waits 41 %",
        ]
        .map(String::from);
        let line = line(
            width,
            &Line {
                label,
                done: 120,
                total: 300,
                left,
                words: &words,
            },
        );
        let text = format!("{} {}", line.0, line.1);
        assert!(wide(text.trim_end()) <= width, "{width}: {text:?}");
        text
    }

    #[test]
    fn the_most_important_comes_first_and_nothing_is_cut() {
        let at = |width| shown(width, "main", "2 min 5 s left");
        assert_eq!(
            at(140),
            "main █████████░░░░░░░░░░░░░░░ 120/300 2 min 5 s left  21 videos/s  loss 2.514  ce 2.402  tol 0.693  align_g 0.682  \
             align_l 0.690"
        );
        assert_eq!(
            at(80),
            "main █████████░░░░░░░░░░░░░░░ 120/300 2 min 5 s left  21 videos/s  loss 2.514"
        );
        assert_eq!(at(40), "main ███░░░░░ 120/300 2 min 5 s left");
        assert_eq!(at(20), "main 2 min 5 s left");
        assert_eq!(at(3), "ma… ");
    }

    #[test]
    fn every_width_holds_its_line() {
        for width in 1..200 {
            for label in [
                "main",
                "a_phase_with_a_name_that_is_much_too_long_for_a_terminal",
                "训练",
            ] {
                for left in ["", "8 s left", "1234 h 59 min left"] {
                    shown(width, label, left);
                }
            }
        }
    }

    #[test]
    fn bars() {
        assert_eq!(drawn(4, 0, 0), "░░░░");
        assert_eq!(drawn(4, 299, 300), "███░");
        assert_eq!(drawn(4, 301, 300), "████");
    }
}
