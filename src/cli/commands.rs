//! One function a command.

use super::args::{Args, Command, GraphArgs, LayerArgs, MachineArgs, near_command, no_verb};
use super::exit::Failure;
use super::experiment::{feed_options, open, open_args};
use super::{builtin, cache, frames, lint, output, predict, train};
use crate::describe::{self, Plan, Target, plan_text};
use crate::diag::{Severity, one_line, printable, terminal};
use crate::load;
use crate::run::cache_keys;
use crate::tree::Role;
use anyhow::Context;
use glad_nodes::Registry;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Does what was asked for.
///
/// # Errors
/// Why the command ended without its result.
pub(super) fn run(args: Args, registry: &Registry) -> Result<(), Failure> {
    match args.command {
        None => match &args.run.graph {
            Some(graph) => {
                not_a_command(graph)?;
                train::train(graph, &args.run, registry)
            }
            None => Err(Failure::Usage("which graph?".into())),
        },
        Some(Command::List) => {
            terminal::out(&builtin::list());
            Ok(())
        }
        Some(Command::New { name, out }) => builtin::new(&name, out.as_deref()),
        Some(Command::Check { graphs, layers, files }) => check(&graphs, &layers, files, registry),
        Some(Command::Frames {
            videos,
            index,
            out,
            sheet,
            template,
            start_index,
            graph,
            node,
            program,
            layers,
            quiet,
        }) => {
            let what = frames::What {
                index: index.as_deref(),
                out: &out,
                sheet,
                template: template.as_deref(),
                start_index,
                layers: &layers,
                picks: graph
                    .as_deref()
                    .zip(node.as_deref())
                    .map(|(graph, node)| frames::Picks {
                        graph,
                        layers: &layers,
                        node,
                        program: program.as_deref(),
                    }),
                quiet,
            };
            frames::frames(&videos, &what, registry)
        }
        Some(Command::Lint {
            graph,
            out,
            decode,
            workers,
            quiet,
        }) => {
            let what = lint::What {
                out: out.as_deref(),
                decode,
                workers,
                quiet,
            };
            lint::lint(&graph, what, registry)
        }
        Some(Command::Plan {
            graph,
            json,
            workers,
            device,
            measure,
            threads,
            cuda_graphs,
        }) => {
            let e = open_args(&graph, None, registry)?;
            let target = Target {
                device: crate::run::location(&device).map_err(|e| Failure::Usage(e.to_string()))?,
                ahead: feed_options(workers).ahead,
            };
            // Before anything computes: the number of threads is set once.
            if measure.is_some() {
                super::experiment::threads(threads, false)?;
            }
            let keys = cache_keys(&e.checked, &e.graph, e.graph.seed.value, target.device);
            if json {
                let plan = Plan::new(&e.checked, &e.graph, target, &keys);
                let text = serde_json::to_string_pretty(&plan).context("the plan")?;
                terminal::data(&format!("{text}\n"));
                return Ok(());
            }
            terminal::out(&plan_text(&e.checked, &e.graph, target, &keys));
            notes(&e.checked.notes);
            let Some(steps) = measure else { return Ok(()) };
            let machine = MachineArgs {
                workers,
                threads,
                device,
                quiet: false,
            };
            train::measure(&e, &machine, steps, cuda_graphs)
        }
        Some(Command::Explain { graph, path }) => {
            let e = open_args(&graph, None, registry)?;
            let text = load::explain(&e.graph, &path).map_err(Failure::Usage)?;
            let form = describe::form(&e.graph, registry, &path).unwrap_or_default();
            terminal::out(&(text + &form));
            Ok(())
        }
        Some(Command::Diff { a, b }) => {
            let open = |p: &Path| open(p, &LayerArgs::default(), None, registry);
            let (a, b) = (open(&a)?, open(&b)?);
            terminal::out(&load::diff(&a.graph, &b.graph));
            Ok(())
        }
        Some(Command::Draw { graph, open, out }) => draw(&graph, open, out.as_deref(), registry),
        Some(Command::Cache { clear }) => cache::cache(clear),
        Some(Command::Nodes { kind: None }) => {
            terminal::out(&describe::nodes(registry));
            Ok(())
        }
        Some(Command::Nodes { kind: Some(kind) }) => match registry.get(&kind) {
            Some(entry) => {
                terminal::out(&describe::node_page(entry));
                Ok(())
            }
            None => {
                let names: Vec<&str> = registry.iter().map(|k| k.name).collect();
                let hint = crate::diag::did_you_mean(&kind, names.iter().copied());
                let hint = hint.unwrap_or_else(|| "`glad-run nodes` lists them".into());
                Err(Failure::Usage(format!("there is no node kind `{kind}`: {hint}")))
            }
        },
        Some(Command::Schema { plan }) => {
            let schema = if plan {
                describe::plan_schema()
            } else {
                describe::schema(registry)
            };
            let text = serde_json::to_string_pretty(&schema).context("the schema")?;
            terminal::data(&format!("{text}\n"));
            Ok(())
        }
        Some(Command::Eval {
            run,
            view,
            layers,
            machine,
        }) => predict::eval(&run, &view, &layers, &machine, registry),
        Some(Command::Predict {
            run,
            videos,
            list,
            view,
            port,
            out,
            machine,
        }) => {
            let what = predict::What {
                view: &view,
                port: port.as_deref(),
                out: out.as_deref(),
                videos: predict::Videos::of(&videos, list.as_deref())?,
            };
            predict::predict(&run, &what, &machine, registry)
        }
    }
}

