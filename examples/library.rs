//! The library from Rust: load an experiment, check it, print what would run, run it.
//!
//! ```text
//! cargo run --release --example library -- graphs/full.toml graphs/settings/smoke.toml
//! ```

use anyhow::{Context, Result};
use candle_core::Device;
use glad::check::check;
use glad::describe::{Target, plan_text};
use glad::load::{LoadOptions, effective, load};
use glad::run::{Begin, FeedOptions, Progress, RunFolder, RunOptions, cache_folder, run};
use std::path::Path;
use std::time::Duration;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let options = LoadOptions {
        graph: args.next().context("which graph?")?.into(),
        setting: args.next().map(Into::into),
        // What `--set` does: vary an experiment without another file.
        set: vec!["title=\"from Rust\"".into()],
        ..LoadOptions::default()
    };
    let kinds = glad::nodes::registry();
    // Problems show each mistake with its places in the files.
    let graph = load(&options)?;
    let checked = check(&graph, &kinds)?;
    for (name, program) in &checked.phases {
        println!(
            "{name}: {} calls, {} parameters",
            program.calls.len(),
            program.parameters()
        );
    }
    let feed = FeedOptions { workers: 2, ahead: 32 };
    let options = RunOptions {
        out: RunFolder::unused(Path::new("runs"), "library"),
        begin: Begin::New,
        seed: 1,
        feed,
        device: Device::Cpu,
        cache: cache_folder(),
        save_every: Duration::from_secs(60),
        save_steps: None,
        share: true,
        record: false,
    };
    let target = Target {
        device: options.device.location(),
        ahead: feed.ahead,
    };
    let plan = plan_text(&checked, &graph, target, &|_| Ok(None));
    let result = run(
        &graph,
        &checked,
        &effective(&graph),
        &plan,
        &options,
        &Progress::new(false),
    )?;
    glad::report::write(&graph, &checked, &kinds, &result)?;
    for (view, found) in &result.views {
        for score in &found.scores {
            let (name, value) = score.scores.values.first().context("no scores")?;
            let stream = score.stream.as_deref().unwrap_or("all streams");
            println!("{view}: {name} of {stream}: {:.1} %", 100.0 * value);
        }
    }
    println!("{}", result.folder.root().join("report.html").display());
    Ok(())
}
