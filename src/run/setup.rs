//! What a program needs before its first sample: data made, lists read, whole-list nodes computed.

use super::progress::Progress;
use crate::program::{Program, ValueId};
use anyhow::{Context, Result, bail};
use glad_nodes::{Body, DataError, Head, HostValue, PrepareCx, Size, Source, Video};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Lists and whole-list values of a program.
pub struct Setup {
    /// The videos, by stream.
    pub lists: Vec<Vec<Arc<Video>>>,
    /// Values of whole-list nodes.
    pub resources: HashMap<ValueId, HostValue>,
}

/// Makes data that can be made, reads the lists of the program's split, and runs its whole-list nodes.
///
/// # Errors
/// Data cannot be made, a list cannot be read or is empty, or a node fails.
pub fn set_up(program: &Program, cache: Option<&Path>, progress: &Progress) -> Result<Setup> {
    set_up_with(program, cache, progress, &|call| read_list(program, call, progress))
}

/// As [`set_up`], with the videos that `list` returns for a source's call.
///
/// # Errors
/// Those of `list`, or a node fails.
pub fn set_up_with(
    program: &Program,
    cache: Option<&Path>,
    progress: &Progress,
    list: &dyn Fn(usize) -> Result<Vec<Arc<Video>>>,
) -> Result<Setup> {
    let mut lists = vec![];
    for (stream, call) in program.streams.iter().zip(&program.sources) {
        let list = list(*call).with_context(|| format!("stream `{stream}`"))?;
        lists.push(list);
    }
    as_checked(program, &lists)?;
    let mut resources = HashMap::new();
    for call in program.calls.iter().filter(|c| c.whole_list.is_some()) {
        let Body::Resource(node) = &program.bodies[call.body] else {
            bail!("`{}` takes no whole list", call.node);
        };
        let of = call
            .inputs
            .first()
            .and_then(|(_, ids)| ids.first())
            .context("it has no list")?;
        let videos = list(program.values[of.0].call)?;
        progress.begin(&call.node, 0, videos.len() as u64);
        let values = node
            .prepare(&PrepareCx {
                videos,
                cache,
                progress: &|done, _| progress.at(done as u64, Vec::new),
                warn: &|text| progress.say(&format!("{}: {text}", call.node)),
                uncached: &|e| progress.uncached(e),
            })
            .map_err(DataError::into_anyhow)
            .with_context(|| format!("node `{}`", call.node))?;
        progress.end("");
        for (id, v) in call.outputs.iter().zip(values) {
            if let Some(id) = id {
                resources.insert(*id, v);
            }
        }
    }
    Ok(Setup { lists, resources })
}

/// What is kept for each video of a list was made for as many videos as there were when the graph was checked.
fn as_checked(program: &Program, lists: &[Vec<Arc<Video>>]) -> Result<()> {
    for value in program.values.iter().filter(|v| v.ty.head == Head::Index) {
        let Some((stream, [_, size])) = value.stream.zip(value.ty.dims.first_chunk()) else {
            continue;
        };
        let (name, videos) = (&program.streams[stream], lists[stream].len());
        match size {
            Size::Known(n) if *n == videos => {}
            Size::Known(n) => bail!(
                "stream `{name}`: {} is of a list of {n} videos, as it was when the graph was checked, and there are {videos}: start again",
                value.name
            ),
            _ => bail!(
                "stream `{name}`: {} is of a list that was not there when the graph was checked, and is there now: start again",
                value.name
            ),
        }
    }
    Ok(())
}

/// Makes the data of a program that can be made and is not there.
///
/// # Errors
/// The data cannot be made.
pub fn make_data(program: &Program, progress: &Progress) -> Result<()> {
    for (i, call) in program.calls.iter().enumerate() {
        if let Body::Source(_) = &program.bodies[call.body] {
            ensure(source(program, i)?, progress)?;
        }
    }
    Ok(())
}

/// The source behind a call.
fn source(program: &Program, call: usize) -> Result<&dyn Source> {
    match &program.bodies[program.calls[call].body] {
        Body::Source(s) => Ok(s.as_ref()),
        _ => bail!("`{}` is no source of videos", program.calls[call].node),
    }
}

fn read_list(program: &Program, call: usize, progress: &Progress) -> Result<Vec<Arc<Video>>> {
    let source = source(program, call)?;
    ensure(source, progress)?;
    let videos = source.videos(&program.split)?;
    if videos.is_empty() {
        bail!("the list of split `{}` is empty", program.split);
    }
    Ok(videos)
}

fn ensure(source: &dyn Source, progress: &Progress) -> Result<()> {
    let begun = std::sync::Mutex::new(String::new());
    source.ensure(&|what, done, of| {
        if of == 0 {
            // Nothing is counted: what is done, or was found.
            progress.say(what);
            return;
        }
        let mut b = begun.lock().unwrap_or_else(|e| e.into_inner());
        if *b != what {
            *b = what.to_string();
            progress.begin(what, 0, of as u64);
        }
        progress.at(done as u64, Vec::new);
    })?;
    if !begun.lock().unwrap_or_else(|e| e.into_inner()).is_empty() {
        progress.end("");
    }
    Ok(())
}
