//! Names of classes with their numbers before or after them.

use super::super::separator::unquoted;
use super::{BadNames, is_heading};
use std::collections::HashSet;

/// The names, by their lines.
type Names = Vec<(usize, String)>;

/// The names in the order of their numbers, where all lines have one; else as they are.
///
/// # Errors
/// The numbers are other ones than 0 to one less than the number of lines.
pub(super) fn read(names: Names) -> Result<Names, BadNames> {
    for form in [Form::Before, Form::After] {
        let heading = names.first().is_some_and(|(_, name)| form.is_heading(name));
        let rows = &names[usize::from(heading)..];
        let Some(numbered) = rows
            .iter()
            .map(|(line, row)| form.split(row).map(|r| (*line, r)))
            .collect()
        else {
            continue;
        };
        match ordered(numbered, form, heading) {
            None => continue,
            Some(Ok(found)) => return Ok(found),
            Some(Err(from)) => {
                let (line, row) = &rows[0];
                return Err(BadNames {
                    what: format!("numbers its lines {from}, as {row:?} has it"),
                    advice: format!(
                        "number them from 0 to {}, or take the numbers away: a class's number is then its place, from 0; labels \
                         that are numbers have to count from 0, too",
                        rows.len() - 1
                    ),
                    lines: vec![*line],
                });
            }
        }
    }
    Ok(names)
}

/// Where the number of a line is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Before,
    After,
}

/// A line: its number, its name, and whether only a blank separates them.
struct Row<'a> {
    number: usize,
    name: &'a str,
    blank: bool,
}

impl Form {
    fn split(self, row: &str) -> Option<Row<'_>> {
        let between = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | ')' | '.');
        let (number, name) = match self {
            Self::Before => row.split_at(row.find(between)?),
            Self::After => {
                let (at, c) = row
                    .char_indices()
                    .rfind(|(_, c)| between(*c) && !matches!(c, ')' | '.'))?;
                let (name, number) = row.split_at(at + c.len_utf8());
                (number, name)
            }
        };
        let marks = |c: char| between(c) && !c.is_whitespace();
        let parted = match self {
            Self::Before => name.trim_start(),
            Self::After => name.trim_end(),
        };
        // `0.5x speed` is a name.
        if self == Self::Before
            && name
                .strip_prefix('.')
                .is_some_and(|n| !n.starts_with(char::is_whitespace))
        {
            return None;
        }
        let bare = match self {
            Self::Before => parted.strip_prefix(marks).unwrap_or(parted),
            Self::After => parted.strip_suffix([',', ';', ':']).unwrap_or(parted),
        };
        let number = unquoted(number.trim());
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let name = unquoted(bare.trim());
        (digits && !name.is_empty()).then_some(Row {
            number: number.parse().ok()?,
            name,
            blank: bare.len() == parted.len(),
        })
    }

    /// Whether a first line names two columns: numbers and names.
    fn is_heading(self, row: &str) -> bool {
        const NUMBERS: [&str; 11] = [
            "#",
            "class_id",
            "class_index",
            "id",
            "idx",
            "index",
            "label",
            "label_id",
            "no",
            "number",
            "class",
        ];
        let fields: Vec<&str> = match row.contains([',', ';', '\t']) {
            true => row.split([',', ';', '\t']).collect(),
            false => row.split_whitespace().collect(),
        };
        let [a, b] = fields.as_slice() else { return false };
        let (number, name) = if self == Self::Before { (a, b) } else { (b, a) };
        NUMBERS.contains(&unquoted(number.trim()).to_lowercase().as_str()) && is_heading(unquoted(name.trim()))
    }
}

