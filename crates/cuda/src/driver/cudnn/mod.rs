//! cuDNN, through its graph interface ("backend"): the legacy one cannot combine channels-last, 3-D and bfloat16.
//!
//! A new convolution (a [`Problem`]) is autotuned: the best few plans of the heuristics are run and timed
//! on the spot, and the fastest is kept until the process ends; from then on it costs one call. Environment:
//!
//! - `GLAD_CUDNN_PLANS` (10): how many plans are timed. 1 uses the heuristics' first plan without timing.
//! - `GLAD_CUDNN_WORKSPACE_MIB` (1024): the maximum workspace of a plan.
//!
//! **The same bits.** Plans that may give different bits from run to run are not used (`CudaGpu::set_deterministic` allows them).
//! cuDNN 9.28's heuristics for an H100 list such engines only far behind, among those that support everything, so this
//! costs nothing there (`tests.rs` checks this). Two plans may differ in the last bits, though, and which is fastest may
//! differ from process to process: [`CudaGpu::keep_plans`](super::CudaGpu::keep_plans) caches the choices in a file, which makes
//! runs on one machine repeatable, and lets them start faster.

mod choices;
pub mod conv;
mod descriptor;
mod engines;
mod geometry;
mod problem;
mod target;
#[cfg(test)]
mod tests;

use super::fault::bytes;
use super::queue::Queue;
use super::timer::Timer;
use crate::{Error, Result};
use choices::{Choice, Choices};
use cudarc::driver::CudaSlice;
use cudarc::driver::sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
use descriptor::Fault;
use engines::{MODES, Plan, Ranking, order};
use problem::{Pass, Problem};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use target::Target;

const MIB: usize = 1 << 20;

/// The plan that a convolution uses.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Which pass of which shape.
    pub problem: String,
    /// Its multiply-adds.
    pub macs: u64,
    /// Its time when it was chosen; `None` if it was not timed.
    pub milliseconds: Option<f64>,
    /// cuDNN's engine number.
    pub engine: i64,
    /// Its position in the heuristics' list.
    pub rank: usize,
    /// Whether it uses tensor cores.
    pub tensor_cores: bool,
    /// Its workspace in bytes.
    pub workspace: usize,
}

/// The plans of a GPU, and what they need.
pub(super) struct Cudnn {
    /// Declared before the handle that they were made with: fields are dropped in order of declaration.
    plans: HashMap<Problem, Plan>,
    /// Made with the first convolution.
    target: Option<Target>,
    workspace: Workspace,
    choices: Option<Choices>,
    limits: Limits,
    deterministic: bool,
}

/// The workspace limit of a plan, and how many plans are tried.
#[derive(Clone, Copy, Debug)]
struct Limits {
    plans: usize,
    workspace: usize,
}

impl Limits {
    fn from_environment() -> Result<Limits> {
        Ok(Limits {
            plans: variable("GLAD_CUDNN_PLANS", 10)?,
            workspace: variable("GLAD_CUDNN_WORKSPACE_MIB", 1024)?.saturating_mul(MIB),
        })
    }
}

fn variable(name: &str, default: usize) -> Result<usize> {
    let Some(value) = std::env::var_os(name) else {
        return Ok(default);
    };
    value
        .to_str()
        .and_then(|v| v.trim().parse().ok())
        .filter(|&n| n > 0)
        .ok_or_else(|| Error::Device(format!("{name} is {value:?}: a whole number above 0 is needed")))
}

impl Cudnn {
    pub(super) fn new() -> Result<Cudnn> {
        Ok(Cudnn {
            plans: HashMap::new(),
            target: None,
            workspace: Workspace::default(),
            choices: None,
            limits: Limits::from_environment()?,
            deterministic: true,
        })
    }

    pub(super) fn set_deterministic(&mut self, on: bool) {
        self.deterministic = on;
    }

    pub(super) fn keep_choices(&mut self, path: &Path, device: &str) -> Result<()> {
        self.choices = Some(Choices::open(path, device)?);
        Ok(())
    }

    /// The plans in use, the slowest first.
    pub(super) fn report(&self) -> Vec<Chosen> {
        let chosen = |(problem, plan): (&Problem, &Plan)| Chosen {
            problem: problem.to_string(),
            macs: problem.conv.macs(),
            milliseconds: plan.milliseconds,
            engine: plan.engine,
            rank: plan.rank,
            tensor_cores: plan.tensor_cores,
            workspace: plan.workspace,
        };
        let mut all: Vec<_> = self.plans.iter().map(chosen).collect();
        all.sort_by(|a, b| {
            let ms = |c: &Chosen| c.milliseconds.unwrap_or(0.0);
            ms(b).total_cmp(&ms(a)).then_with(|| a.problem.cmp(&b.problem))
        });
        all
    }

