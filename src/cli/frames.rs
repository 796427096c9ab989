//! `glad-run frames`: decoded frames as pictures, and what a sampler picks.

use super::args::LayerArgs;
use super::exit::{Failure, some_failed};
use super::experiment::{Experiment, open};
use super::output::is_folder;
use crate::diag::{one_line, terminal};
use crate::program::Program;
use crate::run::{Progress, draw_key, write_out};
use anyhow::{Context, Result, bail};
use glad_nodes::{Args, Body, DataError, HostValue, Key, Registry, SampleCx, Stage};
use glad_video::{Cell, Numbering, OpenOptions, RgbFrame, Template, Video, background_frames, contact_sheet, png};
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Frames of a sheet of which no numbers are given.
const SHEET: usize = 24;
/// Pixels of a sheet, across.
const WIDTH: usize = 1600;

/// What is wanted of each video.
pub(super) struct What<'a> {
    /// Numbers of frames; all, or for a sheet some that are spread evenly.
    pub index: Option<&'a [usize]>,
    /// The folder.
    pub out: &'a Path,
    /// One picture of all frames.
    pub sheet: bool,
    /// File names of folders of images.
    pub template: Option<&'a str>,
    /// The number of a folder's first image.
    pub start_index: Option<usize>,
    /// What is laid over the graph of `picks`.
    pub layers: &'a LayerArgs,
    /// Whose frames, instead: a graph's sampler.
    pub picks: Option<Picks<'a>>,
    /// Whether to show no progress.
    pub quiet: bool,
}

/// A sampler of a graph.
pub(super) struct Picks<'a> {
    /// The graph.
    pub graph: &'a Path,
    /// What is laid over it.
    pub layers: &'a LayerArgs,
    /// The sampler.
    pub node: &'a str,
    /// The phase or view that it runs in.
    pub program: Option<&'a str>,
}

/// Writes the frames; what goes wrong with one video does not keep the others.
///
/// # Errors
/// The command line does not fit, the graph is wrong, or a video failed.
pub(super) fn frames(videos: &[PathBuf], what: &What<'_>, registry: &Registry) -> Result<(), Failure> {
    no_flag_for_nothing(videos, what)?;
    is_folder(what.out)?;
    let template = what.template.map(Template::parse).transpose().map_err(Failure::Usage)?;
    let sampler = match &what.picks {
        None => None,
        Some(p) => Some(Sampler::of(p, registry)?),
    };
    std::fs::create_dir_all(what.out).with_context(|| format!("cannot make {}", what.out.display()))?;
    let options = OpenOptions {
        template: template.unwrap_or_default(),
        start_index: what.start_index.unwrap_or(0),
        numbering: match what.start_index {
            Some(_) => Numbering::Stated,
            None => Numbering::Assumed,
        },
        ..OpenOptions::default()
    };
    let progress = Progress::new(what.quiet);
    let mut names = HashSet::new();
    let mut failed = 0;
    for (i, path) in videos.iter().enumerate() {
        let name = unused(path, &mut names);
        let written = Video::open(path, &options)
            .map_err(anyhow::Error::from)
            .and_then(|video| one(&video, i, &name, what, sampler.as_ref(), &progress));
        match written {
            Ok(printed) => terminal::out(&format!("{}: {printed}\n", one_line(&path.display().to_string()))),
            Err(e) => {
                failed += 1;
                terminal::err(&format!("error: {e:#}"));
            }
        }
    }
    match failed {
        0 => Ok(()),
        n => Err(some_failed(n, videos.len())),
    }
}

/// Refuses flags that would change nothing.
fn no_flag_for_nothing(videos: &[PathBuf], what: &What<'_>) -> Result<(), Failure> {
    let LayerArgs { setting, with, set } = what.layers;
    if what.picks.is_none() && (setting.is_some() || !with.is_empty() || !set.is_empty()) {
        return Err(Failure::Usage(
            "--setting, --with and --set change a graph: name it with --graph, and its sampler with --node".into(),
        ));
    }
    if (what.template.is_some() || what.start_index.is_some()) && !videos.iter().any(|v| v.is_dir()) {
        return Err(Failure::Usage(
            "--template and --start-index are of folders of images, and none of the videos is a folder".into(),
        ));
    }
    Ok(())
}

/// The name of a video's files: that of its file, with a number where another has it.
fn unused(path: &Path, names: &mut HashSet<String>) -> String {
    let stem = path
        .file_stem()
        .map_or("video".into(), |s| s.to_string_lossy().into_owned());
    let name = |i: usize| if i == 1 { stem.clone() } else { format!("{stem}-{i}") };
    let free = (1..).map(name).find(|n| names.insert(n.clone()));
    free.unwrap_or(stem)
}