fn draw(graph: &GraphArgs, open: bool, out: Option<&Path>, registry: &Registry) -> Result<(), Failure> {
    if let Some(out) = out {
        output::ends_in(out, "a picture of a graph", &["svg"])?;
        output::writable(out)?;
    }
    let e = open_args(graph, None, registry)?;
    let draw = if open { describe::draw_open } else { describe::draw };
    let svg = draw(&e.graph, &e.checked, registry);
    let svg = printable(&svg);
    match out {
        None => terminal::data(&svg),
        Some(out) => crate::run::write_out(out, svg.as_bytes())?,
    }
    Ok(())
}

/// Refuses a graph that is none where a command of about its name may have been meant.
fn not_a_command(graph: &Path) -> Result<(), Failure> {
    let there = graph.exists() || load::name_of(&load::from_command_line(graph, Role::Graph)).is_some();
    if let Some(hint) = graph.to_str().and_then(|word| no_verb(word, None)).filter(|_| !there) {
        return Err(Failure::Usage(hint));
    }
    match graph.to_str().and_then(near_command).filter(|_| !there) {
        Some(command) => {
            let graph = graph.display();
            Err(Failure::Usage(format!(
                "there is no graph `{graph}`, and no such command: {command}"
            )))
        }
        None => Ok(()),
    }
}

fn check(graphs: &[PathBuf], layers: &LayerArgs, files: bool, registry: &Registry) -> Result<(), Failure> {
    let mut all = vec![];
    for g in graphs {
        if g.is_dir() {
            experiments_below(g, &mut HashSet::new(), &mut all)
                .with_context(|| format!("cannot read {}", g.display()))?;
        } else {
            all.push(g.clone());
        }
    }
    if all.is_empty() {
        return Err(Failure::Usage(
            "there is no experiment there (a graph with `setting`, `extends` or `streams`)".into(),
        ));
    }
    let mut wrong = 0;
    for g in &all {
        let opened = open(g, layers, None, registry).and_then(|e| {
            let absent = crate::check::absent(&e.graph, &e.checked, files);
            match absent.has_errors() {
                true => Err(Failure::Graph(absent.after(&e.checked.notes))),
                false => Ok((e, absent)),
            }
        });
        match opened {
            Ok((e, absent)) => {
                let warnings = e.checked.notes.warnings().len() + absent.warnings().len();
                let reported = match warnings {
                    0 => String::new(),
                    _ if all.len() == 1 => String::new(),
                    1 => "  1 warning".into(),
                    n => format!("  {n} warnings"),
                };
                terminal::out(&format!("ok    {}{reported}\n", one_line(&g.display().to_string())));
                if all.len() == 1 {
                    notes(&e.checked.notes);
                    notes(&absent);
                }
            }
            Err(Failure::Graph(p)) => {
                wrong += 1;
                terminal::out(&format!("wrong {}\n", one_line(&g.display().to_string())));
                terminal::problems(&p);
            }
            Err(e) => return Err(e),
        }
    }
    if all.len() > 1 {
        terminal::out(&format!("{} graphs, {wrong} wrong\n", all.len()));
    }
    if wrong > 0 { Err(Failure::Said) } else { Ok(()) }
}

fn notes(problems: &crate::diag::Problems) {
    if problems.list.iter().any(|p| p.severity != Severity::Error) {
        terminal::problems(problems);
    }
}

/// Graph files in a folder and below: those that are experiments, not settings, composites or tables.
fn experiments_below(folder: &Path, seen: &mut HashSet<PathBuf>, all: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    // A link may lead back up.
    if !seen.insert(folder.canonicalize()?) {
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for p in entries {
        if p.is_dir() {
            experiments_below(&p, seen, all)?;
        } else if p.is_file() && p.extension().is_some_and(|e| e == "toml") {
            // A file that does not parse is checked, so that it is reported.
            let is = is_experiment(&p, 0).with_context(|| format!("cannot read {}", p.display()))?;
            if is {
                all.push(p);
            }
        }
    }
    Ok(())
}

/// Bytes of a file that is not looked into before it is checked, which refuses it.
const LARGEST: u64 = 1 << 21;

/// Whether a file, or what it extends, has streams or names a setting. Settings extend one another, too.
fn is_experiment(path: &Path, depth: usize) -> std::io::Result<bool> {
    let text = match load::name_of(path) {
        Some(name) => load::built_in(&name).map_or(String::new(), |b| b.text.to_string()),
        None if path.metadata()?.len() > LARGEST => return Ok(true),
        None => glad_video::read_text(path)?,
    };
    let Ok(table) = text.parse::<toml::Table>() else {
        return Ok(true);
    };
    if table.contains_key("setting") || table.contains_key("streams") || depth > 16 {
        return Ok(true);
    }
    match table.get("extends").and_then(toml::Value::as_str) {
        // What it extends may be missing: then it is checked, so that it is reported.
        Some(base) => {
            let base = load::resolve(path.parent().unwrap_or(path), base);
            Ok(is_experiment(&base, depth + 1).unwrap_or(true))
        }
        None => Ok(false),
    }
}