    /// Runs a convolution on the addresses of input, weights and output (or their gradients).
    fn run(&mut self, queue: &Queue, problem: Problem, at: [u64; 3]) -> Result<()> {
        queue.bind()?;
        let problem = Problem {
            deterministic: self.deterministic,
            ..problem
        };
        self.planned(queue, &problem, at)
            .map_err(|why| Error::Device(format!("{problem}: {why}")))
    }

    fn planned(&mut self, queue: &Queue, problem: &Problem, at: [u64; 3]) -> Fault<()> {
        let known = self.plans.contains_key(problem);
        if !known {
            refuse_while_recording(queue)?;
        }
        let target = match self.target.take() {
            Some(t) => t,
            None => Target::of(queue.stream())?,
        };
        let target = self.target.insert(target);
        if !known {
            let mut choosing = Choosing {
                queue,
                target,
                limits: self.limits,
                workspace: &mut self.workspace,
                choices: self.choices.as_mut(),
            };
            let plan = choosing.choose(problem, at)?;
            self.workspace.settle(plan.workspace);
            self.plans.insert(*problem, plan);
        }
        let plan = self.plans.get(problem).ok_or("its plan is gone")?;
        let workspace = self.workspace.reserve(queue, plan.workspace)?;
        plan.run(target, at, workspace)
    }

    /// The workspace of the plans chosen so far, for a recording to hold: a larger plan then allocates another one.
    pub(super) fn hold_workspace(&mut self, queue: &Queue) -> Result<Option<Arc<CudaSlice<u8>>>> {
        if self.workspace.needed == 0 {
            return Ok(None);
        }
        self.workspace.reserve(queue, 0).map_err(Error::Device)?;
        Ok(self.workspace.memory.clone())
    }
}

/// Choosing a plan waits for the device, and cuDNN allocates memory when it starts. Code outside this crate may also capture
/// the stream.
fn refuse_while_recording(queue: &Queue) -> Fault<()> {
    match queue.stream().capture_status().map_err(|e| e.to_string())? {
        CU_STREAM_CAPTURE_STATUS_NONE => Ok(()),
        _ => Err("it is new, and cannot be timed while a CUDA graph is recorded: run it once before".into()),
    }
}

/// The workspace, which all plans share, one after the other. Recordings hold it, too.
#[derive(Default)]
struct Workspace {
    memory: Option<Arc<CudaSlice<u8>>>,
    /// The bytes that the largest plan in use needs.
    needed: usize,
}

impl Workspace {
    /// The address of at least `size` bytes.
    fn reserve(&mut self, queue: &Queue, size: usize) -> Fault<u64> {
        let size = size.max(self.needed).max(1).next_multiple_of(MIB);
        if let Some(memory) = self.memory.as_ref().filter(|m| m.len() >= size) {
            return Ok(super::memory::whole(memory).address());
        }
        if queue.is_recording() {
            return Err("it works in more memory than any before: run it once before it is recorded".into());
        }
        // Drop the old one first: it is freed after the work queued with it.
        self.memory = None;
        let memory = queue.slice::<u8>(size).map_err(|e| e.to_string())?;
        Ok(super::memory::whole(self.memory.insert(Arc::new(memory))).address())
    }

    /// After a plan was chosen: frees the workspace that only rejected plans needed.
    fn settle(&mut self, size: usize) {
        self.needed = self.needed.max(size);
        let needed = self.needed.max(1).next_multiple_of(MIB);
        if self.memory.as_ref().is_some_and(|m| m.len() > needed) {
            self.memory = None;
        }
    }
}

/// Autotuning: the choice of a plan.
struct Choosing<'a> {
    queue: &'a Queue,
    target: &'a Target,
    limits: Limits,
    workspace: &'a mut Workspace,
    choices: Option<&'a mut Choices>,
}

