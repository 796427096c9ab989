//! Whole training steps of a graph's phase, timed: normalisation, backbone, heads, losses, backward and SGD, by the
//! code that `glad-run` trains with, on random bytes in place of clips.
//!
//! ```text
//! cargo bench --bench step -- graphs/full.toml --phase pretrain --threads 1
//! cargo bench --bench step -- graphs/full.toml --setting graphs/settings/kinetics_babel_tsm.toml --set phases.main.batch=1
//! cargo bench --bench step --features cuda -- graphs/full.toml --device cuda:0 --precision bf16
//! ```
//!
//! With `--serve` each line on standard input is a number of steps (empty: 1), answered by a line of JSON with the
//! milliseconds per step, so that `tools/compare/compute.py` and `tools/gpu/measure.py` can alternate with other
//! programs; or `release`: freed memory goes back to the GPU. On a GPU the clock is read after all steps are done.

use anyhow::{Context, Result};
use candle_core::Device;
use clap::Parser;
use glad::check::check;
use glad::load::{LoadOptions, load};
use glad::run::{Rehearsal, device, device_memory, keep_freed_memory, release_device_memory, reset_device_memory};
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Parser)]
struct Args {
    /// The graph file.
    graph: PathBuf,
    /// The setting, instead of the graph's own.
    #[arg(long)]
    setting: Option<PathBuf>,
    /// A value to change; may be given several times.
    #[arg(long)]
    set: Vec<String>,
    /// The phase whose steps are timed.
    #[arg(long, default_value = "main")]
    phase: String,
    /// Threads that compute.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Steps, after one that is not timed.
    #[arg(long, default_value_t = 5)]
    steps: usize,
    /// Where to compute: `cpu` or `cuda:0`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// `bf16`, `tf32` or `f32`, instead of the graph's own.
    #[arg(long)]
    precision: Option<String>,
    /// Records backbones as CUDA graphs.
    #[arg(long)]
    cuda_graphs: bool,
    /// Steps for every line on standard input.
    #[arg(long)]
    serve: bool,
    /// Added by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The peak memory of this process, in MiB; `None` where the system does not report it.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Milliseconds per step over `count` steps, and the loss of the last.
fn timed(rehearsal: &mut Rehearsal, device: &Device, count: usize) -> Result<(f64, f64)> {
    let at = Instant::now();
    let mut values = vec![];
    for _ in 0..count {
        values = rehearsal.step()?;
    }
    device.synchronize()?;
    let ms = at.elapsed().as_secs_f64() * 1e3 / count as f64;
    let loss = values.iter().find(|(name, _)| name == "loss");
    Ok((ms, loss.context("the phase has no loss")?.1))
}

/// The answer to a line of `--serve`.
fn answer(line: &str, rehearsal: &mut Rehearsal, device: &Device) -> Result<Value> {
    const MIB: f64 = (1 << 20) as f64;
    if line == "release" {
        release_device_memory(device)?;
        reset_device_memory(device)?;
        return Ok(json!({ "released": true }));
    }
    let count = if line.is_empty() {
        1
    } else {
        line.parse().context("neither a number of steps nor `release`")?
    };
    anyhow::ensure!(count > 0, "a number of steps is at least 1");
    reset_device_memory(device)?;
    let (ms, loss) = timed(rehearsal, device, count)?;
    let mut found = json!({ "ms": ms, "loss": loss, "peak_mib": peak_mib() });
    if let Some(memory) = device_memory(device)? {
        found["device_mib"] = json!(memory.used as f64 / MIB);
        found["device_held_mib"] = json!(memory.held as f64 / MIB);
    }
    Ok(found)
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    keep_freed_memory();
    rayon::ThreadPoolBuilder::new()
        .num_threads(args.threads)
        .build_global()?;
    let mut set = args.set.clone();
    set.extend(args.precision.as_ref().map(|p| format!("precision={p}")));
    let options = LoadOptions {
        graph: args.graph.clone(),
        setting: args.setting.clone(),
        with: vec![],
        set,
    };
    let graph = load(&options).map_err(|e| anyhow::anyhow!("{e}"))?;
    let checked = check(&graph, &glad::nodes::registry()).map_err(|e| anyhow::anyhow!("{e}"))?;
    let start = peak_mib();
    let device = device(&args.device)?;
    let mut rehearsal = Rehearsal::new(&graph, &checked, &args.phase, &device)?;
    rehearsal.record(args.cuda_graphs);
    if !args.serve {
        timed(&mut rehearsal, &device, 1)?;
        reset_device_memory(&device)?;
        let mut all = vec![];
        for _ in 0..args.steps.max(1) {
            let (ms, loss) = timed(&mut rehearsal, &device, 1)?;
            println!("{ms:9.2} ms  loss {loss:.4}");
            all.push(ms);
        }
        all.sort_by(f64::total_cmp);
        let median = all[all.len() / 2];
        println!(
            "median {median:.2} ms, {:.1} GF/s, {} threads, {}, {} parameters, clips {:?}, peak {:.0} MiB",
            6e-6 * rehearsal.multiply_adds() as f64 / median,
            args.threads,
            glad_ops::isa::current(),
            rehearsal.parameters(),
            rehearsal.clips(),
            peak_mib().unwrap_or(f64::NAN)
        );
        if let Some(memory) = device_memory(&device)? {
            println!(
                "GPU memory: {} MiB at a time, {} MiB held",
                memory.used >> 20,
                memory.held >> 20
            );
        }
        let (nodes, optimizer) = rehearsal.times();
        let steps = (args.steps.max(1) + 1) as f64;
        let each = |time: std::time::Duration| time.as_secs_f64() * 1e3 / steps;
        for n in nodes.iter().take(8) {
            println!(
                "  {:9.2} ms forward {:9.2} ms backward  {}",
                each(n.forward),
                each(n.backward),
                n.node
            );
        }
        println!("  {:9.2} ms optimiser", each(optimizer));
        return Ok(());
    }
    let mut out = std::io::stdout().lock();
    let ready = json!({
        "parameters": rehearsal.parameters(),
        "multiply_adds": rehearsal.multiply_adds(),
        "clips": rehearsal.clips(),
        "isa": glad_ops::isa::current().name(),
        "start_mib": start,
        "device": args.device,
    });
    writeln!(out, "{ready}")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let found = answer(line?.trim(), &mut rehearsal, &device)?;
        writeln!(out, "{found}")?;
        out.flush()?;
    }
    Ok(())
}
