//! Labels as written: numbers from 0, names of classes, or a mark for none.

use super::separator::{MARKS, unquoted};
use super::words::{near, skeleton};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// Maximum number of labels of a list for which a similar name is searched: each is compared to all names.
const SUGGESTIONS: usize = 100;

/// How labels are read.
pub(super) struct Labels<'a> {
    names: Option<Names<'a>>,
    suggested: Cell<usize>,
    written: Cell<Written>,
    /// The first two labels that are no class, and whether one is like them.
    foreign: RefCell<Vec<(String, bool)>>,
}

/// How the labels that were read are written.
#[derive(Clone, Copy, Default)]
struct Written {
    /// The least and the largest number, including those beyond the classes.
    numbers: Option<(usize, usize)>,
    /// Whether one is the name of a class, or meant to be.
    names: bool,
}

struct Names<'a> {
    all: &'a [String],
    /// By name, its words separated by one space.
    exact: HashMap<String, usize>,
    /// By the name without case and punctuation; the first of several.
    loose: HashMap<String, usize>,
    /// Words of the longest name.
    words: usize,
    /// Whether a name has a mark that separates columns.
    marked: bool,
}

/// A label at one end of a line.
pub(super) struct Found {
    /// The number of words.
    pub words: usize,
    /// Whether fewer words are a label, too.
    pub doubtful: bool,
}

impl<'a> Labels<'a> {
    pub(super) fn of(classes: Option<&'a [String]>) -> Self {
        let names = classes.map(|all| {
            let mut loose = HashMap::new();
            for (i, name) in all.iter().enumerate() {
                loose.entry(skeleton(name)).or_insert(i);
            }
            Names {
                all,
                exact: all.iter().map(|n| joined(n)).zip(0..).collect(),
                loose,
                words: all.iter().map(|n| n.split_whitespace().count()).max().unwrap_or(1),
                marked: all.iter().any(|n| n.bytes().any(|b| MARKS.contains(&b))),
            }
        });
        Self {
            names,
            suggested: Cell::default(),
            written: Cell::default(),
            foreign: RefCell::default(),
        }
    }

    /// The first label that is no class, unless it is the only one and like a class: then it may be misspelt.
    pub(super) fn foreign(&self) -> Option<String> {
        let foreign = self.foreign.borrow();
        let (first, like) = foreign.first()?;
        (foreign.len() > 1 || !like).then(|| first.clone())
    }

    fn note_foreign(&self, word: &str, like: bool) {
        let mut foreign = self.foreign.borrow_mut();
        if foreign.len() < 2 && foreign.iter().all(|(known, _)| known != word) {
            foreign.push((word.to_owned(), like));
        }
    }

    /// Whether the labels that were read are numbers, all of them.
    pub(super) fn numbered(&self) -> bool {
        let Written { numbers, names } = self.written.get();
        numbers.is_some() && !names
    }

    /// Whether they are the numbers of the classes from 1, where the classes are known.
    pub(super) fn begin_with_one(&self) -> bool {
        let count = self.names.as_ref().map(|n| n.all.len());
        self.numbered() && self.written.get().numbers == count.map(|n| (1, n))
    }

    fn note_number(&self, label: usize) {
        let mut written = self.written.get();
        let (least, most) = written.numbers.unwrap_or((label, label));
        written.numbers = Some((least.min(label), most.max(label)));
        self.written.set(written);
    }

    fn note_name(&self) {
        let names = true;
        self.written.set(Written {
            names,
            ..self.written.get()
        });
    }

    /// Whether the names of the classes are known.
    pub(super) fn named(&self) -> bool {
        self.names.is_some()
    }

    /// Whether a text is a label, valid or nearly so: a number, a mark for none, a class in any case.
    pub(super) fn like(&self, text: &str) -> bool {
        let text = unquoted(text);
        is_count(text) || is_none(text) || self.is_class(text)
    }

    fn is_class(&self, text: &str) -> bool {
        let Some(names) = &self.names else { return false };
        let text = unquoted(text);
        names.exact.contains_key(text) || names.exact.contains_key(&joined(text)) || {
            let loose = skeleton(text);
            !loose.is_empty() && names.loose.contains_key(&loose)
        }
    }

    /// The words at the end (or the beginning) of `words` that are a label: as many as make the name of a class, else
    /// one. `None` if that word is not a label either.
    pub(super) fn at(&self, words: &[&str], end: bool) -> Option<Found> {
        let part = |n: usize| match end {
            true => &words[words.len() - n..],
            false => &words[..n],
        };
        let most = self.names.as_ref().map_or(1, |n| n.words).min(words.len());
        let mut fits = (1..=most).rev().filter(|n| match n {
            1 => self.like(part(1)[0]),
            n => self.is_class(&part(*n).join(" ")),
        });
        Some(Found {
            words: fits.next()?,
            doubtful: fits.next().is_some(),
        })
    }

