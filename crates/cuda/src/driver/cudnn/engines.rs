//! From a problem to executable plans: cuDNN's heuristics rank configurations of engines (families of kernels), and
//! those whose arithmetic differs from the request are left out.

use super::conv::Precision;
use super::descriptor::{Descriptor, Fault};
use super::problem::{Problem, W, X, Y};
use super::target::Target;
use cudarc::cudnn::sys::cudnnBackendAttributeName_t::*;
use cudarc::cudnn::sys::cudnnBackendDescriptorType_t::*;
use cudarc::cudnn::sys::cudnnBackendHeurMode_t::{self as Mode, *};
use cudarc::cudnn::sys::cudnnBackendNumericalNote_t::{self as Note, *};
use std::sync::Arc;

/// A configuration that the heuristics named.
pub(super) struct Candidate {
    config: Descriptor,
    /// Its position in the heuristics' list.
    pub rank: usize,
    /// The engine number.
    pub engine: i64,
    /// Whether it uses tensor cores.
    pub tensor_cores: bool,
}

/// A configuration that is ready to run.
pub(super) struct Plan {
    plan: Descriptor,
    /// The plan was made from these, so they live as long.
    _made_from: (Descriptor, Arc<Descriptor>),
    /// Its workspace in bytes.
    pub workspace: usize,
    /// The position in the heuristics' list.
    pub rank: usize,
    /// The engine number.
    pub engine: i64,
    /// Whether it uses tensor cores.
    pub tensor_cores: bool,
    /// Its time when it was chosen, if it was timed.
    pub milliseconds: Option<f64>,
}

/// The admissible configurations of one mode of the heuristics, in their order.
pub(super) struct Ranking {
    graph: Arc<Descriptor>,
    pub candidates: Vec<Candidate>,
}

/// The heuristics, the best first: A is a decision tree, B a network that is better and slower but supports neither 3-D nor
/// groups, and the last one lists engines that support everything.
pub(super) const MODES: [Mode; 3] = [CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK];

impl Ranking {
    pub(super) fn new(problem: &Problem, target: &Target, mode: Mode) -> Fault<Ranking> {
        let graph = Arc::new(problem.graph(target)?);
        let question = Descriptor::new(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)?
            .child(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, &graph)?
            .heuristic(CUDNN_ATTR_ENGINEHEUR_MODE, mode)?;
        let answer = target.on_heuristics(question)?.finish()?;
        let configs = answer.children(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)?;
        let mut candidates = Vec::new();
        for (rank, config) in configs.into_iter().enumerate() {
            let engine = config.only_child(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR)?;
            let notes = engine.notes(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE)?;
            if admissible(problem, &notes) {
                candidates.push(Candidate {
                    config,
                    rank,
                    engine: engine.long(CUDNN_ATTR_ENGINE_GLOBAL_INDEX)?,
                    tensor_cores: notes.contains(&(CUDNN_NUMERICAL_NOTE_TENSOR_CORE as u32)),
                });
            }
        }
        Ok(Ranking { graph, candidates })
    }

    /// Builds the plan of a configuration; an error if it does not support this problem.
    pub(super) fn plan(&self, candidate: Candidate, target: &Target) -> Fault<Plan> {
        let plan = Descriptor::new(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)?
            .child(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, &candidate.config)?;
        let plan = target.on_plan(plan)?.finish()?;
        let workspace = plan.long(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE)?;
        Ok(Plan {
            plan,
            workspace: usize::try_from(workspace).map_err(|e| format!("a workspace of {workspace} bytes: {e}"))?,
            rank: candidate.rank,
            engine: candidate.engine,
            tensor_cores: candidate.tensor_cores,
            milliseconds: None,
            _made_from: (candidate.config, self.graph.clone()),
        })
    }
}

/// Whether an engine's arithmetic is as requested.
///
/// Inputs are never rounded to fewer bits than the precision has, and sums never have fewer than 32. Winograd's and Fourier's
/// transforms are excluded too: their rounding errors scale with other values than the affected one. In plain 32 bits
/// tensor cores are not allowed.
fn admissible(problem: &Problem, notes: &[u32]) -> bool {
    let barred = |note: u32| {
        let is = |n: Note| note == n as u32;
        is(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)
            || is(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)
            || is(CUDNN_NUMERICAL_NOTE_FFT)
            || is(CUDNN_NUMERICAL_NOTE_WINOGRAD)
            || is(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4)
            || is(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6)
            || is(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13)
            || (problem.deterministic && is(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC))
            || (problem.precision == Precision::F32 && is(CUDNN_NUMERICAL_NOTE_TENSOR_CORE))
    };
    !notes.iter().any(|&note| barred(note))
}

/// The order in which candidates are tried, of which `limit` will be tried, given their engines and whether these use tensor
/// cores: the heuristics' first for half of it; then the best of each engine that is not among these (the list is long runs of
/// one engine with other tiles), but none without tensor cores if others have them, since it can take a hundred times as long;
/// then the list's order.
pub(super) fn order(engines: &[(i64, bool)], limit: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..engines.len().min(limit.div_ceil(2))).collect();
    let tensor_cores = engines.iter().any(|e| e.1);
    for (i, engine) in engines.iter().enumerate() {
        if engine.1 == tensor_cores && !order.iter().any(|&o| engines[o].0 == engine.0) {
            order.push(i);
        }
    }
    for among_the_best in [true, false] {
        for (i, engine) in engines.iter().enumerate() {
            if (engine.1 == tensor_cores) == among_the_best && !order.contains(&i) {
                order.push(i);
            }
        }
    }
    order
}

impl Plan {
    /// Runs the plan on the addresses of input, weights and output, with a workspace of its size.
    pub(super) fn run(&self, target: &Target, [x, w, y]: [u64; 3], workspace: u64) -> Fault<()> {
        let pack = Descriptor::new(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)?
            .longs(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, &[X, W, Y])?
            .addresses(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, &[x, w, y])?
            .addresses(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, &[workspace])?
            .finish()?;
        target.run(&self.plan, &pack)
    }
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn every_engine_gets_a_turn() {
        let engines = [62, 62, 62, 62, 62, 45, 62, 22, 45, 62].map(|e| (e, true));
        assert_eq!(order(&engines, 6)[..6], [0, 1, 2, 5, 7, 3]);
        assert_eq!(order(&engines, 1)[0], 0);
        let mut all = order(&engines, 4);
        all.sort_unstable();
        assert_eq!(all, (0..engines.len()).collect::<Vec<_>>());
    }

    #[test]
    fn engines_without_tensor_cores_come_last_unless_the_heuristics_put_them_first() {
        let engines = [(74, false), (67, true), (67, true), (28, false), (67, true), (71, true)];
        assert_eq!(order(&engines, 4), [0, 1, 5, 2, 4, 3]);
        let plain = [(28, false), (1, false), (28, false)];
        assert_eq!(order(&plain, 2), [0, 1, 2]);
    }
}