fn one(
    video: &Video,
    place: usize,
    name: &str,
    what: &What<'_>,
    sampler: Option<&Sampler>,
    progress: &Progress,
) -> Result<String> {
    let count = video.frame_count();
    // Rows of frames; those that are not asked for by number are in one row.
    let rows: Vec<Vec<usize>> = match (sampler, what.index) {
        (Some(s), _) => s.rows(video, place)?,
        (None, Some(index)) => vec![in_order(index)],
        (None, None) if what.sheet => vec![background_frames(count, SHEET)],
        (None, None) => vec![(0..count).collect()],
    };
    let wanted = in_order(&rows.concat());
    if let Some(beyond) = wanted.iter().find(|i| **i >= count) {
        bail!(
            "{}: there is no frame {beyond}: the video has {count}, 0 to {}",
            video.path().display(),
            count - 1
        );
    }
    let mut kept: BTreeMap<usize, RgbFrame> = BTreeMap::new();
    let digits = count.to_string().len().max(5);
    let mut failure = None;
    progress.begin(name, 0, wanted.len() as u64);
    let mut done = 0;
    video.visit(&wanted, |i, outcome| {
        let taken = outcome.map_err(anyhow::Error::from).and_then(|frame| {
            if what.sheet {
                kept.insert(i, frame);
                return Ok(());
            }
            let path = what.out.join(format!("{name}_{i:0digits$}.png"));
            let picture = png(&frame).context("cannot make the picture")?;
            no_other(&path, &picture)?;
            write_out(&path, &picture)
        });
        done += 1;
        progress.at(done, Vec::new);
        match taken {
            Ok(()) => ControlFlow::Continue(()),
            Err(e) => {
                failure = Some(e);
                ControlFlow::Break(())
            }
        }
    })?;
    progress.end("");
    if let Some(e) = failure {
        return Err(e);
    }
    let size = format!("{count} frames of {}x{}", video.width(), video.height());
    let remark = video.remark().map_or(String::new(), |remark| format!("; {remark}"));
    if !what.sheet {
        let files = what.out.join(format!("{name}_*.png"));
        return Ok(format!(
            "{size}; {} written as {}{remark}",
            wanted.len(),
            files.display()
        ));
    }
    let cell = |i: &usize| Cell {
        frame: kept[i].clone(),
        caption: i.to_string(),
    };
    let rows: Vec<Vec<usize>> = match rows.as_slice() {
        [one] if sampler.is_none() => folded(one, (video.width(), video.height())),
        _ => rows,
    };
    let cells: Vec<Vec<Cell>> = rows.iter().map(|r| r.iter().map(cell).collect()).collect();
    let sheet = contact_sheet(&cells, WIDTH)?;
    let path = what.out.join(format!("{name}_sheet.png"));
    let picture = png(&sheet).context("cannot make the picture")?;
    no_other(&path, &picture)?;
    write_out(&path, &picture)?;
    Ok(format!("{size}; {} on {}{remark}", wanted.len(), path.display()))
}

/// An error where another picture is there: a video of the same name, in another folder, may have been written there before.
fn no_other(path: &Path, picture: &[u8]) -> Result<()> {
    if path.is_file() && glad_video::read_bytes(path)? != picture {
        bail!(
            "{} is there already and is another picture: name another folder with --out, or remove it",
            path.display()
        );
    }
    Ok(())
}

fn in_order(index: &[usize]) -> Vec<usize> {
    let mut all = index.to_vec();
    all.sort_unstable();
    all.dedup();
    all
}

/// One row as several, so that the sheet is about as high as it is wide.
fn folded(row: &[usize], (width, height): (usize, usize)) -> Vec<Vec<usize>> {
    let share = height as f64 / width.max(1) as f64;
    let columns = (row.len() as f64 * share * 1.3).sqrt().ceil() as usize;
    row.chunks(columns.clamp(1, row.len().max(1)))
        .map(<[usize]>::to_vec)
        .collect()
}

/// A sampler as a phase or view runs it.
struct Sampler {
    experiment: Experiment,
    program: (bool, String),
    call: usize,
    node: String,
}

impl Sampler {
    fn of(picks: &Picks<'_>, registry: &Registry) -> Result<Sampler, Failure> {
        let experiment = open(picks.graph, picks.layers, None, registry)?;
        let checked = &experiment.checked;
        // The training that comes last is what people ask for; views come after it.
        let of_run = experiment.graph.run.iter().rev().map(|r| r.value.as_str());
        let names: Vec<&str> = of_run
            .chain(checked.phases.keys().map(String::as_str))
            .chain(checked.views.keys().map(String::as_str))
            .collect();
        if let Some(name) = picks.program.filter(|n| !names.contains(n)) {
            let hint = crate::diag::did_you_mean(name, names.iter().copied());
            let hint = hint.map_or(String::new(), |h| format!("; {h}"));
            return Err(Failure::Usage(format!("the graph has no phase or view `{name}`{hint}")));
        }
        for name in names.into_iter().filter(|n| picks.program.is_none_or(|p| p == *n)) {
            let trains = checked.phases.contains_key(name);
            let program = checked.phases.get(name).or(checked.views.get(name));
            let is_it = |c: &crate::program::Call| c.node == picks.node;
            if let Some(call) = program.and_then(|p| p.calls.iter().position(is_it)) {
                let program = (trains, name.to_string());
                let (node, call) = (picks.node.to_string(), call);
                let found = Sampler {
                    experiment,
                    program,
                    call,
                    node,
                };
                found.stage()?;
                return Ok(found);
            }
        }
        let samplers = || {
            let programs = checked.phases.values().chain(checked.views.values());
            let calls = programs.flat_map(|p| p.calls.iter().map(move |c| (p, c)));
            calls
                .filter(|(p, c)| gives_index(p, c) && !takes_flow(p, c))
                .map(|(_, c)| c.node.as_str())
        };
        let mut known: Vec<&str> = samplers().collect();
        known.sort_unstable();
        known.dedup();
        let hint = crate::diag::did_you_mean(picks.node, known.iter().copied());
        Err(Failure::Usage(format!(
            "no sampler `{}` runs {}; {}the graph has {}",
            picks.node,
            picks.program.map_or("in this graph".into(), |p| format!("in {p}")),
            hint.map_or(String::new(), |h| format!("{h} ")),
            known.join(", ")
        )))
    }