    /// The class that the fields from some place on are, where a mark in its name has separated them.
    pub(super) fn torn(&self, fields: &[&str], mark: char) -> Option<&'a str> {
        let names = self.names.as_ref().filter(|n| n.marked)?;
        (1..fields.len().saturating_sub(1)).find_map(|from| {
            let whole = [format!("{mark} "), mark.to_string()].map(|between| joined(&fields[from..].join(&between)));
            let at = whole.iter().find_map(|name| names.exact.get(name))?;
            names.all.get(*at).map(String::as_str)
        })
    }

    /// `context` describes what was expected where.
    ///
    /// # Errors
    /// A fragment that says what is wrong and what may be meant.
    pub(super) fn read(&self, word: &str, context: &dyn Fn() -> String) -> Result<Option<usize>, String> {
        if word == "-" {
            return Ok(None);
        }
        let Some(names) = &self.names else {
            return match whole(word) {
                _ if is_none(word) => Ok(None),
                Some(label) => {
                    self.note_number(label);
                    Ok(Some(label))
                }
                None => Err(format!(
                    "label {word:?} is not a number from 0{}{}; a video without a label has \"-\", and labels may be \
                     names where the classes are given (`classes`)",
                    context(),
                    why_not(word)
                )),
            };
        };
        let exact = names
            .exact
            .get(word)
            .or_else(|| names.exact.get(&joined(word)))
            .copied();
        let number = whole(word);
        match number {
            Some(number) if exact.is_none_or(|label| label == number) => self.note_number(number),
            None if is_none(word) && exact.is_none() => {}
            _ => self.note_name(),
        }
        match (exact, number) {
            // A class that is named 1 but is not number 1.
            (Some(label), Some(number)) if number != label && number < names.all.len() => Err(format!(
                "label {word:?} can be read in two ways: class number {number}, {:?}, or the class that is named {word:?}, \
                 number {label}; give the classes names that are no numbers, or leave `classes` out",
                names.all[number]
            )),
            (Some(label), _) => Ok(Some(label)),
            (None, Some(label)) if label < names.all.len() => Ok(Some(label)),
            (None, Some(label)) => Err(format!(
                "label {label} {BEYOND} {} classes (0 to {}){}",
                names.all.len(),
                names.all.len().saturating_sub(1),
                if label == 255 { UNLABELLED } else { "" }
            )),
            (None, None) => match names.loose.get(&skeleton(word)) {
                Some(meant) => Err(format!(
                    "label {word:?} is no class: did you mean {:?}?",
                    names.all[*meant]
                )),
                None if is_none(word) => Ok(None),
                None => {
                    let suggestion = self.suggestion(word, names);
                    let mark = if suggestion.is_empty() { unlabelled(word) } else { "" };
                    if mark.is_empty() {
                        self.note_foreign(word, !suggestion.is_empty());
                    }
                    Err(format!("label {word:?} {NEITHER}{suggestion}{}{mark}", why_not(word)))
                }
            },
        }
    }

    /// The class of several words that the words at the end (or the beginning) of `words` most likely misspell, with those
    /// words; `words` has a path, too.
    pub(super) fn misspelt(&self, words: &[&str], end: bool) -> Option<String> {
        let names = self.names.as_ref()?;
        (2..=names.words.min(words.len().checked_sub(1)?)).rev().find_map(|n| {
            let part = match end {
                true => &words[words.len() - n..],
                false => &words[..n],
            };
            let written = part.join(" ");
            let suggestion = self.suggestion(&written, names);
            (!suggestion.is_empty()).then(|| format!("label {written:?} {NEITHER}{suggestion}"))
        })
    }

    fn suggestion(&self, word: &str, names: &Names<'_>) -> String {
        self.suggested.set(self.suggested.get().saturating_add(1));
        let meant = (self.suggested.get() <= SUGGESTIONS)
            .then(|| near(word, names.all))
            .flatten();
        meant.map_or(String::new(), |m| format!("; did you mean {m:?}?"))
    }
}

/// In the reason of a label that is not the number of a class.
pub(super) const BEYOND: &str = "is beyond the";

/// In the reason of a label that is no class.
pub(super) const NEITHER: &str = "is neither a class nor a number";

/// After a label that may mean that there is none.
const UNLABELLED: &str = "; a video without a label has \"-\"";

/// [`UNLABELLED`], if a label that is no class may mean that: a negative number, a sign, or a word for it.
fn unlabelled(word: &str) -> &'static str {
    const WORDS: [&str; 12] = [
        "?",
        "ignore",
        "missing",
        "no_label",
        "nolabel",
        "unannotated",
        "undefined",
        "unk",
        "unknown",
        "unlabel",
        "unlabeled",
        "unlabelled",
    ];
    let minus = [
        '-', '\u{2212}', '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{ff0d}',
    ];
    let negative = word.strip_prefix(minus).is_some_and(is_count);
    let sign = !word.chars().any(char::is_alphanumeric);
    let plain = word
        .trim_matches(['<', '>', '[', ']', '(', ')'])
        .to_lowercase()
        .replace([' ', '-'], "_");
    match negative || sign || WORDS.contains(&plain.as_str()) {
        true => UNLABELLED,
        false => "",
    }
}

