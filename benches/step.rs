//! Whole training steps of a graph's phase, timed: normalisation, backbone, heads, losses, backward and SGD, by the code
//! that `glad-run` trains with, on random bytes in the place of clips.
//!
//! ```text
//! cargo bench --bench step -- graphs/full.toml --phase pretrain --threads 1
//! cargo bench --bench step -- graphs/full.toml --setting graphs/settings/kinetics_babel_tsm.toml --set phases.main.batch=1
//! ```
//!
//! With `--serve` it does a step for each line on standard input and answers each with a line of JSON, so that
//! `tools/compare/compute.py` can take turns with other programs.

use anyhow::{Context, Result};
use candle_core::Device;
use clap::Parser;
use glad::check::check;
use glad::load::{LoadOptions, load};
use glad::run::{Rehearsal, keep_freed_memory};
use serde_json::json;
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
    /// A step for every line on standard input.
    #[arg(long)]
    serve: bool,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The most memory that this process has held, in MiB; `None` where the system does not say.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Milliseconds and loss of one step.
fn timed(rehearsal: &mut Rehearsal) -> Result<(f64, f64)> {
    let at = Instant::now();
    let values = rehearsal.step()?;
    let ms = at.elapsed().as_secs_f64() * 1e3;
    let loss = values.iter().find(|(name, _)| name == "loss");
    Ok((ms, loss.context("the phase has no loss")?.1))
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
    let options = LoadOptions {
        graph: args.graph.clone(),
        setting: args.setting.clone(),
        with: vec![],
        set: args.set.clone(),
    };
    let graph = load(&options).map_err(|e| anyhow::anyhow!("{e}"))?;
    let checked = check(&graph, &glad::nodes::registry()).map_err(|e| anyhow::anyhow!("{e}"))?;
    let start = peak_mib();
    let mut rehearsal = Rehearsal::new(&graph, &checked, &args.phase, &Device::Cpu)?;
    if !args.serve {
        timed(&mut rehearsal)?;
        let mut all = vec![];
        for _ in 0..args.steps.max(1) {
            let (ms, loss) = timed(&mut rehearsal)?;
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
    });
    writeln!(out, "{ready}")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let (ms, loss) = timed(&mut rehearsal)?;
        writeln!(out, "{}", json!({ "ms": ms, "loss": loss, "peak_mib": peak_mib() }))?;
        out.flush()?;
    }
    Ok(())
}
