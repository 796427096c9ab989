//! The node kinds as text: a table of all, and a page about one.

use super::params::{Param, params};
use super::svg::shortened;
use glad_nodes::{Arity, Contract, Gradient, KindEntry, Registry, Side, Wiring};

const WIDE: usize = 110;

/// All kinds by group, one line each.
pub fn nodes(registry: &Registry) -> String {
    let mut groups: Vec<(&str, Vec<&KindEntry>)> = vec![];
    for k in registry.iter() {
        match groups.iter_mut().find(|(g, _)| *g == k.group.name()) {
            Some((_, all)) => all.push(k),
            None => groups.push((k.group.name(), vec![k])),
        }
    }
    let name_wide = registry.iter().map(|k| k.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for (group, kinds) in groups {
        out += &format!("{group}\n");
        for k in kinds {
            let doc = clause(&first_sentence(k.doc()), WIDE - name_wide - 4);
            out += &format!("  {:name_wide$}  {doc}\n", k.name);
        }
        out.push('\n');
    }
    out + "glad-run nodes KIND: its ports and parameters\n"
}

/// The page about one kind: what it does, its ports, its parameters.
pub fn node_page(kind: &KindEntry) -> String {
    let mut out = format!("{}  ({})\n\n{}\n", kind.name, kind.group.name(), wrapped(kind.doc(), 0));
    match example(kind) {
        Some((given, contract)) => {
            out += &ports(&contract);
            if !given.is_empty() {
                let list: Vec<String> = given.iter().map(|(k, v)| format!("{k} = {}", toml(v))).collect();
                out += &wrapped(&format!("(ports as they are with {})", list.join(", ")), 2);
                out.push('\n');
            }
            out += &facts(&contract);
        }
        None => out += "\nports depend on the parameters\n",
    }
    let all = params(&kind.schema);
    if all.is_empty() {
        return out + "\nno parameters\n";
    }
    out += "\nparameters\n";
    for p in &all {
        param(p, 1, &mut out);
    }
    out
}

/// An example contract of the kind, with its required parameters set; and those.
fn example(kind: &KindEntry) -> Option<(serde_json::Map<String, serde_json::Value>, Contract)> {
    let given = super::params::example(&kind.schema);
    let node = kind.parse(&serde_json::Value::Object(given.clone())).ok()?;
    Some((given, node.contract(&Wiring::default())))
}

fn ports(c: &Contract) -> String {
    let mut rows: Vec<[String; 4]> = vec![];
    for i in &c.inputs {
        let mut how = vec![];
        match i.arity {
            Arity::One => {}
            Arity::Optional => how.push("optional"),
            Arity::Many => how.push("list"),
            Arity::Any => how.push("optional, list"),
        }
        if i.all_streams {
            how.push("all streams");
        }
        if i.whole_list {
            how.push("whole list");
        }
        let ty = i.types.first().map_or(String::new(), ToString::to_string);
        rows.push([i.name.clone(), ty, how.join(", "), i.doc.to_string()]);
    }
    let inputs = rows.len();
    for o in &c.outputs {
        let how = match (o.supervision, o.passes) {
            (true, _) => "a label",
            (_, false) => "trains this node alone",
            _ => "",
        };
        rows.push([o.name.clone(), o.ty.to_string(), how.to_string(), o.doc.to_string()]);
    }
    let wide = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let (a, b, c) = (wide(0), wide(1), wide(2));
    let line = |r: &[String; 4]| {
        let [name, ty, how, doc] = r;
        let how = if c > 0 { format!("{how:c$}  ") } else { String::new() };
        let head = format!("  {name:a$}  {ty:b$}  {how}");
        let text = wrapped(doc, head.chars().count());
        format!("{head}{}\n", text.trim_start())
    };
    let mut out = String::new();
    for (title, part) in [("inputs", &rows[..inputs]), ("outputs", &rows[inputs..])] {
        if !part.is_empty() {
            out += &format!("\n{title}\n");
            part.iter().for_each(|r| out += &line(r));
        }
    }
    out
}

fn facts(c: &Contract) -> String {
    let mut facts = vec![match c.side {
        Side::Host => "works on the host, a video at a time",
        Side::Boundary => "takes videos from the host and gives batches on the device",
        Side::Device => "works on the device, a batch at a time",
    }];
    facts.extend(match (c.side, c.gradient) {
        (Side::Device, Gradient::Stops) => Some("stops gradients"),
        (Side::Device, Gradient::Reverses) => Some("reverses gradients"),
        _ => None,
    });
    if c.random {
        facts.push("draws random numbers in training");
    }
    format!("\n{}\n", facts.join("; "))
}

fn param(p: &Param, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let default = match (&p.default, p.required) {
        (_, true) => "has to be given".into(),
        (Some(v), _) if !v.is_null() => format!("default {}", toml(v)),
        _ => "may be left out".to_string(),
    };
    *out += &format!("{indent}{}  {} ({default})\n", p.name, p.what);
    if !p.doc.is_empty() {
        *out += &wrapped(&p.doc, 2 * depth + 4);
        out.push('\n');
    }
    for (value, doc) in &p.choices {
        *out += &wrapped(&format!("{value}: {doc}"), 2 * depth + 6);
        out.push('\n');
    }
    for inner in &p.inner {
        param(inner, depth + 2, out);
    }
}

/// A value as a graph file writes it.
pub(super) fn toml(v: &serde_json::Value) -> String {
    match v {
        serde_json::Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        serde_json::Value::Number(n) if n.is_f64() => tidy(n.as_f64().unwrap_or(0.0)),
        serde_json::Value::Object(o) if o.is_empty() => "{}".into(),
        serde_json::Value::Object(o) => {
            let entries: Vec<String> = o.iter().map(|(k, v)| format!("{k} = {}", toml(v))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        v => v.to_string(),
    }
}

/// A number; one of single precision as `0.9`, not `0.8999999761581421`.
fn tidy(v: f64) -> String {
    let single = v as f32;
    if f64::from(single) == v {
        format!("{single:?}")
    } else {
        format!("{v:?}")
    }
}

/// The first sentence of a doc comment, without markup.
pub(super) fn first_sentence(doc: &str) -> String {
    let text = plain(doc);
    let paragraph = text.split("\n\n").next().unwrap_or("").replace('\n', " ");
    // A sentence ends before a capital: `eq. 7` does not end one.
    let mut ends = paragraph.match_indices(". ").map(|(i, _)| i);
    let end = ends.find(|i| paragraph[i + 2..].starts_with(char::is_uppercase));
    let end = end.unwrap_or_else(|| paragraph.trim_end_matches('.').len());
    paragraph[..end].to_string()
}

/// The beginning of a sentence that fits, up to the end of a clause.
fn clause(sentence: &str, room: usize) -> String {
    if sentence.chars().count() <= room {
        return sentence.to_string();
    }
    let ends = [": ", "; ", ", ", " (", " ["]
        .iter()
        .flat_map(|end| sentence.match_indices(end))
        .map(|(i, _)| i);
    // The kept part must have balanced brackets.
    let whole = |text: &str| text.matches(['(', '[']).count() == text.matches([')', ']']).count();
    let fits = |i: &usize| sentence[..*i].chars().count() <= room && whole(&sentence[..*i]);
    match ends.filter(fits).max().filter(|i| sentence[..*i].chars().count() > 12) {
        Some(i) => sentence[..i].to_string(),
        None => shortened(sentence, room),
    }
}

/// Doc comments without rustdoc's link brackets.
pub(super) fn plain(doc: &str) -> String {
    doc.replace("[`", "`").replace("`]", "`")
}

/// A text in lines of at most [`WIDE`], each after `indent` spaces.
fn wrapped(text: &str, indent: usize) -> String {
    let room = WIDE.saturating_sub(indent).max(30);
    let mut out: Vec<String> = vec![];
    for paragraph in plain(text).split("\n\n") {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                out.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line += word;
        }
        if !line.is_empty() {
            out.push(line);
        }
        out.push(String::new());
    }
    out.pop();
    let lines: Vec<String> = out
        .iter()
        .map(|l| format!("{}{l}", " ".repeat(indent)).trim_end().to_string())
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_line_and_a_page_with_its_ports() {
        let r = glad_nodes::registry();
        let table = nodes(&r);
        for k in r.iter() {
            assert!(table.lines().any(|l| l.trim_start().starts_with(k.name)), "{}", k.name);
            let page = node_page(k);
            assert!(
                page.contains("\noutputs\n"),
                "the example of `{}` gives no ports:\n{page}",
                k.name
            );
            for p in k.params() {
                assert!(page.contains(&format!("\n  {p}  ")), "{page}");
            }
            assert!(page.lines().all(|l| l.chars().count() <= WIDE + 30), "{page}");
        }
    }

    #[test]
    fn long_sentences_end_with_a_clause() {
        let text = "Shuffles clips, φ̃ = (φ_σ(n)), and says which of the orders it was, at random: always";
        assert_eq!(clause(text, 40), "Shuffles clips, φ̃ = (φ_σ(n))");
        assert_eq!(clause("short", 40), "short");
    }

    #[test]
    fn numbers_are_written_as_they_were_meant() {
        assert_eq!(toml(&serde_json::json!([0.9f32, 0.1, 2.0])), "[0.9, 0.1, 2.0]");
    }

    #[test]
    fn a_sentence_is_not_ended_by_an_abbreviation() {
        assert_eq!(
            first_sentence("The loss of eq. 7, as [`X`] says. More."),
            "The loss of eq. 7, as `X` says"
        );
        assert_eq!(first_sentence("One line"), "One line");
    }
}
