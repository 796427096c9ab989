//! A node's parameters: those of the node, of its stream and of the phase, merged and parsed, with every mistake placed
//! at its value.

use super::cx::Cx;
use crate::diag::{Files, Place, Problem, Severity, did_you_mean};
use crate::graph::{NodeDef, is_node_key};
use crate::tree::MOST;
use crate::tree::{Tree, TreeValue, within};
use glad_nodes::{DimExpr, KindEntry, Node, ParamProblem, Registry};
use indexmap::IndexMap;
use serde_json::Value;
use std::sync::Arc;

/// Parameters by name, each as written.
pub(super) type Written<'g> = IndexMap<&'g str, &'g Tree>;

/// A node with the parameters that it has for one stream of one phase or view.
pub(super) struct Parsed<'g> {
    /// The node.
    pub node: Arc<dyn Node>,
    /// Its parameters.
    pub params: Value,
    /// Where they were written.
    pub written: Written<'g>,
}

/// The parameters of `node` for `stream`, under the `overrides` of a phase or view. Of a parameter that is given in
/// several places the most specific wins, as a whole: node, node and stream, phase, phase and stream (in rising order).
pub(super) fn merge<'g>(
    node: &'g NodeDef,
    overrides: Option<&'g IndexMap<String, Tree>>,
    stream: Option<&str>,
    is_stream: &dyn Fn(&str) -> bool,
) -> Written<'g> {
    let mut all: Written = node.params.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let mut add = |params: &'g IndexMap<String, Tree>| {
        for (k, v) in params {
            if !is_stream(k) {
                all.insert(k, v);
            }
        }
    };
    if let Some(own) = stream.and_then(|s| node.per_stream.get(s)) {
        add(own);
    }
    if let Some(o) = overrides {
        add(o);
        if let Some(TreeValue::Table(own)) = stream.and_then(|s| o.get(s)).map(|t| &t.value) {
            add(own);
        }
    }
    all
}

/// The value as kinds read it.
pub(super) fn to_json(tree: &Tree) -> Value {
    match &tree.value {
        TreeValue::String(s) | TreeValue::Datetime(s) => s.as_str().into(),
        TreeValue::Integer(n) => (*n).into(),
        // JSON has no infinities; `no_number` refuses them.
        TreeValue::Float(x) => serde_json::Number::from_f64(*x).map_or(Value::Null, Value::Number),
        TreeValue::Boolean(b) => (*b).into(),
        TreeValue::Array(v) => v.iter().map(to_json).collect(),
        TreeValue::Table(t) => Value::Object(t.iter().map(|(k, v)| (k.clone(), to_json(v))).collect()),
    }
}

/// What was written at `path` (`schedule.kind`, `weight[1]`), or nearest to it, and whether it is all of the path; `None` for
/// the node itself.
fn value_at<'t>(written: &Written<'t>, path: &str) -> Option<(&'t Tree, bool)> {
    let mut parts = path
        .split(['.', '['])
        .map(|p| p.trim_end_matches(']'))
        .filter(|p| !p.is_empty());
    let mut at: &'t Tree = written.get(parts.next()?).copied()?;
    for part in parts {
        let below = match &at.value {
            TreeValue::Table(t) => t.get(part),
            TreeValue::Array(v) => part.parse::<usize>().ok().and_then(|i| v.get(i)),
            _ => None,
        };
        match below {
            Some(t) => at = t,
            None => return Some((at, false)),
        }
    }
    Some((at, true))
}

/// Where `problem` is: at a part of a text, at the value of a parameter, or nearest to it.
fn place_of(files: &Files, written: &Written, problem: &ParamProblem) -> Option<Place> {
    let (tree, exact) = value_at(written, &problem.path)?;
    Some(match &problem.span {
        Some(span) if exact => within(files, tree, span),
        _ => tree.place.clone(),
    })
}

