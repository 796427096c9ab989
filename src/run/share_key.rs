//! What a phase's result depends on, as a hash: phases of equal key are trained once.

use super::inputs::{Inputs, place};
use crate::graph::{Graph, PhaseDef, ema_shown};
use crate::keys::{Table, Word};
use crate::program::{Call, Checked, Program};
use crate::tree::Written;
use anyhow::{Context, Result};
use candle_core::DeviceLocation;
use glad_nodes::Body;
use std::cell::OnceCell;
use std::fmt::Write;
use std::sync::OnceLock;

/// The key of phase `name` of `run` under the run's `seed`, or `None` where what it depends on is unknown: a hash of its
/// pruned program (nodes, kinds, parameters, types, streams), objective, optimiser and length, of the content of its lists
/// (labels, segments; of each file the path, size and time of its last change, of generated data what it follows from) and of
/// its files of weights, of the keys of the phases before it, of this program's code and decoders, and of the device, the
/// precision that it really computes in and the instruction set. What is not needed by the phase changes nothing.
///
/// `inputs` are those of the run; `device` may add to its location what distinguishes it from others.
///
/// # Errors
/// There is no such phase.
pub fn cache_key(
    checked: &Checked,
    graph: &Graph,
    inputs: &Inputs,
    name: &str,
    seed: u64,
    device: (DeviceLocation, &str),
) -> Result<Option<String>> {
    let mut before: Vec<String> = vec![];
    for entry in &graph.run {
        let Some(program) = checked.phases.get(&entry.value) else {
            // What follows depends on the videos of that view, too.
            if checked
                .views
                .get(&entry.value)
                .is_some_and(|v| !v.statistics.is_empty())
            {
                return Ok(None);
            }
            continue;
        };
        let def = &graph.phases[&entry.value];
        let Some(key) = key(checked, (program, def), graph, inputs, seed, device, &before) else {
            return Ok(None);
        };
        if entry.value == name {
            return Ok(Some(key));
        }
        before.push(key);
    }
    // A phase that is not in `run` stands alone.
    let program = checked
        .phases
        .get(name)
        .with_context(|| format!("there is no phase `{name}`"))?;
    Ok(key(
        checked,
        (program, &graph.phases[name]),
        graph,
        inputs,
        seed,
        device,
        &[],
    ))
}

/// The keys of phases by name, as [`cache_key`] gives them, with what the files are when the first is asked for. `None` also on
/// a GPU: only a run knows which one it is.
///
/// # Errors
/// Of each key: as [`cache_key`].
pub fn cache_keys(
    checked: &Checked,
    graph: &Graph,
    seed: u64,
    device: DeviceLocation,
) -> impl Fn(&str) -> Result<Option<String>> {
    let inputs = OnceCell::new();
    move |name| {
        if device != DeviceLocation::Cpu {
            return Ok(None);
        }
        let inputs = match inputs.get() {
            Some(inputs) => inputs,
            None => {
                let read = Inputs::of_phases(checked)?;
                inputs.get_or_init(|| read)
            }
        };
        cache_key(checked, graph, inputs, name, seed, (device, ""))
    }
}

fn key(
    checked: &Checked,
    (program, def): (&Program, &PhaseDef),
    graph: &Graph,
    inputs: &Inputs,
    seed: u64,
    (location, device): (DeviceLocation, &str),
    before: &[String],
) -> Option<String> {
    let mut t = String::from("glad phase key v2\n");
    describe(&mut t, program, def, graph, seed).expect("writing to a string");
    files(&mut t, inputs, program)?;
    if let Some((name, often)) = &program.refresh {
        // The pass over the lists draws by the run's seed.
        let view = checked.views.get(name)?;
        t += &format!(
            "refresh {often:?} seed {seed} streams {:?} split {} batch {}\n",
            view.streams, view.split, view.batch
        );
        calls(&mut t, view).expect("writing to a string");
        files(&mut t, inputs, view)?;
    }
    t.extend(before.iter().map(|k| format!("after {k}\n")));
    let place = match location {
        DeviceLocation::Cpu => "cpu",
        DeviceLocation::Cuda { .. } => "cuda",
        DeviceLocation::Metal { .. } => "metal",
    };
    t += &format!(
        "computes in {} on {place} {device}\n",
        graph.precision.value.on(location)
    );
    t += &format!("code {} on {}\n", code_version()?, instruction_set());
    t += &format!("decoders {}\n", glad_video::decoders());
    Some(blake3::hash(t.as_bytes()).to_hex().to_string())
}

/// The lists and files of weights of a program.
fn files(t: &mut String, inputs: &Inputs, program: &Program) -> Option<()> {
    for call in &program.calls {
        match &program.bodies[call.body] {
            Body::Source(_) => list(t, inputs, program, call)?,
            Body::Compute(_) => {
                let start = inputs.weights.iter().find(|w| w.node == call.node);
                t.extend(start.map(|w| format!("weights of {} {}\n", w.node, w.hash)));
            }
            _ => {}
        }
    }
    Some(())
}

