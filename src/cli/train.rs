//! `glad-run GRAPH`.

use super::args::{MachineArgs, RunArgs};
use super::exit::Failure;
use super::experiment::{Experiment, machine, open, stem};
use super::output::is_folder;
use crate::check::{Look, absent_of, left_out, not_given, runs};
use crate::describe::{Target, bytes, plan_text};
use crate::diag::{Problems, Severity, one_line, terminal};
use crate::load::effective;
use crate::program::{Program, ValueId, value_bytes};
use crate::report;
use crate::run::{
    Begin, Progress, RunError, RunFolder, RunOptions, Section, TrialOptions, cache_folder, enter, listen, make_data,
    physical_memory, run, try_phases,
};
use candle_core::Device;
use glad_nodes::{Registry, Side};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Seconds between saved states.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// Checks, plans and runs a graph.
///
/// # Errors
/// The graph is wrong, data is absent, the folder is refused, the run was stopped, or it failed.
pub(super) fn train(path: &Path, args: &RunArgs, registry: &Registry) -> Result<(), Failure> {
    if let Some(out) = &args.out {
        is_folder(out)?;
    }
    let experiment = open(path, &args.layers, args.seed, registry)?;
    has_start(&experiment)?;
    let machine = machine(&args.machine)?;
    recordable(args.cuda_graphs, &machine.device)?;
    let progress = Progress::new(args.machine.quiet);
    let (graph, checked) = (&experiment.graph, &experiment.checked);
    let seed = graph.seed.value;
    let out = args.out.clone().unwrap_or_else(|| default_folder(path, args, seed));
    let stopped = format!(
        "stopped; the state is saved. To go on:\n  {}",
        resume_command(path, args, &out)
    );
    if args.resume || args.go_on && RunFolder::existing(&out).is_ok_and(|f| f.last().exists()) {
        // What the run has saved is all that there is, until it trains.
        let _ = enter(Section::Saved);
    }
    listen(stopped.clone());
    fits(&experiment, &machine.device)?;
    let mut warnings = checked.notes.clone();
    warnings.list.extend(have_data(&experiment, &progress)?.list);
    warnings.list.retain(|p| p.severity == Severity::Warning);
    if !warnings.list.is_empty() {
        progress.problems(&warnings);
    }
    progress.say(&format!(
        "{}{}  seed {seed}  → {}",
        one_line(graph.title.as_ref().map_or("experiment", |t| t.value.as_str())),
        if graph.oracle {
            " (oracle: uses held-out labels)"
        } else {
            ""
        },
        out.display()
    ));
    let options = RunOptions {
        out: out.clone(),
        begin: match (args.resume, args.go_on) {
            (true, _) => Begin::Resume,
            (_, true) => Begin::GoOn,
            _ => Begin::New,
        },
        seed,
        feed: machine.feed,
        device: machine.device,
        cache: cache_folder(),
        save_every: SAVE_EVERY,
        save_steps: args.save_every,
        share: !args.no_share,
        record: args.cuda_graphs,
    };
    let target = Target {
        device: options.device.location(),
        ahead: machine.feed.ahead,
    };
    // Looking at every file for the keys is left to the run.
    let plan = plan_text(checked, graph, target, &|_| Ok(None));
    match run(graph, checked, &effective(graph), &plan, &options, &progress) {
        Ok(mut result) => {
            result.warnings.splice(0..0, warnings.warnings());
            report::write(graph, checked, registry, &result)?;
            terminal::out(&report::result_text(graph, &result));
            Ok(())
        }
        Err(RunError::Stopped) => {
            terminal::err(&stopped);
            Err(Failure::Stopped)
        }
        // What is refused never began: a scheduler must not start it again.
        Err(e) => Err(e.into()),
    }
}

/// Trains a few steps of each phase, and prints which side waits for the other.
///
/// # Errors
/// The device cannot record, data is absent, or a step fails.
pub(super) fn measure(
    experiment: &Experiment,
    args: &MachineArgs,
    steps: usize,
    cuda_graphs: bool,
) -> Result<(), Failure> {
    let machine = machine(args)?;
    recordable(cuda_graphs, &machine.device)?;
    let progress = Progress::new(args.quiet);
    fits(experiment, &machine.device)?;
    have_data(experiment, &progress)?;
    let cache = cache_folder();
    let options = TrialOptions {
        steps,
        feed: machine.feed,
        device: &machine.device,
        cache: cache.as_deref(),
        record: cuda_graphs,
    };
    let trials = try_phases(&experiment.graph, &experiment.checked, &options, &progress)?;
    let on = format!(
        "on {}, {}, {}{}",
        args.device,
        count(machine.feed.workers, "worker"),
        count(rayon::current_num_threads(), "thread"),
        if cuda_graphs { ", CUDA graphs" } else { "" }
    );
    terminal::out(&format!("\n{}", report::trial_text(&trials, &on)));
    Ok(())
}

/// `1 thread`, `2 threads`.
fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Refuses to record on a device that cannot.
fn recordable(cuda_graphs: bool, device: &Device) -> Result<(), Failure> {
    if cuda_graphs && device.is_cpu() {
        return Err(Failure::Usage(
            "--cuda-graphs records work of a GPU, and --device is cpu: name a GPU there, or leave the flag out".into(),
        ));
    }
    Ok(())
}