/// Parses the parameters of `node`. Problems go to the sink (once, however often this is called).
pub(super) fn parse<'g>(
    cx: &Cx<'g>,
    node: &'g NodeDef,
    overrides: Option<&'g IndexMap<String, Tree>>,
    stream: Option<&str>,
) -> Option<Parsed<'g>> {
    let entry = cx.registry.get(&node.kind.value)?;
    let written = merge(node, overrides, stream, &|s| cx.is_stream(s));
    let mut problems = unknown(entry, node, &written);
    for (name, tree) in &written {
        no_number(node, name, tree, &mut problems);
    }
    let known = entry.params();
    let params: Value = written
        .iter()
        .filter(|(k, v)| known.contains(k) && finite(v))
        .map(|(k, v)| (k.to_string(), to_json(v)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let parsed = match entry.parse(&params) {
        Ok(n) => Some(n),
        Err(found) => {
            let with_stream = stream.filter(|_| !node.per_stream.is_empty());
            // A wrong parameter was left out and has been reported: do not also report it as missing.
            let missed = |p: &&ParamProblem| written.keys().any(|k| p.message == format!("missing field `{k}`"));
            problems.extend(
                found
                    .iter()
                    .filter(|p| !missed(p))
                    .map(|p| placed(&cx.graph.files, node, &written, p, with_stream)),
            );
            None
        }
    };
    let ok = problems.is_empty();
    problems.into_iter().for_each(|p| cx.push(p));
    parsed.filter(|_| ok).map(|node| Parsed { node, params, written })
}

/// The node with its own parameters, without those of streams, phases and views; `None` where something is wrong with them.
pub(crate) fn plain(registry: &Registry, node: &NodeDef) -> Option<Arc<dyn Node>> {
    let params = node.params.iter().map(|(k, v)| (k.clone(), to_json(v)));
    let params = params.collect::<serde_json::Map<_, _>>().into();
    registry.get(&node.kind.value)?.parse(&params).ok()
}

/// Whether all numbers of a value are finite.
fn finite(tree: &Tree) -> bool {
    match &tree.value {
        TreeValue::Float(x) => x.is_finite(),
        TreeValue::Array(items) => items.iter().all(finite),
        TreeValue::Table(entries) => entries.values().all(finite),
        _ => true,
    }
}

/// Reports numbers that no parameter has: NaN, infinities, and what no size, count or 32-bit number can have; seeds are exempt.
fn no_number(node: &NodeDef, name: &str, tree: &Tree, problems: &mut Vec<Problem>) {
    let mut refuse = |value: String, range: String| {
        let p = Problem::error(format!(
            "parameter `{name}` of `{}` is {value}, and has to be {range}",
            node.path
        ));
        problems.push(p.at(&tree.place, "this value"));
    };
    let most = f64::from(f32::MAX);
    match &tree.value {
        TreeValue::Integer(n) if n.unsigned_abs() > MOST && name != "seed" => {
            refuse(n.to_string(), format!("at most {MOST}"));
        }
        TreeValue::Float(x) if !x.is_finite() => refuse(x.to_string(), "a finite number".into()),
        TreeValue::Float(x) if x.abs() > most => {
            refuse(format!("{x:e}"), format!("between -{most:e} and {most:e}"));
        }
        TreeValue::Array(items) => items.iter().for_each(|t| no_number(node, name, t, problems)),
        TreeValue::Table(entries) => entries.iter().for_each(|(k, t)| no_number(node, k, t, problems)),
        _ => {}
    }
}

/// Parameters that have another name now: kind, parameter, and what to write.
const MOVED: [(&str, &str, &str); 1] = [(
    "uniform_sampler",
    "jitter",
    "`jitter = false` is `draw = \"middle\"` now; `jitter = true` is what it does without",
)];

fn unknown(entry: &KindEntry, node: &NodeDef, written: &Written) -> Vec<Problem> {
    let known = entry.params();
    let mut out = vec![];
    for (name, tree) in written.iter().filter(|(k, _)| !known.contains(*k)) {
        let p = Problem::error(format!("`{}` has no parameter `{name}`", node.kind.value))
            .at(&tree.key, format!("no parameter of `{}`", node.path));
        out.push(p.help(match *name {
            name if MOVED.iter().any(|m| (m.0, m.1) == (node.kind.value.as_str(), name)) => {
                let moved = MOVED.iter().find(|m| m.1 == name);
                moved.map(|m| m.2.to_string()).unwrap_or_default()
            }
            key if is_node_key(key) => {
                "wiring is the same in all phases and views: only parameters may differ".to_string()
            }
            _ => did_you_mean(name, known.iter().copied()).unwrap_or_else(|| match known.as_slice() {
                [] => format!("`{}` has no parameters at all", node.kind.value),
                k => format!("its parameters: {}", k.join(", ")),
            }),
        }));
    }
    out
}

/// Remarks on parameters of `node` that are allowed and seldom meant; only on those of `among`, where it is given.
pub(super) fn remarks(
    cx: &Cx,
    node: &NodeDef,
    parsed: &Parsed,
    stream: Option<&str>,
    among: Option<&IndexMap<String, Tree>>,
) {
    let stream = stream.filter(|_| !node.per_stream.is_empty());
    for remark in parsed.node.remarks() {
        // A phase that turns something off for itself means to.
        let meant = |t: &Tree| matches!(t.value, TreeValue::Integer(0) | TreeValue::Float(0.0));
        let of = remark.path.split(['.', '[']).next().unwrap_or_default();
        if among.is_none_or(|own| own.get(of).is_some_and(|t| !meant(t))) {
            let mut p = placed(&cx.graph.files, node, &parsed.written, &remark, stream);
            p.severity = Severity::Warning;
            cx.push(p);
        }
    }
}

/// A kind's problem with its parameters, as a problem in the file.
pub(super) fn placed(
    files: &Files,
    node: &NodeDef,
    written: &Written,
    problem: &ParamProblem,
    stream: Option<&str>,
) -> Problem {
    let whose = match stream {
        Some(s) => format!("`{}` in stream {s}", node.path),
        None => format!("`{}`", node.path),
    };
    let (message, mut help) = humanise(&problem.message);
    if let Some(h) = &problem.help {
        help = Some(h.clone());
    }
    let missing = problem.message.starts_with("missing field");
    let mut p = match place_of(files, written, problem) {
        Some(place) => {
            Problem::error(format!("parameter `{}` of {whose}: {message}", problem.path)).at(&place, short(&message))
        }
        None if missing => Problem::error(format!("{whose} {message}")).at(&node.place, "this node"),
        None => Problem::error(format!("{whose}: {message}")).at(&node.place, "this node"),
    };
    if let Some(outer) = node.inside.first() {
        p = p.at(&outer.place, format!("inside `{}`", outer.value));
    }
    match help {
        Some(h) => p.help(h),
        None => p,
    }
}

/// A message up to its first comma outside of brackets, quotes and backquotes, which belong to a value or a name.
fn short(message: &str) -> String {
    let (mut depth, mut quote) = (0i32, None);
    for (at, c) in message.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '`' | '"') => quote = Some(c),
            (None, '[' | '(' | '{') => depth += 1,
            (None, ']' | ')' | '}') => depth -= 1,
            (None, ',') if depth <= 0 && message[at..].starts_with(", ") => return message[..at].to_string(),
            _ => {}
        }
    }
    message.to_string()
}