/// The names by their numbers; how they count, where it is not from 0; `None` where the numbers are parts of names.
fn ordered(rows: Vec<(usize, Row<'_>)>, form: Form, heading: bool) -> Option<Result<Names, String>> {
    let numbers: HashSet<usize> = rows.iter().map(|(_, r)| r.number).collect();
    let names: HashSet<&str> = rows.iter().map(|(_, r)| r.name).collect();
    let n = rows.len();
    let from = |first: usize| numbers.len() == n && numbers.iter().all(|k| (first..first + n).contains(k));
    let blank = rows.iter().any(|(_, r)| r.blank);
    // `level 0` and `level 1` are names, and so is a single line.
    if n < 2 && !heading || blank && names.len() < n {
        None
    } else if from(0) {
        let mut rows = rows;
        rows.sort_by_key(|(_, r)| r.number);
        Some(Ok(rows
            .into_iter()
            .map(|(line, r)| (line, r.name.to_owned()))
            .collect()))
    } else if from(1) && (form == Form::Before || !blank || heading) {
        Some(Err("from 1".into()))
    } else if !blank || heading || form == Form::Before && numbers.contains(&0) {
        Some(Err(format!("otherwise than from 0 to {}", n - 1)))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::class_names;

    #[test]
    fn numbers_of_classes_order_them() {
        for text in [
            "0 walk\n1 run\n2 riding bike\n",
            "1 run\n2 riding bike\n0 walk\n",
            "walk 0\nrun 1\nriding bike 2\n",
            "0,walk\n1,run\n2,riding bike\n",
            "walk,0\nriding bike,2\nrun,1\n",
            "id,name\n0,walk\n1,run\n2,riding bike\n",
            "name,id\nwalk,0\nrun,1\nriding bike,2\n",
            "id;name\n0;walk\n1;run\n2;\"riding bike\"\n",
            "\"id\",\"name\"\n\"0\",\"walk\"\n\"1\",\"run\"\n\"2\",\"riding bike\"\n",
            "0: walk\n1: run\n2: 'riding bike'\n",
            "0. walk\n1. run\n2. riding bike\n",
            "0) walk\n1) run\n2) riding bike\n",
            "0\twalk\n1\trun\n2\triding bike\n",
            "- walk\n- run\n- 'riding bike'\n",
        ] {
            assert_eq!(
                class_names(text.as_bytes()).unwrap(),
                ["walk", "run", "riding bike"],
                "{text}"
            );
        }
        assert_eq!(class_names(b"index,action\n0,walk\n").unwrap(), ["walk"]);
    }

    #[test]
    fn numbers_that_are_parts_of_names_stay() {
        for text in [
            "level 0\nlevel 1\n",
            "0.5x speed\n1.5x speed\n",
            "2 people\n3 people\n",
            "walk\n0 run\n",
            "0\n1\n",
            "walk, 2 legs\nrun, 4 legs\n",
            "talk to (e.g., self)\ncarry/hold\n",
            "stage 4\nlevel 7\n",
        ] {
            let names: Vec<&str> = text.lines().collect();
            assert_eq!(class_names(text.as_bytes()).unwrap(), names, "{text}");
        }
    }

    #[test]
    fn other_numbers_are_refused_at_their_first_line() {
        for (text, what, line) in [
            ("1 walk\n2 run\n", "numbers its lines from 1, as \"1 walk\" has it", 1),
            (
                "id,name\n2,walk\n1,run\n",
                "numbers its lines from 1, as \"2,walk\" has it",
                2,
            ),
            ("walk,1\nrun,2\n", "numbers its lines from 1, as \"walk,1\" has it", 1),
            (
                "0 walk\n5 run\n",
                "numbers its lines otherwise than from 0 to 1, as \"0 walk\" has it",
                1,
            ),
            (
                "0,walk\n0,run\n",
                "numbers its lines otherwise than from 0 to 1, as \"0,walk\" has it",
                1,
            ),
        ] {
            let e = class_names(text.as_bytes()).unwrap_err();
            assert_eq!((e.what.as_str(), e.lines), (what, vec![line]), "{text}");
        }
    }

    #[test]
    fn other_files_are_named() {
        for (text, what) in [
            (
                "v/a.mp4 walk\nv/b.MP4 run\n",
                "is a list of videos, not a file of class names, as \"v/a.mp4 walk\" has it",
            ),
            (
                "item {\n  id: 1\n  name: 'walk'\n}\n",
                "is a label map (pbtxt), not a file of class names",
            ),
            ("walk run\n", "names one class, \"walk run\""),
            ("walk, run\n", "names one class, \"walk, run\""),
        ] {
            let e = class_names(text.as_bytes()).unwrap_err();
            assert_eq!((e.what.as_str(), e.lines.as_slice()), (what, &[1][..]), "{text}");
            assert!(
                e.advice.starts_with("write the names of the classes, one a line"),
                "{e:?}"
            );
        }
        assert_eq!(class_names(b"walk\n").unwrap(), ["walk"]);
    }
}
