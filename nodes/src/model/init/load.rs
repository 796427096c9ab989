//! From a file to the weights of a network, strictly: a mismatch is an error unless the graph allows it to be
//! left out.

use super::choose::{Candidate, Fit, candidates, choose, fit_at};
use super::entry::Entry;
use super::family::{Seems, is_head};
use super::file::WeightFile;
use super::names;
use super::start::StartFile;
use crate::{FLOW, LoadedWeights, ParamProblem, RGB, WeightSpec};
use anyhow::{Context, Result, anyhow};
use candle_core::{Device, Tensor};
use std::collections::HashSet;
use std::path::Path;

mod advice;

/// The assignment of a file's tensors to weights.
struct Matched {
    /// The weight's index, its tensor and its conversion.
    values: Vec<(usize, Entry, Fit)>,
    /// What was left out: only names and shapes.
    left: LoadedWeights,
}

/// The mismatches, before what may be left out is removed.
#[derive(Default)]
struct Misfit {
    /// Weights without a tensor.
    missing: Vec<String>,
    /// Weights whose tensor has another shape, with both.
    misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Tensors below the network's layers, with no weight.
    extra: Vec<String>,
    /// Weights whose tensor cannot be read, and why.
    unread: Vec<(String, String)>,
}

impl Misfit {
    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.misshapen.is_empty() && self.extra.is_empty() && self.unread.is_empty()
    }
}

/// Whether the file of `start` fits the weights `specs`; no values are read.
///
/// # Errors
/// A mismatch, with advice.
pub(crate) fn examine(start: &StartFile, specs: &[WeightSpec]) -> Result<(), ParamProblem> {
    open(&start.file)
        .and_then(|mut file| matched(&mut file, start, specs))
        .map(drop)
}

/// Reads the values of `specs` from the file of `start`.
///
/// # Errors
/// The file cannot be read, or does not fit.
pub(crate) fn load(start: &StartFile, specs: &[WeightSpec], device: &Device) -> Result<LoadedWeights> {
    let from = || format!("weights from {}", start.file.display());
    let printed = |p: ParamProblem| match p.help {
        Some(help) => anyhow!("{}: {help}", p.message),
        None => anyhow!(p.message),
    };
    let mut file = open(&start.file).map_err(printed).with_context(from)?;
    let Matched { values, mut left } = matched(&mut file, start, specs).map_err(printed).with_context(from)?;
    for (index, entry, fit) in values {
        let spec = &specs[index];
        let mut numbers = file.numbers(&entry).with_context(from)?;
        if let Fit::Averaged(_) = fit {
            numbers = average(&numbers, entry.shape[2..].iter().product());
            left.averaged += 1;
        }
        if let Fit::Inflated(frames) | Fit::Averaged(frames) = fit
            && frames > 1
        {
            numbers = inflate(&numbers, spec.shape[3] * spec.shape[4], frames);
            left.inflated += 1;
        }
        let value = Tensor::from_vec(numbers, spec.shape.as_slice(), device)?;
        left.values.push((spec.name.clone(), value));
    }
    Ok(left)
}

/// The mean of each three kernels of `size` numbers, for both channels of optical flow.
fn average(numbers: &[f32], size: usize) -> Vec<f32> {
    let mean = |rgb: &[f32]| {
        let one = |i| (rgb[i] + rgb[size + i] + rgb[2 * size + i]) / RGB as f32;
        (0..size).map(one).collect::<Vec<_>>().repeat(FLOW)
    };
    numbers.chunks_exact((RGB * size).max(1)).flat_map(mean).collect()
}

fn inflate(numbers: &[f32], plane: usize, frames: usize) -> Vec<f32> {
    let one = |kernel: &[f32]| {
        kernel
            .iter()
            .map(|v| v / frames as f32)
            .collect::<Vec<_>>()
            .repeat(frames)
    };
    numbers.chunks(plane.max(1)).flat_map(one).collect()
}