/// serde's messages in the words of graph files.
fn humanise(message: &str) -> (String, Option<String>) {
    if let Some(field) = message.strip_prefix("missing field ") {
        return (format!("needs the parameter {field}"), None);
    }
    for (prefix, what) in [("unknown variant `", "value"), ("unknown field `", "key")] {
        if let Some((word, rest)) = message.strip_prefix(prefix).and_then(|r| r.split_once('`')) {
            let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
            let listed = known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
            let text = match known.as_slice() {
                [] => format!("unknown {what} `{word}`"),
                [one] => format!("unknown {what} `{word}`, it can only be `{one}`"),
                _ => format!("unknown {what} `{word}`, it is one of {listed}"),
            };
            return (text, did_you_mean(word, known.iter().copied()));
        }
    }
    let mut m = message.to_string();
    if let Some(rest) = message
        .strip_prefix("invalid type: ")
        .or(message.strip_prefix("invalid value: "))
    {
        m = match rest.split_once(", expected ") {
            Some((found, want)) => format!("expected {}, found {}", expected(want), found_words(found)),
            None => rest.to_string(),
        };
    }
    (m, None)
}

fn expected(want: &str) -> String {
    match want {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number, 0 or more".into(),
        "i64" | "i32" => "a whole number".into(),
        "f64" | "f32" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        "a map" => "a table".into(),
        w if w.starts_with("struct ") => "a table".into(),
        w => w.into(),
    }
}

fn found_words(found: &str) -> String {
    match found {
        "map" => "a table".into(),
        "sequence" => "a list".into(),
        f => {
            let f = f
                .replace("floating point `", "the number `")
                .replace("integer `", "the number `");
            let f = f.replace("boolean `", "`");
            match f.strip_prefix("string ") {
                Some(s) => format!("the string {s}"),
                None => f,
            }
        }
    }
}

/// The parameters that a size was written in: those with its number or one of its names, three at most.
pub(super) fn param_places(written: &Written, d: &DimExpr) -> Vec<Place> {
    let names = d.globals();
    let number = match d {
        DimExpr::Number(n) => i64::try_from(*n).ok(),
        _ => None,
    };
    let hit = |t: &Tree| match &t.value {
        TreeValue::String(s) if !names.is_empty() => {
            DimExpr::parse(s, true).is_ok_and(|e| e.globals().iter().any(|g| names.contains(g)))
        }
        TreeValue::Integer(n) => Some(*n) == number,
        _ => false,
    };
    let mut found = vec![];
    written.values().for_each(|t| find(t, &hit, &mut found));
    found.truncate(if number.is_some() { 1 } else { 3 });
    found
}

