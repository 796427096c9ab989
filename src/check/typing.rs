//! Types of one node: inputs are checked against its contract, and every conflict is shown at both ends.

use super::cx::inside;
use super::params::{Written, param_places};
use super::prune::{Edge, pattern};
use super::scene::{Inst, Scene};
use crate::diag::{Place, Problem, Spanned};
use crate::graph::{NodeDef, Ref};
use crate::program::ValueId;
use glad_nodes::{Bindings, Contract, DimError, DimExpr, FLOW, Head, Misfit, Output, RGB, Side, Size, Type, TypeExpr};
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// The name that the boundary's contract has for the number of videos of a stream's list.
const VIDEOS: &str = "V";

/// The node being typed.
pub(super) struct Node<'a, 's, 'c, 'g> {
    /// The phase or view.
    pub scene: &'s Scene<'c, 'g>,
    /// Its (first) instance.
    pub inst: Inst,
    /// As written.
    pub node: &'g NodeDef,
    /// Its contract here.
    pub contract: &'a Contract,
    /// Its parameters as written.
    pub written: &'a Written<'g>,
}

/// Where a size was decided.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The parameters that it is written in, or the node.
    places: Vec<Place>,
    node: String,
    globals: BTreeSet<String>,
}

/// Where the sizes of all values come from.
#[derive(Default)]
pub(super) struct Typer<'g> {
    made: HashMap<ValueId, Vec<Rc<Origin>>>,
    locals: HashMap<String, (Rc<Origin>, &'g Spanned<Ref>)>,
    rests: HashMap<String, (Vec<Rc<Origin>>, &'g Spanned<Ref>)>,
    heads: HashMap<String, &'g Spanned<Ref>>,
}

impl<'g> Typer<'g> {
    /// With `videos`, the size of the list of the boundary's stream. The types of a node's outputs (in one stream), `None` for those computed from something that is not needed;
    /// nothing at all where something is wrong (reported).
    pub(super) fn node<'v>(
        &mut self,
        at: &Node<'_, '_, '_, 'g>,
        streams: usize,
        inputs: &IndexMap<String, Vec<(Edge<'g>, ValueId)>>,
        videos: Option<Size>,
        ty: impl Fn(ValueId) -> &'v Type,
    ) -> Option<Vec<Option<Type>>> {
        self.locals.clear();
        self.rests.clear();
        self.heads.clear();
        let mut b = Bindings {
            scope: at.scene.dims.clone(),
            ..Bindings::default()
        };
        // The size of the list is no size of what arrives.
        b.scope.locals.extend(videos.map(|v| (VIDEOS.to_string(), v)));
        let mut ok = true;
        for input in &at.contract.inputs {
            let values = inputs.get(&input.name).map_or(&[][..], |v| v.as_slice());
            let per_stream = (values.len() / streams).max(1);
            for (i, (e, id)) in values.iter().enumerate() {
                let (p, t) = (pattern(input, i % per_stream), ty(*id));
                let before = b.clone();
                if let Err(misfits) = p.bind(t, &mut b) {
                    self.conflict(at, &input.name, (p, &b), e, (*id, t), &misfits);
                    ok &= misfits.iter().all(|m| matches!(m, Misfit::Dim { .. }));
                }
                self.note(p, &before, e.r, *id);
                if at.contract.side == Side::Boundary && t.dims.contains(&Size::Ragged) {
                    self.ragged(at, e, *id, t);
                    ok = false;
                }
            }
        }
        if !ok {
            return None;
        }
        let mut types = vec![];
        for o in &at.contract.outputs {
            types.push(match o.ty.resolve(&b) {
                Ok(t) if !t.fits(at.scene.batch.0) => {
                    self.too_large(at, o, &t);
                    return None;
                }
                Ok(t) => Some(t),
                Err(DimError::Unbound(_)) => None,
                Err(e) => {
                    let p = Problem::error(format!("output `{}` of `{}`: {e}", o.name, at.node.path))
                        .at(&at.node.place, format!("makes {}", o.ty));
                    let names = self
                        .locals
                        .values()
                        .flat_map(|(o, _)| o.globals.iter().map(String::as_str));
                    let help = at.scene.dims_text(names.collect::<BTreeSet<_>>());
                    let p = inside(p, at.node);
                    at.scene.push(help.map_or(p.clone(), |h| p.help(h)));
                    return None;
                }
            });
        }
        Some(types)
    }

    /// Reports that an output has more elements than any machine can hold, and where its sizes come from.
    fn too_large(&self, at: &Node<'_, '_, '_, 'g>, output: &Output, ty: &Type) {
        let (batch, batch_place) = at.scene.batch;
        let path = &at.node.path;
        let message = format!("`{path}.{}` would be {ty}, which fits into no memory", output.name);
        let mut p = Problem::error(message);
        let mut globals = BTreeSet::new();
        let mut seen: Vec<Place> = vec![];
        for (d, size) in output.ty.dims.iter().zip(&ty.dims) {
            let (Size::Known(n), false) = (size, matches!(d, DimExpr::Number(_))) else {
                continue;
            };
            // Small sizes are not to blame.
            if *n < 64 {
                continue;
            }
            let o = self.origin(at, d);
            globals.extend(o.globals.iter().cloned());
            if !o.places.iter().any(|place| seen.contains(place)) {
                seen.extend(o.places.iter().cloned());
                p = label(p, &o, format!("the {n} comes from `{}`", o.node));
            }
        }
        if seen.is_empty() {
            p = p.at(&at.node.place, format!("makes {}", output.ty));
        }
        if ty.dims.iter().any(|d| matches!(d, Size::Batch(_))) {
            p = p.at(batch_place, format!("B is {batch} here"));
        }
        let p = inside(p, at.node);
        let help = at.scene.dims_text(globals.iter().map(String::as_str));
        at.scene.push(help.map_or(p.clone(), |h| p.help(h)));
    }

    /// Where the sizes of the outputs of the node typed last come from, stream by stream.
    pub(super) fn origins(&self, at: &Node, streams: usize) -> Vec<Vec<Rc<Origin>>> {
        let one = |ty: &TypeExpr| -> Vec<Rc<Origin>> {
            let mut v: Vec<Rc<Origin>> = ty.dims.iter().map(|d| self.origin(at, d)).collect();
            if let Some((rest, _)) = ty.rest.as_ref().and_then(|r| self.rests.get(r)) {
                v.extend(rest.iter().cloned());
            }
            v
        };
        let per_stream = || at.contract.outputs.iter().map(|o| one(&o.ty));
        (0..streams).flat_map(|_| per_stream()).collect()
    }

    /// Records where the sizes of a value come from.
    pub(super) fn made(&mut self, id: ValueId, origins: Vec<Rc<Origin>>) {
        self.made.insert(id, origins);
    }

    /// Adds where the zero in an empty type comes from; returns the names of `dims` behind it.
    pub(super) fn zero(&self, mut p: Problem, id: ValueId, ty: &Type) -> (Problem, BTreeSet<String>) {
        let mut globals = BTreeSet::new();
        for (i, _) in ty.dims.iter().enumerate().filter(|(_, d)| **d == Size::Known(0)) {
            if let Some(o) = self.made.get(&id).and_then(|v| v.get(i)) {
                p = label(p, o, format!("`{}` makes none", o.node));
                globals.extend(o.globals.iter().cloned());
            }
        }
        (p, globals)
    }

    fn origin(&self, at: &Node, d: &DimExpr) -> Rc<Origin> {
        if let DimExpr::Local(n) = d
            && let Some((o, _)) = self.locals.get(n)
        {
            return o.clone();
        }
        let mut globals: BTreeSet<String> = d.globals().into_iter().map(String::from).collect();
        for n in locals(d) {
            if let Some((o, _)) = self.locals.get(n) {
                globals.extend(o.globals.iter().cloned());
            }
        }
        let mut places = param_places(at.written, d);
        if places.is_empty() {
            places.push(at.node.place.clone());
        }
        Rc::new(Origin {
            places,
            node: at.node.path.clone(),
            globals,
        })
    }

    /// Which reference decided what the names stand for.
    fn note(&mut self, p: &TypeExpr, before: &Bindings, r: &'g Spanned<Ref>, id: ValueId) {
        let Some(origins) = self.made.get(&id) else { return };
        for (d, o) in p.dims.iter().zip(origins) {
            if let DimExpr::Local(n) = d
                && !before.scope.locals.contains_key(n)
            {
                self.locals.entry(n.clone()).or_insert((o.clone(), r));
            }
        }
        if let Some(rest) = &p.rest {
            let tail = origins.get(p.dims.len()..).unwrap_or_default().to_vec();
            self.rests.entry(rest.clone()).or_insert((tail, r));
        }
        if let glad_nodes::HeadExpr::Any(v) = &p.head {
            self.heads.entry(v.clone()).or_insert(r);
        }
    }

    fn conflict(
        &self,
        at: &Node<'_, '_, '_, 'g>,
        port: &str,
        (pattern, b): (&TypeExpr, &Bindings),
        e: &Edge<'g>,
        (id, ty): (ValueId, &Type),
        misfits: &[Misfit],
    ) {
        let path = &at.node.path;
        let message = format!(
            "`{path}` takes {} at `{port}`, and `{}` is {ty}",
            show(pattern, b),
            e.r.value
        );
        let mut p = Problem::error(message).at(&e.r.place, format!("{ty} arrives here"));
        let maker = at.scene.node(e.out.inst);
        let (mut globals, mut advice) = (BTreeSet::new(), None);
        for m in misfits {
            match m {
                Misfit::Head => {
                    if ty.head == Head::Flow {
                        advice = Some(
                            "optical flow has no pictures and no colours: samplers take it, and `flow_decoder` decodes it"
                                .to_string(),
                        );
                    }
                    p = p.at(&maker.place, format!("`{}` makes it", maker.path));
                    if let glad_nodes::HeadExpr::Any(v) = &pattern.head
                        && let Some(other) = self.heads.get(v)
                    {
                        p = p.at(&other.place, format!("this reference is a {}", b.heads[v]));
                    }
                }
                Misfit::Rank => {
                    p = p.at(&maker.place, format!("`{}` makes it", maker.path));
                    if let Some((_, other)) = pattern.rest.as_ref().and_then(|r| self.rests.get(r)) {
                        p = p.at(&other.place, "has another number of sizes");
                    }
                    let heads_agree = !matches!(&pattern.head, glad_nodes::HeadExpr::Is(h) if *h != ty.head);
                    if heads_agree && ty.head == Head::Feature && ty.dims.len() == 3 && pattern.dims.len() == 2 {
                        advice = Some("a `mean` node makes one feature of those of several clips".to_string());
                    }
                }
                Misfit::Dim {
                    index,
                    want,
                    got,
                    bound_by,
                } => {
                    if (&ty.head, got, want) == (&Head::Clip, &Size::Known(FLOW), &Size::Known(RGB)) {
                        advice = Some(
                            "clips of 2 channels are optical flow, which has no colours; `normalize` takes them with a `mean` and a \
                             `std` of two values"
                                .to_string(),
                        );
                    }
                    if let Some(o) = self.made.get(&id).and_then(|v| v.get(*index)) {
                        p = label(p, o, format!("the {got} comes from `{}`", o.node));
                        globals.extend(o.globals.iter().cloned());
                    }
                    let other = bound_by.as_ref().and_then(|n| {
                        let local = self.locals.get(n).map(|(o, r)| (o.clone(), *r));
                        let skipped = index.saturating_sub(pattern.dims.len());
                        local.or_else(|| self.rests.get(n).and_then(|(v, r)| Some((v.get(skipped)?.clone(), *r))))
                    });
                    match other {
                        Some((o, r)) => {
                            if r.place != e.r.place {
                                p = p.at(&r.place, format!("{want} by this reference"));
                            }
                            p = label(p, &o, format!("the {want} comes from `{}`", o.node));
                            globals.extend(o.globals.iter().cloned());
                        }
                        None => {
                            let o = self.origin(at, &pattern.dims[*index]);
                            let equals = match &pattern.dims[*index] {
                                DimExpr::Number(_) | DimExpr::Local(_) => String::new(),
                                d => format!(" = {d}"),
                            };
                            p = label(p, &o, format!("`{path}` wants {want}{equals}"));
                            globals.extend(o.globals.iter().cloned());
                        }
                    }
                }
                Misfit::Unresolved(e) => p = p.at(&at.node.place, e.to_string()),
            }
        }
        let mut seen: Vec<Place> = vec![];
        p.labels.retain(|(place, _)| {
            let new = !seen.contains(place);
            seen.push(place.clone());
            new
        });
        p = inside(p, at.node);
        let dims = at.scene.dims_text(globals.iter().map(String::as_str));
        let help: Vec<String> = dims.into_iter().chain(advice).collect();
        at.scene.push(if help.is_empty() { p } else { p.help(help.join("; ")) });
    }

    fn ragged(&self, at: &Node<'_, '_, '_, 'g>, e: &Edge<'g>, id: ValueId, ty: &Type) {
        let from = self.made.get(&id).and_then(|v| {
            let i = ty.dims.iter().position(|d| *d == Size::Ragged)?;
            v.get(i)
        });
        let p = Problem::error(format!(
            "`{}` stacks samples of one size, and `{}` is {ty}",
            at.node.path, e.r.value
        ))
        .at(&e.r.place, "~ is a size that differs from video to video");
        let p = match from {
            Some(o) => label(p, o, format!("`{}` keeps the size of each video", o.node)),
            None => p,
        };
        let help = "crop or resize before it: `multi_scale_crop`, `centre_crop` or `resize` with a width and a height";
        at.scene.push(inside(p, at.node).help(help));
    }
}

/// The pattern with the numbers that are known.
fn show(p: &TypeExpr, b: &Bindings) -> String {
    let head = match &p.head {
        h @ (glad_nodes::HeadExpr::Is(_) | glad_nodes::HeadExpr::OneOf(_)) => h.to_string(),
        glad_nodes::HeadExpr::Any(v) => b.heads.get(v).map_or_else(|| "any".into(), ToString::to_string),
    };
    let mut dims: Vec<String> = p
        .dims
        .iter()
        .map(|d| d.eval(&b.scope).map_or_else(|_| d.to_string(), |s| s.to_string()))
        .collect();
    if let Some(r) = &p.rest {
        match b.rests.get(r) {
            Some(known) => dims.extend(known.iter().map(Size::to_string)),
            None => dims.push("…".into()),
        }
    }
    format!("{head}[{}]", dims.join(","))
}

fn locals(d: &DimExpr) -> Vec<&str> {
    match d {
        DimExpr::Local(n) => vec![n],
        DimExpr::Sum(v) | DimExpr::Product(v) => v.iter().flat_map(locals).collect(),
        DimExpr::Factorial(e) => locals(e),
        _ => vec![],
    }
}

fn label(p: Problem, o: &Origin, text: String) -> Problem {
    o.places[1..]
        .iter()
        .fold(p.at(&o.places[0], text), |p, place| p.at(place, "and here"))
}
