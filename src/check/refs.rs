//! What a reference resolves to in a phase or view: which instances, past bypassed ones, and whether they exist.

use super::scene::{Inst, Out, Scene};
use super::wiring;
use crate::diag::{Place, Problem, Spanned, did_you_mean};
use crate::graph::Ref;
use crate::program::ProgramKind;

/// What happens to an instance here.
enum Status {
    /// It runs.
    Runs,
    /// It is bypassed; its one input passes through where it can. The place and words say why.
    Skipped(Place, String),
}

impl Scene<'_, '_> {
    fn status(&self, inst: Inst) -> Status {
        let node = self.node(inst);
        if let Some(place) = &node.bypass {
            return Status::Skipped(place.clone(), format!("`{}` is bypassed", node.path));
        }
        if node.train_only && self.kind == ProgramKind::View {
            return Status::Skipped(
                node.place.clone(),
                format!("`{}` is `train_only`, and this is a view", node.path),
            );
        }
        if let (Some(only), Some(s)) = (&node.only, inst.stream)
            && only.iter().all(|o| o.value != self.streams[s])
        {
            let names: Vec<_> = only.iter().map(|o| o.value.as_str()).collect();
            let place = only.first().map_or(&node.place, |o| &o.place).clone();
            return Status::Skipped(place, format!("`{}` is only in stream {}", node.path, names.join(", ")));
        }
        Status::Runs
    }

    /// The output that `out` stands for, past everything that is bypassed. `r` is the reference to it.
    fn follow(&self, out: Out, r: &Spanned<Ref>) -> Result<Out, Option<Problem>> {
        let Status::Skipped(place, why) = self.status(out.inst) else {
            let c = self.contract(out.inst).ok_or(None)?;
            return match c.outputs.iter().any(|o| o.name == out.port) {
                true => Ok(out),
                false => Err(Some(wiring::no_port(self.node(out.inst), &c, r))),
            };
        };
        let c = self.contract(out.inst).ok_or(None)?;
        let node = self.node(out.inst);
        let through = wiring::passing(&c, &out.port).and_then(|i| node.inputs.get(&i.name)?.first());
        match through {
            Some(r) => Ok(self.targets(r, out.inst.stream, false, false)?.remove(0)),
            None => Err(Some(
                Problem::error(format!("there is no `{}`", self.out_name(&out)))
                    .at(&r.place, "it is needed here")
                    .at(&place, why)
                    .help("a node is passed by where an input has the type of the output; this one has none such"),
            )),
        }
    }

    /// The outputs that `r` refers to for something in `stream`. With `spread`, a reference that names no stream means
    /// all in which the node exists; with `whole`, the stream need not run here.
    ///
    /// # Errors
    /// The reference does not resolve; `None` where that was already reported.
    pub(super) fn targets(
        &self,
        r: &Spanned<Ref>,
        stream: Option<usize>,
        spread: bool,
        whole: bool,
    ) -> Result<Vec<Out>, Option<Problem>> {
        let Some(node) = self.cx.graph.nodes.get_index_of(&r.value.node) else {
            return Err(Some(wiring::no_node(self.cx, r)));
        };
        let out = |stream| Out {
            inst: Inst { node, stream },
            port: r.value.port.clone(),
        };
        let named = match &r.value.stream {
            None => None,
            Some(name) => Some(self.stream_here(name, r, whole)?),
        };
        if self.streamless(node) {
            if let Some(name) = &r.value.stream {
                let p = Problem::error(format!("`{}` exists once, and belongs to no stream", r.value.node))
                    .at(&r.place, format!("`@{name}` is one too many"))
                    .at(&self.cx.node(node).place, "all its inputs name their streams");
                return Err(Some(p.help(format!("write `{}.{}`", r.value.node, r.value.port))));
            }
            return Ok(vec![self.follow(out(None), r)?]);
        }
        if let Some(s) = named {
            return Ok(vec![self.follow(out(Some(s)), r)?]);
        }
        if let (Some(s), false) = (stream, spread) {
            return Ok(vec![self.follow(out(Some(s)), r)?]);
        }
        let here: Vec<Out> = (0..self.own)
            .map(|s| out(Some(s)))
            .filter(|o| self.exists(o.inst))
            .collect();
        if here.is_empty() {
            let p = Problem::error(format!("`{}` exists in no stream here", r.value.node)).at(&r.place, "needed here");
            return Err(Some(p));
        }
        here.into_iter().map(|o| self.follow(o, r)).collect()
    }