fn describe(t: &mut String, p: &Program, def: &PhaseDef, graph: &Graph, seed: u64) -> std::fmt::Result {
    let seed = def.seed.as_ref().map_or(seed, |s| s.value);
    let value = |v: &Option<crate::diag::Spanned<usize>>| v.as_ref().map(|n| n.value);
    writeln!(
        t,
        "phase {} seed {seed} streams {:?} split {}",
        p.name, p.streams, p.split
    )?;
    writeln!(t, "epochs {:?} steps {:?}", value(&def.epochs), value(&def.steps))?;
    let over = def.epoch.over.as_ref().map(|o| o.value).unwrap_or_default();
    writeln!(t, "epoch {} drop_last {}", over.word(), def.epoch.drop_last)?;
    writeln!(t, "batch {}", def.batch.value)?;
    let part = def.micro_batch.as_ref().map(|m| m.value.to_string());
    writeln!(t, "micro_batch {part:?}")?;
    // What is logged on the way, and what is chosen by it, belongs to the result.
    writeln!(
        t,
        "validate {:?} select {}",
        def.validate.as_ref().map(|v| &v.value),
        graph.select.value.word()
    )?;
    writeln!(t, "bad videos {}", graph.bad_videos)?;
    calls(t, p)?;
    for c in &p.copies {
        writeln!(
            t,
            "copy {} of {} {} begins {} moves {}",
            c.node,
            c.of,
            ema_shown(&c.ema),
            c.begins,
            c.moves
        )?;
    }
    for l in &p.losses {
        let names: Vec<&str> = l.values.iter().map(|i| p.values[i.0].name.as_str()).collect();
        writeln!(t, "loss {} {names:?} {} {:?}", l.name, l.weight, l.ramp)?;
    }
    for r in p.rounds.iter().filter(|r| !r.name.is_empty()) {
        let trained: Vec<usize> = (0..r.trains.len()).filter(|i| r.trains[*i]).collect();
        writeln!(t, "round {} {} trains calls {trained:?}", r.name, r.repeat)?;
    }
    writeln!(t, "frozen {:?} reset {:?}", p.frozen, p.reset)?;
    let mut optimizer = Written::nowhere();
    def.optimizer.write(&mut optimizer);
    writeln!(t, "optimizer {}", optimizer.tree())?;
    Ok(())
}

/// The calls of a program, and its weights.
fn calls(t: &mut String, p: &Program) -> std::fmt::Result {
    for c in &p.calls {
        let names =
            |ids: &[crate::program::ValueId]| ids.iter().map(|i| p.values[i.0].name.as_str()).collect::<Vec<_>>();
        writeln!(
            t,
            "call {} weights of {} {} {:?} {:?} trains {} {}",
            c.node, c.owner, c.kind, c.stream, c.joint, c.trains, c.params
        )?;
        for (port, ids) in &c.inputs {
            writeln!(t, "  in {port} {:?}", names(ids))?;
        }
        for id in c.outputs.iter().flatten() {
            let v = &p.values[id.0];
            writeln!(t, "  out {} {}", v.name, v.ty)?;
        }
    }
    for (node, specs) in &p.weights {
        for s in specs {
            writeln!(t, "weight {node}.{} {:?} {:?} {:?}", s.name, s.shape, s.init, s.role)?;
        }
    }
    Ok(())
}

/// The list behind a source call.
fn list(t: &mut String, inputs: &Inputs, program: &Program, call: &Call) -> Option<()> {
    let list = inputs.at(&place(program, call))?;
    *t += &format!("list of {} {:?} {}\n", call.node, call.stream, list.identity.as_ref()?);
    Some(())
}

/// A hash of the program that runs: what other code has trained is not this code's result. `None` where it cannot be read.
fn code_version() -> Option<&'static str> {
    static VERSION: OnceLock<Option<String>> = OnceLock::new();
    let read = || {
        // By this link the program that runs can be read even where a new build has taken its place.
        let running = std::path::Path::new("/proc/self/exe");
        let own = match running.exists() {
            true => running.to_path_buf(),
            false => std::env::current_exe().ok()?,
        };
        let mut hash = blake3::Hasher::new();
        hash.update_reader(std::fs::File::open(own).ok()?).ok()?;
        Some(hash.finalize().to_hex().to_string())
    };
    VERSION.get_or_init(read).as_deref()
}

/// What the processor has, and what the environment allows of it.
fn instruction_set() -> String {
    let asked = std::env::var("GLAD_ISA").unwrap_or_default();
    #[cfg(target_arch = "x86_64")]
    {
        let has = [
            ("fma", std::is_x86_feature_detected!("fma")),
            ("avx2", std::is_x86_feature_detected!("avx2")),
            ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ];
        let names: Vec<&str> = has.iter().filter(|h| h.1).map(|h| h.0).collect();
        format!("x86_64 {} {asked}", names.join(" "))
    }
    #[cfg(not(target_arch = "x86_64"))]
    format!("{} {asked}", std::env::consts::ARCH)
}
