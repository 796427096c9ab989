//! Messages about files of weights that do not fit, with advice.

use super::super::choose::NoChoice;
use super::super::family::{Family, Seems};
use super::super::torch::Dictionary;
use super::{Misfit, problem};
use crate::{ParamProblem, WeightSpec};
use std::collections::BTreeSet;

/// The first few of many names.
fn some(names: &[String], most: usize) -> String {
    let shown = names.len().min(most);
    let more = match names.len() - shown {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    format!("{}{more}", names[..shown].join(", "))
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The file does not contain the intended network, or contains it several times.
pub(super) fn no_choice(
    why: NoChoice,
    file: &str,
    dictionaries: &[Dictionary],
    own: &Seems,
    specs: &[WeightSpec],
) -> ParamProblem {
    let choices = |places: &[String]| {
        let all: Vec<String> = places.iter().map(|p| format!("`state = \"{p}\"`")).collect();
        some(&all, 6)
    };
    match why {
        NoChoice::Several(places) => problem(
            format!(
                "`{file}` holds {} networks that fit equally well: {}",
                places.len(),
                some(&places, 6)
            ),
            Some(format!(
                "say which: `init = {{ file = \"{file}\", state = \"{}\" }}`, or {}",
                places[0],
                choices(&places[1..])
            )),
        ),
        NoChoice::Elsewhere(places) => problem(
            format!("`state` means nothing in `{file}` that has weights of this network"),
            Some(format!("it may be {}", choices(&places))),
        ),
        NoChoice::Nothing => {
            let largest = dictionaries.iter().max_by_key(|d| d.tensors.len());
            let tensors = largest.map_or(&[][..], |d| &d.tensors);
            let seems = Seems::of(tensors.iter().map(|t| (&*t.name, t.shape.as_slice())));
            let names: Vec<String> = tensors.iter().map(|t| format!("`{}`", t.name)).collect();
            let needed = specs.first().map_or("nothing", |s| &s.name);
            problem(
                format!(
                    "`{file}` seems to be of {seems}, and the network here is {own}: nothing of the file is a weight of it; there \
                     are {}, and the network needs `{needed}` and so on",
                    some(&names, 3)
                ),
                Some(other_kind(&seems, own)),
            )
        }
    }
}

/// The mismatches, in one line with the guess of the file's network.
pub(super) fn misfit(misfit: &Misfit, file: &str, seems: &Seems, own: &Seems) -> ParamProblem {
    let mut facts = vec![];
    if !misfit.extra.is_empty() {
        facts.push(format!(
            "{} of the file {} no place here ({})",
            count(misfit.extra.len(), "tensor"),
            if misfit.extra.len() == 1 { "has" } else { "have" },
            some(&misfit.extra, 2)
        ));
    }
    if !misfit.missing.is_empty() {
        facts.push(format!(
            "the file lacks {} ({})",
            count(misfit.missing.len(), "weight"),
            some(&misfit.missing, 2)
        ));
    }
    if let [(name, theirs, ours), rest @ ..] = &misfit.misshapen[..] {
        let more = match rest.len() {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        facts.push(format!(
            "another shape ({name} is {theirs:?} there, {ours:?} here{more})"
        ));
    }
    if let [(name, why), ..] = &misfit.unread[..] {
        facts.push(format!("{name} cannot be read: {why}"));
    }
    let networks = match same(seems, own) {
        true => format!("`{file}` does not fit"),
        false => format!("`{file}` seems to be of {seems}, and the network here is {own}"),
    };
    problem(
        format!("{networks}: {}", facts.join("; ")),
        Some(advice(misfit, file, seems, own)),
    )
}

/// Whether both are the same network, as far as is known: a 2-D one may be inflated.
fn same(seems: &Seems, own: &Seems) -> bool {
    match (&seems.family, &own.family) {
        (Family::Residual(f), Family::Residual(o)) => {
            f.is_part_of(o) && f.non_local == o.non_local && (o.solid || !f.solid)
        }
        (f, o) => f == o || *f == Family::Unknown,
    }
}

/// What to write for a file of another network.
fn other_kind(seems: &Seems, own: &Seems) -> String {
    let own = Seems {
        classes: None,
        ..own.clone()
    };
    match seems.kind() {
        Some(kind) => format!("this file is for {kind}; this node takes files of {own}"),
        None if seems.family == Family::Unknown => format!("this node takes files of {own}"),
        None => format!("no kind here has this network; this node takes files of {own}"),
    }
}

fn advice(misfit: &Misfit, file: &str, seems: &Seems, own: &Seems) -> String {
    let partial = |patterns: &[String]| {
        let all: Vec<String> = patterns.iter().map(|p| format!("\"{p}\"")).collect();
        format!("`init = {{ file = \"{file}\", partial = [{}] }}`", all.join(", "))
    };
    match (&seems.family, &own.family) {
        (Family::Residual(f), Family::Residual(o)) => {
            let other = (f.blocks, f.bottleneck) != (o.blocks, o.bottleneck) && !f.is_part_of(o);
            if other || f.solid && !o.solid || f.groups > 1 || f.is_wide() {
                return match f.depth() {
                    Some(d @ (18 | 34 | 50)) if !f.solid && !o.solid && seems.kind().is_some() => {
                        format!("write `depth = {d}`, or take a file of {own}")
                    }
                    _ => other_kind(seems, own),
                };
            }
            if f.widths != o.widths && !f.is_part_of(o) {
                return match o.solid {
                    true => format!("write `width = {}`, or take a file of {own}", f.widths[0]),
                    false => format!("write `widths = {:?}`, or take a file of {own}", f.widths),
                };
            }
            if f.non_local != o.non_local {
                let (has, which) = match f.non_local {
                    true => ("has non-local blocks", "or leave them out"),
                    false => ("has no non-local blocks", "or let them start as the identity"),
                };
                return format!(
                    "the file {has}: write `non_local = {}`, {which}: {}",
                    f.non_local,
                    partial(&["*.non_local_block".into()])
                );
            }
        }
        (Family::Inception { width: f }, Family::Inception { width: o }) if f != o => {
            return format!("write `width = {f}`, or take a file of {own}");
        }
        (f, o) if std::mem::discriminant(f) != std::mem::discriminant(o) && *f != Family::Unknown => {
            return other_kind(seems, own);
        }
        _ => {}
    }
    format!(
        "take the whole file of this network; or, where these may be left out, name them: {}",
        partial(&patterns(misfit))
    )
}

/// A few names or prefixes of names that match all mismatches.
fn patterns(misfit: &Misfit) -> Vec<String> {
    let weights = misfit.missing.iter().chain(misfit.misshapen.iter().map(|m| &m.0));
    let all: Vec<&String> = weights
        .chain(&misfit.extra)
        .chain(misfit.unread.iter().map(|u| &u.0))
        .collect();
    let cut = |parts: usize| -> BTreeSet<String> {
        let front = |name: &&String| name.split('.').take(parts).collect::<Vec<_>>().join(".");
        all.iter().map(front).collect()
    };
    let few = [usize::MAX, 3, 2].into_iter().map(cut).find(|few| few.len() <= 3);
    few.unwrap_or_else(|| cut(1)).into_iter().collect()
}
