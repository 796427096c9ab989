//! What the steps of a phase are made of. Training, a trial, a rehearsal and a look at one batch make them alike from here.

use super::data::{
    Batches, Drawn, FeedOptions, HostSide, Order, PassCache, Recipe, Stacker, Staged, Want, again, batches, draw_key,
};
use super::exec::{Part, PassInfo, Share};
use super::optim::Length;
use super::refreshed::Refreshed;
use super::setup::Setup;
use super::staging::{Staging, staging};
use crate::graph::{Often, PhaseDef};
use crate::program::{Program, ValueId};
use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use glad_nodes::{Key, Video};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// How many steps a phase has, what names their random numbers, and the parts that each is computed in.
#[derive(Clone)]
pub(super) struct StepPlan {
    /// The phase's key: (seed, phase).
    pub key: Key,
    /// Its steps.
    pub length: Length,
    /// Videos of each stream in a forward pass.
    parts: Vec<usize>,
}

/// The rows of each stream in a part of a step.
pub(super) type Rows = Vec<Range<usize>>;

impl StepPlan {
    /// Of `program` under `def`, with so many steps.
    pub(super) fn new(program: &Program, def: &PhaseDef, seed: u64, length: Length) -> StepPlan {
        StepPlan {
            key: draw_key(def, seed),
            length,
            parts: program.batches.clone(),
        }
    }

    /// The parts of a step of so many videos of the streams: which of its rows. All streams have as many parts.
    pub(super) fn parts(&self, videos: &[usize]) -> Vec<Rows> {
        let of = |(n, part): (&usize, &usize)| n.div_ceil((*part).max(1));
        let count = videos.iter().zip(&self.parts).map(of).max().unwrap_or(0);
        let rows = |piece: usize| {
            let of = |(n, part): (&usize, &usize)| (piece * part).min(*n)..((piece + 1) * part).min(*n);
            videos.iter().zip(&self.parts).map(of).collect()
        };
        (0..count).map(rows).collect()
    }

    /// What a pass over part `piece` of step `k` knows.
    pub(super) fn info(&self, k: u64, piece: usize) -> PassInfo {
        PassInfo {
            key: self.key.name("step").index(k).index(piece as u64),
            training: true,
            progress: k as f64 / self.length.steps as f64,
            step: k,
            round: 0,
        }
    }
}

/// A phase with its videos, ready to make the batches of any step.
pub(super) struct PhaseRun<'a> {
    /// What runs.
    pub program: &'a Program,
    /// As written.
    pub def: &'a PhaseDef,
    /// Where tensors live.
    pub device: &'a Device,
    /// Its steps.
    pub plan: StepPlan,
    /// Which videos a step takes.
    pub order: Order,
    /// The lists, by stream.
    pub lists: Vec<Vec<Arc<Video>>>,
    /// The calls of the data side.
    pub host: HostSide<'a>,
    /// The way of a batch to the device.
    pub staging: Arc<dyn Staging>,
}