/// The name of a file, as in problems: they point to its full path.
fn short(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn problem(message: String, help: Option<String>) -> ParamProblem {
    let p = ParamProblem::new("init", message);
    match help {
        Some(help) => p.help(help),
        None => p,
    }
}

fn open(path: &Path) -> Result<WeightFile, ParamProblem> {
    WeightFile::open(path).map_err(|e| problem(format!("`{}` cannot be read: {e:#}", short(path)), None))
}

fn matched(file: &mut WeightFile, start: &StartFile, specs: &[WeightSpec]) -> Result<Matched, ParamProblem> {
    let name = short(&start.file);
    let dictionaries = std::mem::take(&mut file.dictionaries);
    let own = Seems::of(specs.iter().map(|s| (s.name.as_str(), s.shape.as_slice())));
    let chosen = choose(candidates(&dictionaries, specs), start.state.as_deref())
        .map_err(|why| advice::no_choice(why, &name, &dictionaries, &own, specs))?;
    let mut misfit = Misfit::default();
    let mut values = vec![];
    for (i, spec) in specs.iter().enumerate() {
        let unread = || unread(&chosen, &spec.name);
        match chosen.pairs.get(&i) {
            None => match unread() {
                Some(why) => misfit.unread.push((spec.name.clone(), why)),
                None => misfit.missing.push(spec.name.clone()),
            },
            Some(t) => match fit_at(&t.shape, specs, i) {
                Some(fit) => values.push((i, (*t).clone(), fit)),
                None => misfit
                    .misshapen
                    .push((spec.name.clone(), t.shape.clone(), spec.shape.clone())),
            },
        }
    }
    let mut left = LoadedWeights {
        from: chosen.place(),
        ..LoadedWeights::default()
    };
    rest(&chosen, specs, &mut misfit, &mut left);
    leave_out(&start.partial, &mut misfit, &mut left, &name)?;
    if !misfit.is_empty() {
        let tensors = chosen.dictionary.tensors.iter();
        let seems = Seems::of(tensors.map(|t| (&*t.name, t.shape.as_slice())));
        return Err(advice::misfit(&misfit, &name, &seems, &own));
    }
    for (_, entry, _) in &values {
        file.place(entry)
            .map_err(|e| problem(format!("`{name}` is damaged: {e:#}"), None))?;
    }
    Ok(Matched { values, left })
}

/// Why the tensor for a weight cannot be read, if it exists.
fn unread(chosen: &Candidate<'_>, weight: &str) -> Option<String> {
    let mut all = chosen.dictionary.unread.iter();
    let is = |theirs: &str| names::ours(theirs, |n| n == weight).is_some_and(|(_, front)| front == chosen.front);
    all.find(|(theirs, _)| is(theirs)).map(|(_, why)| why.clone())
}

/// Sorts the tensors that are not weights: a classifier and other networks are not needed, a counter that PyTorch keeps
/// next to running statistics is ignored, and those below the network's own layers are mismatches.
fn rest(chosen: &Candidate<'_>, specs: &[WeightSpec], misfit: &mut Misfit, left: &mut LoadedWeights) {
    let top = |name: &str| name.split('.').next().unwrap_or("").to_string();
    let layers: HashSet<String> = specs.iter().map(|s| top(&s.name)).collect();
    let weights: HashSet<&str> = specs.iter().map(|s| s.name.as_str()).collect();
    let used: HashSet<&str> = chosen.pairs.values().map(|t| &*t.name).collect();
    let tensors = chosen.dictionary.tensors.iter().map(|t| &*t.name);
    let tensors = tensors.filter(|name| !used.contains(name));
    // Weights are recorded already.
    let is_weight =
        |name: &str| names::ours(name, |n| weights.contains(n)).is_some_and(|(_, front)| front == chosen.front);
    let unread = chosen.dictionary.unread.iter().map(|(name, _)| &**name);
    let unread = unread.filter(|name| !is_weight(name));
    for name in tensors.chain(unread).filter(|n| !n.ends_with("num_batches_tracked")) {
        match chosen.inside(name) {
            Some(inside) if layers.contains(&top(inside)) && !is_head(inside) => misfit.extra.push(inside.to_string()),
            _ => left.unexpected.push(name.to_string()),
        }
    }
}

/// Whether `pattern` matches `name`: all of it or its first parts, where `*` matches anything.
fn means(pattern: &str, name: &str) -> bool {
    let name = name.as_bytes();
    // Whether the pattern so far may end before each byte of the name, and after the last.
    let mut ends = vec![false; name.len() + 1];
    ends[0] = true;
    for p in pattern.bytes() {
        let mut next = vec![false; name.len() + 1];
        for at in (0..ends.len()).filter(|at| ends[*at]) {
            match p {
                b'*' => next[at..].fill(true),
                p if name.get(at) == Some(&p) => next[at + 1] = true,
                _ => {}
            }
        }
        ends = next;
    }
    (0..ends.len()).any(|at| ends[at] && name.get(at).is_none_or(|c| *c == b'.'))
}

/// Removes what `partial` names from the mismatches.
fn leave_out(
    partial: &[String],
    misfit: &mut Misfit,
    left: &mut LoadedWeights,
    file: &str,
) -> Result<(), ParamProblem> {
    let mut used = vec![false; partial.len()];
    let mut may = |name: &str| {
        let forms = || std::iter::once(name.to_string()).chain(names::rewritten(name));
        let mut any = false;
        for (pattern, used) in partial.iter().zip(&mut used) {
            if forms().any(|form| means(pattern, &form)) {
                (*used, any) = (true, true);
            }
        }
        any
    };
    let mut take = |from: &mut Vec<String>, to: &mut Vec<String>| {
        let (out, stay): (Vec<_>, Vec<_>) = std::mem::take(from).into_iter().partition(|n| may(n));
        *from = stay;
        to.extend(out);
    };
    take(&mut misfit.missing, &mut left.missing);
    take(&mut misfit.extra, &mut left.unexpected);
    let (out, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut misfit.misshapen)
        .into_iter()
        .partition(|(name, ..)| may(name));
    misfit.misshapen = stay;
    left.misshapen.extend(out);
    let (out, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut misfit.unread)
        .into_iter()
        .partition(|(name, _)| may(name));
    misfit.unread = stay;
    left.missing.extend(out.into_iter().map(|(name, _)| name));
    // A classifier may be named, too.
    for name in &left.unexpected {
        may(name);
    }
    match partial.iter().zip(used).find(|(_, used)| !used) {
        None => Ok(()),
        Some((pattern, _)) => Err(problem(
            format!("`partial` names `{pattern}`, and nothing of `{file}` is left out by it"),
            Some(
            "remove it; or correct it to what the file lacks or has besides: a name or its first parts, such as \"layer4\"; \
             `*` stands for anything"
                .to_string()),
        )),
    }
}

#[cfg(test)]
mod tests;
