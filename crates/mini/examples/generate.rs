//! Generates the data set and prints how long it took:
//! `cargo run --release -p glad-mini --example generate -- FOLDER [smoke]`.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use glad_mini::{MiniConfig, Progress, Scene, Split, cache_dir, generate};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments
        .next()
        .map_or_else(cache_dir, |text| Ok(PathBuf::from(text)))?;
    let config = match arguments.next().as_deref() {
        None => MiniConfig::default(),
        Some("smoke") => MiniConfig::smoke(),
        Some(other) => return Err(format!("unknown preset `{other}`: the only one is `smoke`").into()),
    };
    let begin = Instant::now();
    let mut frames = 0;
    let mut rgb = Vec::new();
    for split in [Split::SourceTrain, Split::TargetTrain, Split::AuxiliaryTrain] {
        for index in 0..12 {
            let scene = Scene::new(&config, split, index)?;
            (0..scene.frame_count()).for_each(|frame| scene.frame(frame, &mut rgb));
            frames += scene.frame_count();
        }
    }
    println!(
        "drawing: {:.0} frames/s on one core",
        frames as f64 / begin.elapsed().as_secs_f64()
    );

    let begin = Instant::now();
    let folder = generate(&dir, &config, &|progress| match progress {
        Progress::Altered { file, kept } => {
            println!(
                "{file} was altered: the data set is generated again, and the altered one is in {}",
                kept.display()
            );
        }
        Progress::Waiting => println!("another process is generating this data set"),
        Progress::Videos { done, total } if done % 500 == 0 || done == total => println!("{done} of {total} videos"),
        Progress::Videos { .. } => {}
    })?;
    println!("{} after {:.1} s", folder.display(), begin.elapsed().as_secs_f64());
    Ok(())
}