    fn program(&self) -> &Program {
        let (trains, name) = &self.program;
        let checked = &self.experiment.checked;
        if *trains {
            &checked.phases[name]
        } else {
            &checked.views[name]
        }
    }

    fn stage(&self) -> Result<&dyn Stage, Failure> {
        let program = self.program();
        let call = &program.calls[self.call];
        match &program.bodies[call.body] {
            Body::Stage(_) if takes_flow(program, call) => Err(Failure::Usage(format!(
                "`{}` names images of optical flow, and these are frames: name a sampler of the videos themselves",
                self.node
            ))),
            Body::Stage(stage) if gives_index(program, call) => Ok(stage.as_ref()),
            _ => Err(Failure::Usage(format!(
                "`{}` is a `{}`, which names no frames",
                self.node, call.kind
            ))),
        }
    }

    /// The frames of each clip, as the first pass over a list draws them for its video number `place`.
    fn rows(&self, video: &Video, place: usize) -> Result<Vec<Vec<usize>>> {
        let program = self.program();
        let call = &program.calls[self.call];
        let Ok(stage) = self.stage() else {
            bail!("`{}` names no frames", self.node)
        };
        let stream = call.stream.map_or("", |s| program.streams[s].as_str());
        let (trains, name) = &self.program;
        let seed = self.experiment.graph.seed.value;
        let key = match trains {
            true => draw_key(&self.experiment.graph.phases[name], seed),
            false => Key::new(seed).name("view").name(name),
        };
        let cx = SampleCx {
            key: crate::run::sample_key(key, stream, 0, place, 0).name(&call.node),
            training: *trains,
        };
        let footage = std::sync::Arc::new(Counted(video.frame_count()));
        let listed = HostValue::Video(std::sync::Arc::new(glad_nodes::Video {
            index: place,
            path: video.path().to_path_buf(),
            line: video.path().display().to_string(),
            label: None,
            footage,
        }));
        let mut args = Args::default();
        for (port, ids) in &call.inputs {
            args.push(port.clone(), ids.iter().map(|_| listed.clone()).collect());
        }
        let out =
            (stage.run(&cx, &args).map_err(DataError::into_anyhow)).with_context(|| format!("node `{}`", call.node))?;
        let index = out.into_iter().find_map(|v| match v {
            HostValue::Index(i) => Some(i),
            _ => None,
        });
        let index = index.with_context(|| format!("`{}` names no frames", call.node))?;
        Ok(index.data.chunks(index.frames.max(1)).map(<[usize]>::to_vec).collect())
    }
}

fn gives_index(program: &Program, call: &crate::program::Call) -> bool {
    let mut outputs = call.outputs.iter().flatten();
    outputs.any(|id| program.values[id.0].ty.head == glad_nodes::Head::FrameIndex)
}

/// Whether a call works on optical flow.
fn takes_flow(program: &Program, call: &crate::program::Call) -> bool {
    let mut values = call.inputs.iter().flat_map(|(_, ids)| ids);
    values.any(|id| program.values[id.0].ty.head == glad_nodes::Head::Flow)
}

/// All that a sampler asks of a video.
struct Counted(usize);

impl glad_nodes::Footage for Counted {
    fn frame_count(&self) -> Result<usize, DataError> {
        Ok(self.0)
    }

    fn frames(&self, _: &[usize]) -> Result<Vec<glad_nodes::Frame>, DataError> {
        Err(DataError::sample("a sampler names frames, it does not look at them"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        let mut names = HashSet::new();
        let all = ["a/x.mp4", "b/x.mp4", "x", "y.mov"].map(|p| unused(Path::new(p), &mut names));
        assert_eq!(all, ["x", "x-2", "x-3", "y"]);
    }

    #[test]
    fn sheets_are_about_square() {
        let rows = folded(&(0..24).collect::<Vec<_>>(), (320, 240));
        assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 5, 5, 4]);
        assert_eq!(folded(&[3], (10, 1000)), [[3]]);
    }
}
