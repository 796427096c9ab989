//! The plan as text: what runs in each phase and view, where, and what it costs.

use super::plan_data::Plan;
use super::plan_summary::summary;
use super::table::{bytes, count, table, thousands};
use crate::check::starts_from;
use crate::graph::{Graph, PhaseDef, ema_shown};
use crate::program::{
    Call, Checked, Copied, Program, ProgramKind, batch_bytes, cost, memory, row_bytes, sample_bytes, trainable,
    value_bytes,
};
use candle_core::DeviceLocation;
use glad_nodes::{Precision, Side, Size};
use std::fmt::Write;

/// Where a graph is to run.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What computes.
    pub device: DeviceLocation,
    /// How many samples the data side may have in flight, which bounds its memory.
    pub ahead: usize,
}

/// One line on the precision really used on `device`, where the graph requests another.
pub fn other_precision(asked: Precision, device: DeviceLocation) -> Option<String> {
    let used = asked.on(device);
    (used != asked).then(|| format!("precision: {used}, for the CPU has no other ({asked} is for GPUs)"))
}

/// The plan of all phases and views, those of `run` first. `key` computes the key under which runs share a phase, if
/// that is to be printed.
pub fn plan_text(
    checked: &Checked,
    graph: &Graph,
    target: Target,
    key: &dyn Fn(&str) -> anyhow::Result<Option<String>>,
) -> String {
    let mut out = String::new();
    let title = graph.title.as_ref().map_or("experiment", |t| t.value.as_str());
    let run: Vec<&str> = graph.run.iter().map(|r| r.value.as_str()).collect();
    let _ = writeln!(out, "{title}");
    if graph.oracle {
        let _ = writeln!(out, "oracle: it may use the labels of held-out streams");
    }
    let asked = graph.precision.value;
    let precision = asked.on(target.device);
    match (other_precision(asked, target.device), precision) {
        (Some(line), _) => out += &format!("{line}\n"),
        (None, _) if target.device == DeviceLocation::Cpu => {}
        (None, Precision::Bf16) => out += "precision: bf16 inside backbones, f32 elsewhere\n",
        (None, Precision::Tf32) => out += "precision: f32, whose products may round to TF32\n",
        (None, Precision::F32) => out += "precision: f32\n",
    }
    let _ = writeln!(
        out,
        "runs: {}",
        if run.is_empty() {
            "nothing".into()
        } else {
            run.join(" → ")
        }
    );
    let from: Vec<String> = starts_from(graph, checked)
        .iter()
        .map(|(node, from)| format!("{node} {from}"))
        .collect();
    if !from.is_empty() {
        let _ = writeln!(out, "starts from: {}", from.join("; "));
    }
    let in_run = |name: &str| run.iter().position(|r| *r == name).unwrap_or(usize::MAX);
    // Keys read lists and weights files: once is enough.
    let without_keys = |_: &str| anyhow::bail!("it is printed below");
    out += &summary(&Plan::new(checked, graph, target, &without_keys));
    let mut programs: Vec<&Program> = checked.phases.values().chain(checked.views.values()).collect();
    programs.sort_by_key(|p| in_run(&p.name));
    for p in programs {
        out += "\n";
        out += &program_text(p, graph, target);
        if p.kind == ProgramKind::Phase {
            let key = key(&p.name).map_or_else(|e| Some(format!("none: {e:#}")), |k| k.map(|k| k[..16].to_string()));
            if let Some(key) = key {
                let _ = writeln!(
                    out,
                    "  key         {key}  (runs with this key share what the phase trains)"
                );
            }
        }
    }
    out
}

fn program_text(p: &Program, graph: &Graph, target: Target) -> String {
    let precision = graph.precision.value.on(target.device);
    let mut out = heading(p, graph);
    let rows = calls(p, precision);
    out += "\n";
    out += &table(&rows, &[4, 5, 6], "  ");
    out += "\n";
    let m = memory(p, precision);
    let weights =
        |f: &dyn Fn(&str) -> bool| -> usize { p.weights.iter().filter(|(n, _)| f(n)).map(|(_, w)| trainable(w)).sum() };
    let _ = write!(out, "  parameters  {}", thousands(p.parameters()));
    if p.kind == ProgramKind::Phase {
        let _ = write!(out, ", of which {} train", thousands(weights(&|n| p.trains(n))));
    }
    let kept = match p.kept {
        0 => "",
        1 => " with momentum",
        _ => " with both moments",
    };
    let _ = writeln!(out, " ({}{kept})", bytes(m.weights));
    match p.kind {
        ProgramKind::Phase => {
            let step = graph.phases[&p.name].batch.value.of_each(&p.streams);
            let parts = step.into_iter().max().unwrap_or(0).div_ceil(p.batch.max(1)) as u64;
            let _ = writeln!(
                out,
                "  a step      {} multiply-adds forward, about {} with backward; memory at most about {}",
                count(m.macs * parts),
                count(m.both_ways() * parts),
                bytes(m.total())
            );
        }
        ProgramKind::View => {
            let _ = writeln!(
                out,
                "  a batch     {} multiply-adds; memory at most about {}",
                count(m.macs),
                bytes(m.total())
            );
        }
    }
    out += &rounds(p);
    out += &queue(p, target.ahead, target.device != DeviceLocation::Cpu);
    if !p.reset.is_empty() {
        let _ = writeln!(out, "  reset       {}", p.reset.join(", "));
    }
    if !p.frozen.is_empty() {
        let _ = writeln!(out, "  frozen      {}", p.frozen.join(", "));
    }
    if !p.statistics.is_empty() {
        let _ = writeln!(out, "  statistics  computed anew of {}", p.statistics.join(", "));
    }
    for c in &p.copies {
        let _ = writeln!(out, "  copy        {}", copy(c, p.kind));
    }
    out += &refresh(p);
    if p.kind == ProgramKind::Phase {
        out += &audit(p);
    }
    out
}