/// Refuses what is sure to fail: a single value, or weights, larger than all memory of the machine.
fn fits(experiment: &Experiment, device: &Device) -> Result<(), Failure> {
    let Some(all) = physical_memory() else { return Ok(()) };
    for program in runs(&experiment.graph, &experiment.checked) {
        for (i, value) in program.values.iter().enumerate() {
            let side = program.calls[value.call].side;
            if side == Side::Device && !device.is_cpu() {
                continue;
            }
            let batch = if side == Side::Host {
                1
            } else {
                program.batch_of(ValueId(i))
            };
            let takes = value_bytes(program, ValueId(i), batch);
            if takes > all {
                return Err(Failure::Absent(anyhow::anyhow!(
                    "`{}` ({}) takes {} in `{}`, and this machine has {}: make the batch or the sizes smaller",
                    value.name,
                    value.ty,
                    bytes(takes),
                    program.name,
                    bytes(all)
                )));
            }
        }
    }
    Ok(())
}

/// Refuses a run whose graph does not name what the weights of a network start from, before anything is read.
fn has_start(experiment: &Experiment) -> Result<(), Failure> {
    let (graph, checked) = (&experiment.graph, &experiment.checked);
    let left_out = left_out(graph, checked);
    let taken = |p: &&Program| left_out.iter().all(|(name, _)| *name != p.name);
    let mut open = not_given(graph, runs(graph, checked).filter(taken));
    if open.is_empty() {
        return Ok(());
    }
    open.iter_mut().for_each(|p| p.severity = Severity::Error);
    let mut others = checked.notes.clone();
    others.list.retain(|p| p.severity == Severity::Warning);
    let open = Problems {
        files: graph.files.clone(),
        list: open,
    };
    Err(Failure::Graph(open.after(&others)))
}

/// Makes the data that can be made; what is absent otherwise, or does not fit the graph, is an error. Gives what is worth a
/// warning.
fn have_data(experiment: &Experiment, progress: &Progress) -> Result<Problems, Failure> {
    let (graph, checked) = (&experiment.graph, &experiment.checked);
    for program in runs(graph, checked) {
        make_data(program, progress).map_err(Failure::Absent)?;
    }
    let left_out = left_out(graph, checked);
    let taken = |p: &&Program| left_out.iter().all(|(name, _)| *name != p.name);
    let found = absent_of(graph, runs(graph, checked).filter(taken), Look::Needed);
    match found.has_errors() {
        true => Err(Failure::Graph(found.after(&checked.notes))),
        false => Ok(found),
    }
}

/// `runs/GRAPH-SETTING-sSEED`, or the first of it with a number that is free.
fn default_folder(graph: &Path, args: &RunArgs, seed: u64) -> PathBuf {
    let mut name = stem(graph);
    for p in args.layers.setting.iter().chain(&args.layers.with) {
        name = format!("{name}-{}", stem(p));
    }
    RunFolder::unused(Path::new("runs"), &format!("{name}-s{seed}"))
}

fn resume_command(graph: &Path, args: &RunArgs, out: &Path) -> String {
    let quoted = |p: &Path| shell(&p.display().to_string());
    let mut c = format!("glad-run {}", quoted(graph));
    let l = &args.layers;
    if let Some(p) = &l.setting {
        c += &format!(" --setting {}", quoted(p));
    }
    for p in &l.with {
        c += &format!(" --with {}", quoted(p));
    }
    for s in &l.set {
        c += &format!(" --set {}", shell(s));
    }
    if let Some(s) = args.seed {
        c += &format!(" --seed {s}");
    }
    let m = &args.machine;
    if m.device != "cpu" {
        c += &format!(" --device {}", m.device);
    }
    let numbers = [
        ("--workers", m.workers.map(|n| n as u64)),
        ("--threads", m.threads.map(|n| n as u64)),
        ("--save-every", args.save_every),
    ];
    for (flag, number) in numbers {
        c += &number.map_or(String::new(), |n| format!(" {flag} {n}"));
    }
    for (flag, on) in [
        ("--quiet", m.quiet),
        ("--no-share", args.no_share),
        ("--cuda-graphs", args.cuda_graphs),
    ] {
        if on {
            c += &format!(" {flag}");
        }
    }
    let again = if args.go_on { "--go-on" } else { "--resume" };
    format!("{c} --out {} {again}", quoted(out))
}

/// A word as a shell reads it.
fn shell(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), |quoted| quoted.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Args;
    use clap::Parser;

    #[test]
    fn going_on_is_reported_with_all_that_was_asked_for() {
        let reported = |line: &str| {
            let args = Args::parse_from(line.split(' ')).run;
            let graph = args.graph.clone().unwrap();
            resume_command(&graph, &args, Path::new("there"))
        };
        for line in [
            "glad-run g.toml",
            "glad-run g.toml --setting s.toml --with o.toml --seed 2 --device cuda:0 --workers 3 --threads 1 --save-every 9 \
             --quiet --no-share --cuda-graphs",
        ] {
            assert_eq!(reported(line), format!("{line} --out there --resume"));
        }
        assert_eq!(
            reported("glad-run g.toml --out there --go-on"),
            "glad-run g.toml --out there --go-on"
        );
        assert_eq!(
            reported("glad-run a'b.toml --set a.b=1"),
            "glad-run \"a'b.toml\" --set 'a.b=1' --out there --resume"
        );
        assert_eq!(
            reported("glad-run g.toml --set a.b=[1,2]"),
            "glad-run g.toml --set 'a.b=[1,2]' --out there --resume"
        );
    }
}
