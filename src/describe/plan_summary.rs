//! The top of a plan: what runs, on what, how long and how large it is.

use super::plan_data::{Plan, ProgramPlan};
use super::table::{bytes, count, table, thousands};

/// The summary, in lines.
pub(super) fn summary(plan: &Plan) -> String {
    let mut facts: Vec<String> = plan.setting.iter().map(|s| format!("setting {s}")).collect();
    facts.push(format!("seed {}", plan.seed));
    facts.push(format!("on {}", plan.device));
    let mut out = format!("{}\n", facts.join(", "));
    let runs: Vec<&ProgramPlan> = plan.programs.iter().filter(|p| p.runs).collect();
    if runs.is_empty() {
        return out + "nothing runs: `run` is empty, and there is no view `infer`\n";
    }
    let head = [
        "",
        "what",
        "reads",
        "length",
        "a step",
        "trains",
        "a step costs",
        "in all",
        "memory",
    ];
    let mut rows = vec![head.map(String::from).to_vec()];
    rows.extend(runs.iter().map(|p| row(plan, p)));
    out += "\n";
    out += &table(&rows, &[5, 6, 7, 8], "  ");
    out += "\n";
    let phases = || runs.iter().filter(|p| p.kind == "phase");
    let known: Option<u64> = phases().map(|p| p.total).sum();
    let training = match known {
        _ if phases().next().is_none() => String::new(),
        Some(n) => format!("training: about {} multiply-adds; ", count(n)),
        None => "training: as long as the lists say, which are not there yet; ".into(),
    };
    let most = runs.iter().map(|p| all_memory(p)).max().unwrap_or(0);
    let parameters = runs.iter().map(|p| p.parameters).max().unwrap_or(0);
    out += &format!(
        "  {training}memory: at most about {}; {} parameters\n",
        bytes(most),
        thousands(parameters)
    );
    let counts = lists(&runs);
    if !counts.is_empty() {
        out += &format!("  lists: {}\n", counts.join(", "));
    }
    out + "  `glad-run plan --measure` trains a few steps and says how long it takes here; `--json` prints all of this for programs\n"
}

fn row(plan: &Plan, p: &ProgramPlan) -> Vec<String> {
    let turn = plan.run.iter().position(|r| *r == p.name).map(|i| (i + 1).to_string());
    let streams: Vec<&str> = p.videos.keys().map(String::as_str).collect();
    let length = match (p.kind, p.epochs, p.steps) {
        ("view", ..) => "once through".into(),
        (_, Some(e), Some(n)) => format!("{}, {}", counted(e as u64, "epoch"), counted(n, "step")),
        (_, Some(e), None) => counted(e as u64, "epoch"),
        (_, None, n) => counted(n.unwrap_or(0), "step"),
    };
    let videos = match (streams.len(), &p.batches) {
        (_, Some(batches)) => {
            let each: Vec<String> = batches.values().map(usize::to_string).collect();
            format!("{} videos", each.join(" + "))
        }
        (0 | 1, None) => counted(p.batch as u64, "video"),
        (n, None) => format!("{n} × {}", counted(p.batch as u64, "video")),
    };
    let dash = |n: Option<u64>| n.map_or("–".to_string(), count);
    vec![
        turn.unwrap_or_default(),
        p.name.clone(),
        format!("{} of {}", p.split, streams.join(", ")),
        length,
        videos,
        if p.trained == 0 {
            "–".into()
        } else {
            thousands(p.trained)
        },
        count(p.step),
        dash(p.total),
        bytes(all_memory(p)),
    ]
}

fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn all_memory(p: &ProgramPlan) -> u64 {
    let m = &p.memory;
    m.activations + m.weights + m.queue + m.batch
}

/// `36 videos in train of source`, of each list once, where they are known.
fn lists(runs: &[&ProgramPlan]) -> Vec<String> {
    let mut all = vec![];
    for p in runs {
        for (stream, videos) in &p.videos {
            let Some(n) = videos else { continue };
            let text = format!("{} in {} of {stream}", counted(*n as u64, "video"), p.split);
            if !all.contains(&text) {
                all.push(text);
            }
        }
    }
    all
}