/// The passes over the lists of a phase, or in their view what they hold.
fn refresh(p: &Program) -> String {
    match (&p.refresh, p.kind) {
        (Some((view, often)), _) => format!(
            "  refresh     view {view} {often}; {} of each video stay from one pass to the next\n",
            bytes(row_bytes(p))
        ),
        (None, ProgramKind::View) if row_bytes(p) > 0 => {
            format!(
                "  over lists  {} of each video are held until the last batch\n",
                bytes(row_bytes(p))
            )
        }
        _ => String::new(),
    }
}

/// Whose copy weights are, and what becomes of it.
fn copy(c: &Copied, kind: ProgramKind) -> String {
    let mut out = format!("{} of {}", c.node, c.of);
    if c.begins {
        out += ", which it begins as";
    }
    match kind {
        ProgramKind::View => {}
        ProgramKind::Phase if c.moves => {
            let _ = write!(out, "; after each update {} of it stays", ema_shown(&c.ema));
        }
        ProgramKind::Phase => out += "; it stays as it is",
    }
    out
}

fn heading(p: &Program, graph: &Graph) -> String {
    let what = match p.kind {
        ProgramKind::Phase => "phase",
        ProgramKind::View => "view",
    };
    let dims: Vec<String> = p.dims.globals.iter().map(|(n, v)| format!("{n} = {v}")).collect();
    let mut out = format!("{what} {}", p.name);
    if !graph.run.iter().any(|r| r.value == p.name) && p.kind == ProgramKind::Phase {
        out += " (not in `run`)";
    }
    let length = graph
        .phases
        .get(&p.name)
        .filter(|_| p.kind == ProgramKind::Phase)
        .map(length);
    let batch = match graph.phases.get(&p.name).filter(|_| p.kind == ProgramKind::Phase) {
        Some(d) => {
            let (step, part) = (d.batch.value.of_each(&p.streams), &p.batches);
            let parts = if step == *part {
                String::new()
            } else {
                format!(" in parts of {}", of_streams(p, part))
            };
            format!("{} videos{parts}", of_streams(p, &step))
        }
        None => format!("{} videos", p.batch),
    };
    let each = if p.streams.len() > 1 && !p.uneven() {
        " of each"
    } else {
        ""
    };
    let parts: Vec<String> = [
        length,
        Some(format!("{batch}{each} at a time")),
        Some(format!("split {} of {}", p.split, p.streams.join(", "))),
        (!dims.is_empty()).then(|| dims.join(", ")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let _ = writeln!(out, ": {}", parts.join("; "));
    out
}

/// `24`, or `128 + 74` where streams differ.
fn of_streams(p: &Program, batches: &[usize]) -> String {
    match p.uneven() {
        true => batches.iter().map(usize::to_string).collect::<Vec<_>>().join(" + "),
        false => batches.iter().max().map_or(String::new(), usize::to_string),
    }
}

fn length(d: &PhaseDef) -> String {
    let say = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (&d.epochs, &d.steps) {
        (Some(e), _) => say(e.value, "epoch"),
        (None, Some(s)) => say(s.value, "step"),
        (None, None) => String::new(),
    }
}

/// A row per node: calls of the same node in several streams that are otherwise equal are one row.
fn calls(p: &Program, precision: Precision) -> Vec<Vec<String>> {
    let head = [
        "side",
        "node",
        "stream",
        "gives",
        "parameters",
        "multiply-adds",
        "memory",
    ];
    let mut rows = vec![head.map(String::from).to_vec()];
    let mut done: Vec<(String, String)> = vec![];
    for c in &p.calls {
        let key = (c.node.clone(), gives(p, c));
        if done.contains(&key) {
            continue;
        }
        let same: Vec<&Call> = p
            .calls
            .iter()
            .filter(|o| o.node == c.node && gives(p, o) == key.1)
            .collect();
        let first = !done.iter().any(|d| d.0 == c.node);
        done.push(key);
        let streams: Vec<&str> = match &c.joint {
            Some(all) => all.iter().map(|s| p.streams[*s].as_str()).collect(),
            None => same
                .iter()
                .filter_map(|o| o.stream)
                .map(|s| p.streams[s].as_str())
                .collect(),
        };
        let streams = match (&c.joint, &c.whole_list) {
            (Some(_), _) => format!("{} jointly", streams.join(" + ")),
            (_, Some(list)) => format!("all of {list}"),
            _ if streams.is_empty() => "–".into(),
            _ => streams.join(", "),
        };
        let weights = match p.weights.get(&c.owner).filter(|_| first) {
            Some(_) if c.owner != c.node => format!("those of {}", c.owner),
            Some(w) => match trainable(w) {
                0 => String::new(),
                n => match p.copy(&c.owner) {
                    Some(copy) => format!("{}, a copy of {}", thousands(n), copy.of),
                    None => thousands(n),
                },
            },
            None => String::new(),
        };
        let cost = same
            .iter()
            .map(|o| cost(p, o, precision))
            .fold((0, 0), |a, c| (a.0 + c.macs, a.1 + c.kept));
        let held: u64 = same
            .iter()
            .flat_map(|o| o.outputs.iter().flatten())
            .map(|id| value_bytes(p, *id, batch_of(c)))
            .sum();
        let kept = if p.kind == ProgramKind::Phase { cost.1 } else { 0 };
        let dash = |n: u64, f: &dyn Fn(u64) -> String| if n == 0 { String::new() } else { f(n) };
        rows.push(vec![
            side(c.side).into(),
            c.node.clone(),
            streams,
            gives(p, c),
            weights,
            dash(cost.0, &count),
            if c.side == Side::Host {
                String::new()
            } else {
                dash(held + kept, &bytes)
            },
        ]);
    }
    rows
}

fn batch_of(c: &Call) -> usize {
    match c.side {
        Side::Host => 1,
        _ => c.batch,
    }
}

fn side(s: Side) -> &'static str {
    match s {
        Side::Host => "data",
        Side::Boundary => "→",
        Side::Device => "device",
    }
}

/// `feature Feature[B,3,64]`, for the outputs that are needed; of a joint node those of one stream.
fn gives(p: &Program, c: &Call) -> String {
    let n = c.outputs.len() / c.joint.as_ref().map_or(1, |j| j.len().max(1));
    let parts: Vec<String> = c.outputs[..n]
        .iter()
        .zip(&c.ports)
        .filter_map(|(id, port)| Some(format!("{port} {}", p.values[(*id)?.0].ty)))
        .collect();
    parts.join(", ")
}

fn queue(p: &Program, ahead: usize, on_device: bool) -> String {
    let largest = (0..p.streams.len()).map(|s| sample_bytes(p, s)).max().unwrap_or(0);
    if largest == 0 {
        return String::new();
    }
    let mut out = format!(
        "  data side   at most {ahead} samples in flight of {} each: {}; and the next batch, stacked: {}{}\n",
        bytes(largest),
        bytes(largest * ahead as u64),
        bytes(batch_bytes(p)),
        if on_device { ", there and on the device" } else { "" }
    );
    let ragged = |c: &&Call| {
        c.outputs
            .iter()
            .flatten()
            .any(|id| p.values[id.0].ty.dims.contains(&Size::Ragged))
    };
    if let Some(c) = p.calls.iter().find(ragged) {
        let _ = writeln!(
            out,
            "              and in each worker the frames of one video at its own size (`{}`)",
            c.node
        );
    }
    out
}

/// The rounds of a step: what each trains, and how often.
fn rounds(p: &Program) -> String {
    let mut rows = vec![];
    for (i, r) in p.rounds.iter().enumerate().filter(|(_, r)| !r.name.is_empty()) {
        let head = if rows.is_empty() { "  rounds    " } else { "" };
        let nodes: Vec<&str> = (p.weights.keys().map(String::as_str))
            .filter(|owner| p.trains_in(i, owner))
            .collect();
        let times = match r.repeat {
            1 => String::new(),
            n => format!(", {n} times"),
        };
        rows.push(vec![
            head.to_owned(),
            r.name.clone(),
            format!("trains {}{times}", nodes.join(", ")),
        ]);
    }
    table(&rows, &[], "")
}

/// Which loss reaches whose weights, and how: node by node, or composite by composite.
fn audit(p: &Program) -> String {
    let mut rows = vec![
        std::iter::once("  gradients".to_string())
            .chain(p.losses.iter().map(|l| l.name.clone()))
            .collect(),
    ];
    let mut nodes: Vec<&str> = p.weights.keys().map(String::as_str).collect();
    nodes.dedup();
    for node in nodes {
        let mut row: Vec<String> = vec![format!("  {node}")];
        for l in &p.losses {
            let sign = p
                .reach
                .iter()
                .find(|r| r.loss == l.name && r.node == node)
                .map(|r| r.sign);
            row.push(
                match sign {
                    Some(1) => "+",
                    Some(-1) => "−",
                    Some(_) => "±",
                    None => "·",
                }
                .into(),
            );
        }
        if p.frozen.iter().any(|f| f == node) {
            row.push("frozen".into());
        } else if p.copy(node).is_some() {
            row.push("copy".into());
        }
        rows.push(row);
    }
    let mut out = table(&rows, &[], "");
    out += "              + descends on the loss, − ascends (behind a reversal), ± both ways, · not reached\n";
    out
}
