//! Suggestions (did-you-mean).

/// `did you mean …?` for a word not in `known`; `None` where nothing is close to it.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = nearest(word, known);
    match near.as_slice() {
        [] => None,
        [one] => Some(format!("did you mean `{one}`?")),
        [most @ .., last] => {
            let most: Vec<_> = most.iter().map(|n| format!("`{n}`")).collect();
            Some(format!("did you mean {} or `{last}`?", most.join(", ")))
        }
    }
}

/// [`did_you_mean`], or, where nothing is close, the known words: `streams here: source, target`.
pub fn suggest<'a>(word: &str, what: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    did_you_mean(word, known.iter().copied()).unwrap_or_else(|| match known.as_slice() {
        [] => format!("there are no {what} here"),
        k => format!("{what} here: {}", k.join(", ")),
    })
}

/// At most three names that a typo could have come from, the closest first, a part of a name before any typo; ties keep
/// their order.
fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let lower = word.to_lowercase();
    // Of a long word only the start is compared: a word longer than any name is not a typo of one.
    let lower: String = lower.chars().take(64).collect();
    let mut scored: Vec<(usize, &str)> = vec![];
    for k in known {
        let name = k.to_lowercase();
        let edits = strsim::damerau_levenshtein(&lower, &name);
        let allowed = match lower.chars().count().max(name.chars().count()) {
            0..=2 => 1,
            3..=5 => 2,
            6..=8 => 3,
            n => n / 3,
        };
        // A word that is a complete part of the name (`clip` of `clip_norm`), or contains the name as a part.
        let part = lower.len() >= 3 && name.split(['_', '.']).any(|p| p == lower)
            || name.len() >= 3 && lower.split(['_', '.']).any(|p| p == name);
        // Where most letters would have to change, it is an abbreviation (`tgt`) or not a typo of the name (`init` of
        // `inputs`).
        let short =
            edits <= 1 || 2 * edits <= lower.chars().count().min(name.chars().count()) || abbreviates(&lower, &name);
        let shares = lower.chars().any(|c| name.contains(c));
        if k != word && shares && (edits <= allowed && short || part) && !scored.iter().any(|s| s.1 == k) {
            scored.push((if part { 0 } else { edits }, k));
        }
    }
    scored.sort_by_key(|s| s.0);
    let best = scored.first().map_or(0, |s| s.0);
    scored
        .into_iter()
        .take_while(|s| s.0 <= best + 1)
        .take(3)
        .map(|s| s.1)
        .collect()
}

/// Whether `short` is a subsequence of `long`.
fn abbreviates(short: &str, long: &str) -> bool {
    let mut rest = long.chars();
    short.chars().all(|c| rest.any(|r| r == c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos() {
        let known = ["source", "target", "auxiliary"];
        assert_eq!(did_you_mean("sorce", known).as_deref(), Some("did you mean `source`?"));
        assert_eq!(did_you_mean("Target", known).as_deref(), Some("did you mean `target`?"));
        assert_eq!(did_you_mean("tgt", known).as_deref(), Some("did you mean `target`?"));
        assert_eq!(did_you_mean("xyzzy", known), None);
        assert_eq!(did_you_mean("init", ["kind", "depth", "inputs"]), None);
        assert_eq!(
            suggest("xyzzy", "streams", known),
            "streams here: source, target, auxiliary"
        );
        assert_eq!(suggest("x", "streams", []), "there are no streams here");
    }

    #[test]
    fn several_and_parts() {
        assert_eq!(
            did_you_mean("align", ["align_g", "align_l", "tol"]).as_deref(),
            Some("did you mean `align_g` or `align_l`?")
        );
        assert_eq!(
            did_you_mean("clip", ["lr", "clip_norm"]).as_deref(),
            Some("did you mean `clip_norm`?")
        );
        assert_eq!(
            did_you_mean("i3d", ["mmd", "i3d_r50", "i3d_inception"]).as_deref(),
            Some("did you mean `i3d_r50` or `i3d_inception`?")
        );
        assert_eq!(did_you_mean("", ["lr"]), None);
    }
}
