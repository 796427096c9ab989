//! A first line that names the columns.

use super::columns::Columns;
use super::labels::{Labels, is_count};
use super::separator::{MARKS, Separator};

/// The contents of a first line.
pub(super) struct Header {
    pub separator: Separator,
    /// The columns; or why they are invalid, as a fragment.
    pub columns: Result<Columns, String>,
}

/// The meaning of a column's name: a name that [`Columns::parse`] knows.
fn meaning(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    Some(match name.as_str() {
        "path" | "video" | "video_path" | "file" | "file_name" | "filename" | "file_path" | "filepath" | "clip" => {
            "path"
        }
        "label" | "class" | "class_id" | "class_name" | "category" | "action" => "label",
        "frames" | "num_frames" | "n_frames" | "nframes" | "frame_count" | "total_frames" => "frames",
        "offset" => "offset",
        "start" | "start_frame" => "start",
        "stop" | "stop_frame" => "stop",
        "" | "_" | "index" => "_",
        // pandas, of a column without a name
        n if n.starts_with("unnamed:") => "_",
        _ => return None,
    })
}

/// Whether the first line names columns, and which.
pub(super) fn read(line: &str, labels: &Labels<'_>) -> Option<Header> {
    let mut names = vec![];
    let marks = MARKS.into_iter().map(Separator::Mark);
    for separator in marks.chain([Separator::Blanks]) {
        separator.split(line, &mut names);
        // Columns that are empty in every row have no name, and checksums are not a column.
        while names
            .last()
            .is_some_and(|n| n.is_empty() || n.eq_ignore_ascii_case("checksum"))
        {
            names.pop();
        }
        let names_only = names
            .iter()
            .all(|n| !is_count(n) && !n.contains(['/', '\\', '.']) && !labels.like(n));
        if names.len() < 2 || !names_only {
            continue;
        }
        let meanings: Vec<Option<&str>> = names.iter().map(|n| meaning(n)).collect();
        let known = meanings.iter().flatten().filter(|m| **m != "_").count();
        let path = meanings.contains(&Some("path"));
        let unknown: Vec<String> = names
            .iter()
            .zip(&meanings)
            .filter(|(_, m)| m.is_none())
            .map(|(n, _)| format!("`{n}`"))
            .collect();
        let is_header = match separator {
            Separator::Blanks => path && unknown.is_empty(),
            // A video named `video` with its class is not a header.
            Separator::Mark(_) => path && (known > 1 || unknown.is_empty()) || known > 0 && names.len() > 2,
        };
        if !is_header {
            continue;
        }
        let columns = match (path, unknown.as_slice()) {
            (false, _) => Err(format!(
                "names columns ({}), none of them the videos' path: name that column `path`; the others may be {KNOWN}",
                names.join(", ")
            )),
            (true, []) => Columns::parse(&meanings.iter().map(|m| m.unwrap_or("_")).collect::<Vec<_>>().join(" "))
                .map_err(|e| format!("names the columns, but {e}")),
            (true, unknown) => Err(format!(
                "names a column that is not known, {}: known are path, {KNOWN}; name those that are not needed `_`",
                unknown.join(", ")
            )),
        };
        return Some(Header { separator, columns });
    }
    None
}

const KNOWN: &str = "label, frames, offset, start and stop";
