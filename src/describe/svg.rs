//! What all pictures share: numbers, widths of text, colours for light and dark.

/// System fonts; none is fetched.
pub(crate) const SANS: &str = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif";

/// The same, monospaced.
pub(crate) const MONO: &str = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace";

/// A coordinate, to a tenth.
pub(crate) fn num(x: f64) -> String {
    let r = (x * 10.0).round() / 10.0;
    // Not `-0`.
    format!("{}", if r == 0.0 { 0.0 } else { r })
}

/// How wide `text` is in about any system's sans-serif font, a little generously.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.31,
        'f' | 't' | 'r' | ' ' | '(' | ')' | '[' | ']' | '-' | '/' | '·' => 0.40,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.92,
        'A'..='Z' => 0.71,
        '0'..='9' => 0.62,
        _ => 0.61,
    };
    text.chars().map(em).sum::<f64>() * size
}

/// How wide `text` is in a monospaced font.
pub(crate) fn mono_width(text: &str, size: f64) -> f64 {
    0.61 * size * text.chars().count() as f64
}

/// `text` in at most `most` characters, with an ellipsis for what is left out.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_string(),
        Some(_) => {
            let head: String = text.chars().take(most.saturating_sub(1)).collect();
            format!("{}…", head.trim_end())
        }
    }
}

/// A colour as a fill, a line and a text, on white and on black.
#[derive(Clone, Copy)]
pub(crate) struct Paint {
    /// On white.
    pub light: [&'static str; 3],
    /// On black.
    pub dark: [&'static str; 3],
}

const fn paint(light: [&'static str; 3], dark: [&'static str; 3]) -> Paint {
    Paint { light, dark }
}

/// Colours of the groups of kinds, by name.
pub(crate) const GROUPS: [(&str, Paint); 7] = [
    (
        "data",
        paint(["#e3f2fb", "#5aa9d6", "#0b4f76"], ["#10303f", "#4b9cc9", "#bfe3f7"]),
    ),
    (
        "model",
        paint(["#ece9fb", "#8f80dc", "#40318f"], ["#28214d", "#8b7ce0", "#d9d2ff"]),
    ),
    (
        "align",
        paint(["#fdf0d3", "#dda32f", "#74500a"], ["#3d2e0c", "#cf9a33", "#fae2ae"]),
    ),
    (
        "order",
        paint(["#dcf3e6", "#4fb384", "#11593a"], ["#0f3425", "#48a97d", "#b9ecd3"]),
    ),
    (
        "loss",
        paint(["#fde4e3", "#de6b66", "#852420"], ["#431b1a", "#d96a66", "#ffcfcc"]),
    ),
    (
        "tensor",
        paint(["#f0f2f5", "#a3adba", "#3e4956"], ["#242a32", "#7d8794", "#d3dae3"]),
    ),
    (
        "metric",
        paint(["#fbe5f1", "#d273a7", "#7a1f52"], ["#3f1a2e", "#cc70a2", "#fbcfe4"]),
    ),
];

/// Colours of lines: of the streams in their order, then again from the first.
pub(crate) const STREAMS: [(&str, &str); 5] = [
    ("#2b6cdf", "#6ea3ff"),
    ("#e0701d", "#ff9a4d"),
    ("#1c9a6c", "#4fd0a0"),
    ("#9b4fd0", "#c58af0"),
    ("#c2375d", "#ff7d9f"),
];

/// Neutral colours: page, faint areas, lines, text, faint text; on white and on black.
pub(crate) const LIGHT: Base = Base {
    page: "#ffffff",
    area: "#f6f8fa",
    line: "#d5dbe1",
    word: "#1b2430",
    faint: "#667281",
    flow: "#76828f",
};
/// On black.
pub(crate) const DARK: Base = Base {
    page: "#0f141a",
    area: "#161d25",
    line: "#2f3a45",
    word: "#e4eaf0",
    faint: "#93a0ad",
    flow: "#8a96a3",
};

/// The neutral colours of a picture.
pub(crate) struct Base {
    /// The page.
    pub page: &'static str,
    /// Areas on the page.
    pub area: &'static str,
    /// Lines and frames.
    pub line: &'static str,
    /// Words.
    pub word: &'static str,
    /// Less important words.
    pub faint: &'static str,
    /// Edges of all streams.
    pub flow: &'static str,
}

/// Style rules below `.class`, for white and for black: `rules` is called for each.
pub(crate) fn style(class: &str, rules: impl Fn(&Base, bool) -> Vec<(String, String)>) -> String {
    let block = |base: &Base, dark: bool| -> String {
        rules(base, dark)
            .iter()
            .map(|(sel, decl)| format!(".{class} {sel}{{{decl}}}\n"))
            .collect()
    };
    format!(
        "{}@media (prefers-color-scheme:dark){{\n{}}}\n",
        block(&LIGHT, false),
        block(&DARK, true)
    )
}

/// A rule of [`style`].
pub(crate) fn rule(selector: impl Into<String>, declarations: impl Into<String>) -> (String, String) {
    (selector.into(), declarations.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([num(1.0), num(-0.04), num(2.25), num(-3.19)], ["1", "0", "2.3", "-3.2"]);
    }

    #[test]
    fn long_words_are_cut() {
        assert_eq!(shortened("clean_something", 8), "clean_s…");
        assert_eq!(shortened("größe", 5), "größe");
    }
}