fn find(t: &Tree, hit: &dyn Fn(&Tree) -> bool, found: &mut Vec<Place>) {
    if hit(t) {
        found.push(t.place.clone());
    }
    match &t.value {
        TreeValue::Table(m) => m.values().for_each(|t| find(t, hit, found)),
        TreeValue::Array(v) => v.iter().for_each(|t| find(t, hit, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_speak_of_what_was_written() {
        let h = |m| humanise(m).0;
        assert_eq!(
            h("invalid type: string \"two\", expected usize"),
            "expected a whole number, 0 or more, found the string \"two\""
        );
        assert_eq!(
            h("invalid value: integer `-1`, expected u64"),
            "expected a whole number, 0 or more, found the number `-1`"
        );
        assert_eq!(h("invalid type: map, expected f64"), "expected a number, found a table");
        assert_eq!(h("missing field `clips`"), "needs the parameter `clips`");
        let (m, help) = humanise("unknown variant `ganim`, expected one of `constant`, `ganin`, `warm_start`");
        assert_eq!(
            m,
            "unknown value `ganim`, it is one of `constant`, `ganin`, `warm_start`"
        );
        assert_eq!(help.as_deref(), Some("did you mean `ganin`?"));
        assert_eq!(h("weights are not negative"), "weights are not negative");
    }

    #[test]
    fn a_label_is_cut_between_clauses() {
        for (message, label) in [
            (
                "[0.485, 0.456, 0.406] looks meant for 0 to 1, and these are bytes",
                "[0.485, 0.456, 0.406] looks meant for 0 to 1",
            ),
            ("unknown value `a, b`, it is one of `c`, `d`", "unknown value `a, b`"),
            (
                "column \"x, y\" is not known (a, b), or so",
                "column \"x, y\" is not known (a, b)",
            ),
            ("an `odd, quote, here", "an `odd, quote, here"),
            ("no clause", "no clause"),
        ] {
            assert_eq!(short(message), label);
        }
    }

    #[test]
    fn what_a_kind_remarks_is_a_warning_unless_a_phase_means_it() {
        use crate::check::testing::warnings;
        let normalize = |mean: &str, std: &str| {
            let found = warnings(&format!("[set.nodes.normalize]\nmean = {mean}\nstd = {std}"));
            found
                .iter()
                .map(|w| w.split(':').next().unwrap_or_default().to_string())
                .collect::<Vec<_>>()
        };
        let (mean, std) = ("parameter `mean` of `normalize`", "parameter `std` of `normalize`");
        let unit = normalize("[0.485, 0.456, 0.406]", "[0.229, 0.224, 0.225]");
        assert_eq!(unit, [mean, std]);
        assert_eq!(normalize("[0.5, 0.5, 0.5]", "[58.0, 57.0, 57.0]"), [mean]);
        assert_eq!(normalize("[123.0, 116.0, 103.0]", "[0.229, 0.224, 0.225]"), [std]);
        // Only divided; unchanged; only means, as in Caffe, with the wrong channel order.
        assert!(normalize("[0.0, 0.0, 0.0]", "[255.0, 255.0, 255.0]").is_empty());
        assert_eq!(normalize("[0.0, 0.0, 0.0]", "[1.0, 1.0, 1.0]"), [std]);
        assert!(normalize("[123.675, 116.28, 103.53]", "[1.0, 1.0, 1.0]").is_empty());
        assert_eq!(
            normalize("[103.53, 116.28, 123.675]", "[57.375, 57.12, 58.395]"),
            [mean]
        );
        let printed = warnings("[set.nodes.normalize]\nmean = [0.485, 0.456, 0.406]");
        assert!(
            printed[0].contains("[0.485, 0.456, 0.406] looks meant for values from 0 to 1"),
            "{printed:?}"
        );

        assert_eq!(warnings("[set.params]\nbg_prob = 0.0").len(), 1);
        assert_eq!(warnings("[set.params]\nbg_weight = 0.0").len(), 1);
        assert_eq!(warnings("[set.params]\nbg_weight = 1.0").len(), 1);
        assert!(warnings("[phases.warmup.nodes]\nbg_mix = { prob = 0.0 }").is_empty());
        let view = "[views.infer.nodes]\nnormalize = { mean = [0.485, 0.456, 0.406] }";
        assert_eq!(warnings(view).len(), 1, "{:?}", warnings(view));
        assert_eq!(warnings("[nodes.ce]\nsmoothing = 1.0").len(), 1);
    }
}