impl<'a> PhaseRun<'a> {
    /// Of a phase whose lists are read, in a run of this seed.
    ///
    /// # Errors
    /// The program has no source of videos where one is needed, or the device failed.
    pub(super) fn new(
        program: &'a Program,
        def: &'a PhaseDef,
        setup: Setup,
        seed: u64,
        device: &'a Device,
    ) -> Result<PhaseRun<'a>> {
        let sizes: Vec<usize> = setup.lists.iter().map(Vec::len).collect();
        let order = Order::new(
            draw_key(def, seed),
            &program.streams,
            &sizes,
            &def.batch.value.of_each(&program.streams),
            &def.epoch,
        )?;
        Ok(PhaseRun {
            program,
            def,
            device,
            plan: StepPlan::new(program, def, seed, length(def, &order)),
            order,
            lists: setup.lists,
            host: HostSide::new(program, setup.resources, true)?,
            staging: staging(device)?,
        })
    }

    /// Runs the data side over `steps` while `consume` takes their parts' batches, in order.
    ///
    /// # Errors
    /// Those of `consume`; what crosses to the device is not connected.
    pub(super) fn feed<R, E: From<anyhow::Error>>(
        &self,
        options: FeedOptions,
        steps: Range<u64>,
        consume: impl FnOnce(&mut Batches) -> Result<R, E>,
    ) -> Result<R, E> {
        let stacker = Stacker::new(self.program, self.staging.as_ref())?;
        let rows = steps.clone().flat_map(|k| self.plan.parts(&self.order.lengths(k)));
        let mut cache = PassCache::default();
        let wants = steps.flat_map(|k| {
            let drawn = self.order.draw(k, &mut cache);
            let parts = self.plan.parts(&self.order.lengths(k));
            parts.iter().flat_map(|rows| of_part(&drawn, rows)).collect::<Vec<_>>()
        });
        let rows = rows.map(|rows| rows.iter().map(Range::len).collect());
        batches(&self.recipe(), options, &stacker, rows, wants, consume)
    }

    /// The parts of step `k` once more, made on this thread: what they hold follows from the step's number alone.
    ///
    /// # Errors
    /// Of each part: as [`PhaseRun::batch`].
    pub(super) fn parts_again(&self, k: u64, refreshed: Option<&Refreshed>) -> impl Iterator<Item = Result<Part>> {
        let parts = self.plan.parts(&self.order.lengths(k)).into_iter().enumerate();
        parts.map(move |(piece, rows)| {
            let batch = self.arrive(self.batch(k, &rows)?, refreshed)?;
            Ok(self.part(k, piece, &rows, batch))
        })
    }

    /// Whether there is a pass over the lists before step `k`.
    pub(super) fn refreshes(&self, k: u64) -> bool {
        let due = |often: Often| often.due(k, self.plan.length.steps, self.order.steps_per_epoch());
        self.program.refresh.as_ref().is_some_and(|(_, often)| due(*often))
    }

    /// The tensors of a batch, with the rows that the last pass over the lists left of its videos.
    ///
    /// # Errors
    /// The device fails, or there was no pass.
    pub(super) fn arrive(&self, staged: Staged, refreshed: Option<&Refreshed>) -> Result<HashMap<ValueId, Tensor>> {
        let videos = staged.videos.clone();
        let mut batch = staged.arrive()?;
        if self.program.calls.iter().any(|c| c.over_list) {
            let refreshed = refreshed.context("there was no pass over the lists")?;
            refreshed.add(self.program, &videos, self.device, &mut batch)?;
        }
        Ok(batch)
    }

    /// Part `piece` of step `k`, which has these of its rows.
    pub(super) fn part(&self, k: u64, piece: usize, rows: &Rows, batch: HashMap<ValueId, Tensor>) -> Part {
        Part {
            info: self.plan.info(k, piece),
            batch,
            share: share(rows, &self.order.lengths(k)),
        }
    }

    /// What crosses to the device for these rows of step `k`, made on this thread.
    ///
    /// # Errors
    /// What crosses to the device is not connected, no usable video is left, or the device failed.
    pub(super) fn batch(&self, k: u64, rows: &Rows) -> Result<Staged> {
        let stacker = Stacker::new(self.program, self.staging.as_ref())?;
        let drawn = self.order.draw(k, &mut PassCache::default());
        let sizes: Vec<usize> = rows.iter().map(Range::len).collect();
        again(&self.recipe(), &stacker, &sizes, of_part(&drawn, rows).into_iter())
    }

    fn recipe(&self) -> Recipe<'_> {
        Recipe {
            host: &self.host,
            lists: &self.lists,
            streams: &self.program.streams,
            key: self.plan.key,
            replace: Some(&self.order),
        }
    }
}

/// How many steps a phase has.
fn length(def: &PhaseDef, order: &Order) -> Length {
    let per_epoch = order.steps_per_epoch();
    match (&def.steps, &def.epochs) {
        (Some(s), _) => Length {
            steps: s.value as u64,
            per_epoch: None,
        },
        (None, Some(e)) => Length {
            steps: e.value as u64 * per_epoch,
            per_epoch: Some(per_epoch),
        },
        (None, None) => Length {
            steps: 0,
            per_epoch: None,
        },
    }
}

/// How much of a step of so many videos these rows are.
pub(super) fn share(rows: &Rows, videos: &[usize]) -> Share {
    let of = |(rows, all): (&Range<usize>, &usize)| [rows.len(), *all];
    Share(rows.iter().zip(videos).map(of).collect())
}

/// The samples of these rows of a step, stream by stream.
fn of_part(drawn: &[Vec<Drawn>], rows: &Rows) -> Vec<Want> {
    let of_stream = |(stream, row): (usize, &Vec<Drawn>)| {
        let drawn = row[rows[stream].clone()].to_vec();
        drawn.into_iter().map(move |drawn| Want { stream, drawn })
    };
    drawn.iter().enumerate().flat_map(of_stream).collect()
}
