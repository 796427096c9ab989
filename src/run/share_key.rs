//! What a phase's result depends on, as a hash: phases of equal key are trained once.

use crate::graph::{Graph, PhaseDef, ScheduleDef};
use crate::program::{Call, Checked, Program};
use anyhow::{Context, Result};
use candle_core::DeviceLocation;
use glad_nodes::Body;
use std::fmt::Write;
use std::sync::OnceLock;

/// The key of phase `name` of `run` under the run's `seed`: a hash of its pruned program (nodes, kinds, parameters,
/// types, streams), objective, optimiser and length, of its lists' lines and files of weights, of the keys of the phases
/// before it, of this program's code, and of the device, the precision that it really computes in and the instruction
/// set. What is not needed by the phase changes nothing. Where a list is not there, it is its parameters that count alone;
/// a list that is malformed is an error.
pub fn cache_key(checked: &Checked, graph: &Graph, name: &str, seed: u64, device: DeviceLocation) -> Result<String> {
    let mut before: Vec<String> = vec![];
    for entry in &graph.run {
        let Some(program) = checked.phases.get(&entry.value) else {
            continue;
        };
        let def = &graph.phases[&entry.value];
        let key = key(program, def, graph, seed, device, &before)?;
        if entry.value == name {
            return Ok(key);
        }
        before.push(key);
    }
    // A phase that is not in `run` stands alone.
    let program = checked
        .phases
        .get(name)
        .with_context(|| format!("there is no phase `{name}`"))?;
    key(program, &graph.phases[name], graph, seed, device, &[])
}

fn key(
    program: &Program,
    def: &PhaseDef,
    graph: &Graph,
    seed: u64,
    device: DeviceLocation,
    before: &[String],
) -> Result<String> {
    let mut t = String::from("glad phase key v1\n");
    describe(&mut t, program, def, graph, seed).expect("writing to a string");
    for call in &program.calls {
        lists(&mut t, program, call)?;
        weights(&mut t, program, call)?;
    }
    for k in before {
        writeln!(t, "after {k}")?;
    }
    let place = match device {
        DeviceLocation::Cpu => "cpu",
        DeviceLocation::Cuda { .. } => "cuda",
        DeviceLocation::Metal { .. } => "metal",
    };
    writeln!(t, "computes in {} on {place}", graph.precision.value.on(device))?;
    writeln!(t, "code {} on {}", code_version(), instruction_set())?;
    Ok(blake3::hash(t.as_bytes()).to_hex().to_string())
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
    writeln!(t, "batch {} micro_batch {:?}", def.batch.value, value(&def.micro_batch))?;
    // What is logged on the way, and what is chosen by it, belongs to the result.
    writeln!(
        t,
        "validate {:?} select {}",
        def.validate.as_ref().map(|v| &v.value),
        graph.select.value
    )?;
    writeln!(t, "bad videos {}", graph.bad_videos)?;
    for c in &p.calls {
        let names = |ids: &[super::ValueId]| ids.iter().map(|i| p.values[i.0].name.as_str()).collect::<Vec<_>>();
        writeln!(
            t,
            "call {} {} {:?} {:?} trains {} {}",
            c.node, c.kind, c.stream, c.joint, c.trains, c.params
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
    for l in &p.losses {
        let names: Vec<&str> = l.values.iter().map(|i| p.values[i.0].name.as_str()).collect();
        writeln!(t, "loss {} {names:?} {}", l.name, l.weight)?;
    }
    writeln!(t, "frozen {:?} reset {:?}", p.frozen, p.reset)?;
    let o = &def.optimizer;
    writeln!(
        t,
        "sgd {} {} {} {} {:?}",
        o.lr, o.momentum, o.weight_decay, o.nesterov, o.clip_norm
    )?;
    let schedule: &ScheduleDef = &o.schedule;
    writeln!(t, "warmup {} {schedule:?}", o.warmup_steps)?;
    for g in &o.groups {
        let nodes: Vec<&str> = g.nodes.iter().map(|n| n.value.as_str()).collect();
        writeln!(t, "group {nodes:?} {:?} {} {:?}", g.roles, g.lr_scale, g.weight_decay)?;
    }
    Ok(())
}

/// The file that a node's weights start from, by its content. One that is not there is an error of the run, not here.
fn weights(t: &mut String, program: &Program, call: &Call) -> Result<()> {
    if let Body::Compute(compute) = &program.bodies[call.body]
        && let Some(file) = compute.init_file().filter(|f| f.exists())
    {
        let mut hash = blake3::Hasher::new();
        let read = std::fs::File::open(file).and_then(|f| hash.update_reader(f).map(drop));
        read.with_context(|| format!("weights from {}", file.display()))?;
        writeln!(t, "weights of {} {}", call.node, hash.finalize().to_hex())?;
    }
    Ok(())
}

/// The lines of the list behind a source call.
fn lists(t: &mut String, program: &Program, call: &Call) -> Result<()> {
    let Body::Source(source) = &program.bodies[call.body] else {
        return Ok(());
    };
    // Data that is generated follows from its parameters, and must have the same key before and after it is made.
    let generated = call.params.get("generate").is_some_and(|g| !g.is_null());
    if generated || !source.absent(false).is_empty() {
        return Ok(());
    }
    for v in source.videos(&program.split)? {
        writeln!(t, "video {} {} {:?}", v.path.display(), v.line, v.label)?;
    }
    Ok(())
}

/// A hash of the program that runs: what other code has trained is not this code's result.
fn code_version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let own = std::env::current_exe().and_then(std::fs::read);
        own.map_or_else(
            |_| env!("CARGO_PKG_VERSION").to_string(),
            |b| blake3::hash(&b).to_hex().to_string(),
        )
    })
}

fn instruction_set() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let has = [
            ("fma", std::is_x86_feature_detected!("fma")),
            ("avx2", std::is_x86_feature_detected!("avx2")),
            ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ];
        let names: Vec<&str> = has.iter().filter(|h| h.1).map(|h| h.0).collect();
        format!("x86_64 {}", names.join(" "))
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::env::consts::ARCH.to_string()
}
