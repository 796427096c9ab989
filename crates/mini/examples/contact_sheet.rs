//! Draws frames of every class: `cargo run --release -p glad-mini --example contact_sheet -- sheet.png [round]`.

use std::error::Error;

use glad_mini::{MiniConfig, Split, contact_sheet};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "contact_sheet.png".into());
    let round = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let splits = [Split::SourceTrain, Split::TargetTrain, Split::AuxiliaryTrain];
    let sheet = contact_sheet(&MiniConfig::default(), &splits, 10, round)?;
    std::fs::write(&path, glad_video::png(&sheet)?)?;
    println!("{path}: {} x {} pixels", sheet.width(), sheet.height());
    Ok(())
}