impl Choosing<'_> {
    fn choose(&mut self, problem: &Problem, at: [u64; 3]) -> Fault<Plan> {
        let key = problem.to_string();
        let kept = self.choices.as_ref().and_then(|c| c.get(&key));
        if let Some(plan) = kept.and_then(|choice| recall(problem, self.target, choice)) {
            return Ok(plan);
        }
        let mut why = String::new();
        for (mode, _) in MODES.iter().enumerate() {
            let chosen = shortlist(problem, self.target, mode, self.limits, &mut why)
                .and_then(|plans| self.fastest(problem, plans, at));
            match chosen {
                Ok(plan) => {
                    if let Some(choices) = &mut self.choices {
                        let Plan { rank, engine, .. } = plan;
                        choices.keep(&key, Choice { mode, rank, engine })?;
                    }
                    return Ok(plan);
                }
                Err(e) => why = e,
            }
        }
        Err(why)
    }

    /// Runs each plan and keeps the fastest.
    fn fastest(&mut self, problem: &Problem, mut plans: Vec<Plan>, [x, w, y]: [u64; 3]) -> Fault<Plan> {
        if self.limits.plans == 1 && !plans.is_empty() {
            return Ok(plans.swap_remove(0));
        }
        // Accumulation must happen only once, so trials run on scratch memory.
        let mut scratch = None;
        let mut at = [x, w, y];
        if problem.pass == (Pass::Input { accumulate: true }) {
            let size = problem.conv.input_len() * problem.precision.number().size();
            at[0] = match self.queue.slice::<u8>(size) {
                Ok(memory) => super::memory::whole(scratch.insert(memory)).address(),
                // No memory for trials: use the heuristics' first plan.
                Err(_) if !plans.is_empty() => return Ok(plans.swap_remove(0)),
                Err(e) => return Err(e.to_string()),
            };
        }
        let mut why = "cuDNN has no plan for it".to_owned();
        let mut best: Option<Plan> = None;
        for mut plan in plans {
            let limit = best.as_ref().and_then(|b| b.milliseconds).unwrap_or(f64::INFINITY);
            match self.time(&plan, at, limit) {
                Ok(ms) if ms < limit => {
                    plan.milliseconds = Some(ms);
                    best = Some(plan);
                }
                Ok(_) => {}
                Err(e) => why = e,
            }
        }
        best.ok_or(why)
    }

    /// A plan's time in milliseconds, measured more precisely if it may be the fastest.
    fn time(&mut self, plan: &Plan, at: [u64; 3], limit: f64) -> Fault<f64> {
        let workspace = self.workspace.reserve(self.queue, plan.workspace)?;
        let once = || -> Fault<f64> {
            let timer = Timer::start(self.queue.stream()).map_err(|e| e.to_string())?;
            plan.run(self.target, at, workspace)?;
            let span = timer.stop(self.queue.stream()).map_err(|e| e.to_string())?;
            span.milliseconds().map_err(|e| e.to_string())
        };
        // The first run loads the kernels, which takes milliseconds; a plan that is slower than that is rejected at once.
        const LOADING: f64 = 30.0;
        let first = once()?;
        if first > 3.0 * limit + LOADING {
            return Ok(first);
        }
        let mut least = once()?;
        for _ in 0..2 {
            if least < 1.2 * limit {
                least = least.min(once()?);
            }
        }
        Ok(least)
    }
}

/// Up to `limits.plans` plans listed by one mode of the heuristics; `why` is the last reason for leaving one out.
fn shortlist(problem: &Problem, target: &Target, mode: usize, limits: Limits, why: &mut String) -> Fault<Vec<Plan>> {
    let mut ranking = Ranking::new(problem, target, MODES[mode])?;
    let mut candidates: Vec<_> = ranking.candidates.drain(..).map(Some).collect();
    let engines: Vec<_> = candidates
        .iter()
        .flatten()
        .map(|c| (c.engine, c.tensor_cores))
        .collect();
    let mut plans = Vec::new();
    for i in order(&engines, limits.plans) {
        if plans.len() == limits.plans {
            break;
        }
        let Some(candidate) = candidates[i].take() else {
            continue;
        };
        match ranking.plan(candidate, target) {
            Ok(plan) if plan.workspace <= limits.workspace => plans.push(plan),
            Ok(plan) => {
                *why = format!(
                    "its plans need {} to work in and may have {} (GLAD_CUDNN_WORKSPACE_MIB)",
                    bytes(plan.workspace),
                    bytes(limits.workspace)
                );
            }
            Err(e) => *why = e,
        }
    }
    if plans.is_empty() {
        return Err(if why.is_empty() {
            "cuDNN has no plan for it".into()
        } else {
            std::mem::take(why)
        });
    }
    Ok(plans)
}

/// The plan that was chosen before, if the heuristics' list is still the one that it was chosen from.
fn recall(problem: &Problem, target: &Target, choice: Choice) -> Option<Plan> {
    let mut ranking = Ranking::new(problem, target, *MODES.get(choice.mode)?).ok()?;
    let candidates = std::mem::take(&mut ranking.candidates);
    let kept = candidates
        .into_iter()
        .find(|c| c.rank == choice.rank && c.engine == choice.engine)?;
    ranking.plan(kept, target).ok()
}
