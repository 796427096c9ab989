//! Names that are equal except for case, accents, spaces and punctuation.

/// A name without case, invisible characters, and the difference between a space, `_` and `-`. A letter with an
/// accent is `?`, whether it is written as one character (Linux, Windows) or as two (macOS).
pub(super) fn skeleton(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {}
            // Marks above and below letters, and the later parts of Korean syllables: with what is before them.
            '\u{300}'..='\u{36f}' | '\u{1160}'..='\u{11ff}' | '\u{3099}' | '\u{309a}' => {
                if out.pop().is_some() {
                    out.push('?');
                }
            }
            c if c.is_whitespace() || c == '_' || c == '-' => {
                if !out.ends_with('_') {
                    out.push('_');
                }
            }
            c if c.is_ascii() => out.push(c.to_ascii_lowercase()),
            _ => out.push('?'),
        }
    }
    out.trim_matches('_').to_owned()
}

/// The name that `word` most likely misspells, if one is similar.
pub(super) fn near<'a>(word: &str, names: &'a [String]) -> Option<&'a str> {
    let word: String = word.to_lowercase().chars().take(64).collect();
    let allowed = match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    let edits = |name: &String| strsim::damerau_levenshtein(&word, &name.to_lowercase());
    let nearest = names.iter().min_by_key(|n| edits(n))?;
    (edits(nearest) <= allowed).then_some(nearest.as_str())
}