    fn stream_here(&self, name: &str, r: &Spanned<Ref>, whole: bool) -> Result<usize, Option<Problem>> {
        match self.stream_index(name) {
            Some(i) if i < self.own || whole => Ok(i),
            found => {
                let own = &self.streams[..self.own];
                let p = match found {
                    Some(_) => Problem::error(format!("stream `{name}` does not run here")),
                    None => Problem::error(format!("there is no stream `{name}`")),
                };
                let p = p.at(&r.place, format!("`{}` of stream {name} is needed", r.value.node));
                let p = match self.streams_place {
                    Some(place) => p.at(place, format!("{} runs {}", self.title(), own.join(", "))),
                    None => p,
                };
                Err(Some(match did_you_mean(name, own.iter().copied()) {
                    Some(h) => p.help(h),
                    None => p,
                }))
            }
        }
    }

    /// Whether an instance exists: `only` excludes neither it nor what it needs from its stream.
    fn exists(&self, inst: Inst) -> bool {
        if let Some(e) = self.exists.borrow().get(&inst) {
            return *e;
        }
        let Some(c) = self.contract(inst) else { return true };
        let node = self.node(inst);
        let there = |port: &str| {
            let input = c.inputs.iter().find(|i| i.name == port);
            let spread = input.is_some_and(|i| i.all_streams);
            let first = input.and_then(|i| i.first).unwrap_or(usize::MAX);
            let refs = node.inputs.get(port).into_iter().flatten();
            refs.take(first).all(|r| self.target_exists(r, inst.stream, spread))
        };
        let answer = match self.status(inst) {
            Status::Runs => node.inputs.keys().all(|p| there(p)),
            Status::Skipped(..) => {
                let passed = c.outputs.iter().find_map(|o| wiring::passing(&c, &o.name));
                passed.is_some_and(|i| there(&i.name))
            }
        };
        self.exists.borrow_mut().insert(inst, answer);
        answer
    }

    fn target_exists(&self, r: &Spanned<Ref>, stream: Option<usize>, spread: bool) -> bool {
        let Some(node) = self.cx.graph.nodes.get_index_of(&r.value.node) else {
            return true;
        };
        if self.streamless(node) {
            return self.exists(Inst { node, stream: None });
        }
        match (&r.value.stream, stream) {
            (Some(name), _) => match self.stream_index(name) {
                Some(i) => self.exists(Inst { node, stream: Some(i) }),
                None => true,
            },
            (None, Some(s)) if !spread => self.exists(Inst { node, stream: Some(s) }),
            _ => (0..self.own).any(|s| self.exists(Inst { node, stream: Some(s) })),
        }
    }

    /// Where a loss or root names a node alone, its first output.
    pub(super) fn with_port(&self, r: &Spanned<Ref>) -> Spanned<Ref> {
        let mut r = r.clone();
        if r.value.port.is_empty()
            && let Some(node) = self.cx.graph.nodes.get_index_of(&r.value.node)
        {
            let stream = match self.streamless(node) {
                true => None,
                false => Some(0).filter(|_| self.own > 0),
            };
            if let Some(o) = self
                .contract(Inst { node, stream })
                .as_deref()
                .and_then(|c| c.outputs.first())
            {
                r.value.port = o.name.clone();
            }
        }
        r
    }
}
