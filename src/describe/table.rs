//! Text columns, and numbers in readable form.

/// Rows in aligned columns, the first row the headings, each line after `indent`. Columns of `right` are right-aligned;
/// the last column is not padded.
pub(crate) fn table(rows: &[Vec<String>], right: &[usize], indent: &str) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| {
        rows.iter()
            .filter_map(|r| r.get(c))
            .map(|s| s.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::from(indent);
        for (c, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[c] - cell.chars().count());
            match right.contains(&c) {
                true => line += &format!("{pad}{cell}"),
                false => line += &format!("{cell}{pad}"),
            }
            line += "  ";
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

/// `950`, `1.23 k`, `45.6 M`, `7.89 G`.
pub(super) fn count(n: u64) -> String {
    scaled(n, 1000.0, &["", " k", " M", " G", " T", " P"])
}

/// `950 B`, `1.23 KiB`, `45.6 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    scaled(n, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB"])
}

fn scaled(n: u64, step: f64, units: &[&str]) -> String {
    let (mut x, mut unit) = (n as f64, 0);
    // 999.6 would be written as 1000.
    while x >= step - 0.5 && unit + 1 < units.len() {
        x /= step;
        unit += 1;
    }
    let digits = match (unit, x) {
        (0, _) => 0,
        (_, x) if x < 9.995 => 2,
        (_, x) if x < 99.95 => 1,
        _ => 0,
    };
    format!("{x:.digits$}{}", units[unit])
}

/// `1,240,000`.
pub(super) fn thousands(n: usize) -> String {
    let s = n.to_string();
    let parts: Vec<&str> = s
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|c| std::str::from_utf8(c).expect("digits are ASCII"))
        .collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let n: Vec<String> = [0, 7, 999, 1000, 1234, 12_345, 123_456, 999_999, 5_000_000_000]
            .map(count)
            .into();
        assert_eq!(
            n,
            [
                "0", "7", "999", "1.00 k", "1.23 k", "12.3 k", "123 k", "1.00 M", "5.00 G"
            ]
        );
        assert_eq!(bytes(1536), "1.50 KiB");
        assert_eq!(bytes(1_048_575), "1.00 MiB");
        assert_eq!(thousands(1_240_000), "1,240,000");
        assert_eq!(thousands(12), "12");
    }

    #[test]
    fn columns() {
        let rows = vec![vec!["a".into(), "n".into()], vec!["−".into(), "10".into()]];
        assert_eq!(table(&rows, &[1], " "), " a   n\n −  10\n");
    }
}