/// Words separated by one space.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Marks for no label: of this program, of lists of TSN and losses of PyTorch, and of pandas.
pub(super) fn is_none(word: &str) -> bool {
    matches!(word, "-" | "-1" | "-1.0")
        || ["nan", "none", "null", "na", "n/a", "<na>"]
            .iter()
            .any(|n| word.eq_ignore_ascii_case(n))
}

/// Digits, possibly with the `.0` that pandas adds to integers in a column with gaps.
pub(super) fn is_count(word: &str) -> bool {
    let digits = word.strip_suffix(".0").unwrap_or(word);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// A number from 0, of [`is_count`].
pub(super) fn whole(word: &str) -> Option<usize> {
    let digits = word.strip_suffix(".0").unwrap_or(word);
    is_count(word).then(|| digits.parse().ok()).flatten()
}

/// What an invalid number may be, as a clause of a message.
pub(super) fn why_not(word: &str) -> &'static str {
    let body = word.strip_prefix('-').unwrap_or(word);
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let marks = || body.split(['.', ',', ' ', '\'', '\u{a0}', '\u{202f}']).all(digits) && !digits(body);
    if is_count(word) {
        " (it is too large)"
    } else if word.starts_with('-') && digits(body) {
        " (it is negative)"
    } else if marks() {
        " (write it in digits alone: a point, comma or space in it may part thousands or decimals, or several labels)"
    } else if body.strip_suffix([',', ';', '.']).is_some_and(digits) {
        " (take the mark at its end away)"
    } else if body.starts_with('[') || body.ends_with(']') {
        " (a video has one label, without brackets)"
    } else if word.len() > 1
        && word
            .strip_prefix(['"', '\''])
            .is_some_and(|w| digits(w.trim_end_matches(['"', '\''])))
    {
        " (take the quotes away)"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::bad;
    use super::super::{ListOptions, parse_list, scan};

    fn classes(names: &[&str]) -> ListOptions {
        ListOptions {
            classes: Some(names.iter().map(|n| n.to_string()).collect()),
            ..ListOptions::default()
        }
    }

    #[test]
    fn marks_for_no_label_that_are_not_read_get_the_one_that_is() {
        let two = classes(&["walk", "run"]);
        let hint = "; a video without a label has \"-\"";
        for mark in [
            "?",
            "unknown",
            "<UNK>",
            "Unlabeled",
            "--",
            "_",
            "-2",
            "-100",
            "\u{2212}1",
            "\u{2014}",
            "\"\"",
            "255",
        ] {
            let found = bad(&format!("a.mp4 {mark}\nb.mp4 run\n"), &two);
            assert!(found.len() == 1 && found[0].ends_with(hint), "{mark}: {found:?}");
        }
        for other in ["jump", "walkk", "7", "x-2"] {
            let found = bad(&format!("a.mp4 {other}\nb.mp4 run\n"), &two);
            assert!(found.len() == 1 && !found[0].contains(hint), "{other}: {found:?}");
        }
    }

    #[test]
    fn classes_of_several_words_are_recognised_where_misspelt_or_torn() {
        let named = classes(&["walk", "riding a bike", "pick up, throw"]);
        assert_eq!(
            bad("v/a.mp4 ridin a bike\nv/b.mp4 walk\n", &named),
            ["1: label \"ridin a bike\" is neither a class nor a number; did you mean \"riding a bike\"?"]
        );
        assert_eq!(
            bad("v/a.mp4 3 riding a bik\nv/b.mp4 4 walk\n", &named),
            ["1: label \"riding a bik\" is neither a class nor a number; did you mean \"riding a bike\"?"]
        );
        let torn = bad("v/a.mp4,pick up, throw\nv/c.mp4,walk,\n", &named);
        let reason =
            "label \"pick up, throw\" holds the mark that separates the columns: put it in quotes, \"pick up, throw\"";
        assert_eq!(torn, [format!("1: {reason}")], "{torn:?}");
        let quoted = parse_list(b"v/a.mp4,\"pick up, throw\"\nv/c.mp4,walk\n", &named).unwrap();
        assert_eq!(quoted.get(0).unwrap().label, Some(2));
    }

    /// The names of the classes may be what is wrong where all labels are, unless it is one that may be misspelt, or one line.
    #[test]
    fn labels_that_are_all_foreign_are_told_apart() {
        let foreign = |text: &str| {
            scan(text.as_bytes(), &classes(&["0 walking", "0 running"]))
                .unwrap()
                .foreign
        };
        assert_eq!(foreign("a.mp4 walk\nb.mp4 run\nc.mp4 -\n"), Some("walk".into()));
        for text in [
            "a.mp4 walk\n",
            "a.mp4 walk\nb.mp4 1\n",
            "a.mp4 ?\nb.mp4 ?\n",
            "a.mp4 walk\nb.mp4 2\n",
            "a.mp4 -\nb.mp4 -\n",
        ] {
            assert_eq!(foreign(text), None, "{text}");
        }
        let hashed = |text: &str| scan(text.as_bytes(), &classes(&["#walk", "#run"])).unwrap().foreign;
        assert_eq!(hashed("a.mp4 walk\nb.mp4 run\n"), Some("walk".into()));
        assert_eq!(hashed("a.mp4 walk\nb.mp4 walk\n"), None);
    }
}
