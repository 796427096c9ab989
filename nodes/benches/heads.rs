//! Times kinds of heads and updates of weights at the requested sizes: this project's half of the heads of `tools/compare/compute.py`.
//!
//! `cargo bench -p glad-nodes --features testing --bench heads -- [threads=N]` answers each line on standard input, such as
//! `{"op":"graph_conv","videos":8,"clips":16,"inputs":1024,"outputs":256,"ms":100}`, with the milliseconds of a pass forward and
//! backward, by the clock and of the processor (which counts with one thread), and with two numbers by which both halves can see that they compute the same: `value`, the sum of all outputs
//! times what arrives as their gradient, and `slope`, the norm of the gradient of the input. Of weights they are the sum, and the
//! norm of the change, after the first step.

use anyhow::Result;
use candle_core::{Device, Tensor};
use glad_nodes::testing::{Probe, f64s, labels, ty};
use glad_nodes::{Args, adam, ema};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

/// A kind with its sizes.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Op {
    /// `views` of `rows` rows; with labels, of so many classes.
    Contrastive {
        views: usize,
        rows: usize,
        width: usize,
        classes: Option<usize>,
        normalize: bool,
    },
    GraphConv {
        videos: usize,
        clips: usize,
        inputs: usize,
        outputs: usize,
    },
    /// AdamW over weights of these sizes.
    Adam { sizes: Vec<usize> },
    /// A teacher of weights of these sizes.
    Ema { sizes: Vec<usize> },
    /// The scorer of CO2A.
    ClipAttention { videos: usize, clips: usize, width: usize },
}

#[derive(Deserialize)]
struct Request {
    #[serde(flatten)]
    op: Op,
    /// Time for all passes.
    ms: u64,
}

/// Numbers that both halves make, in [−scale, scale): scrambled, since a softmax of regular ones saturates, and processors are slow
/// with the gradients that are left.
fn numbers(seed: u64, scale: f64, shape: &[usize]) -> Result<Tensor> {
    let low = |h: u64| h & 0xffff_ffff;
    let number = |i: usize| {
        let h = low((i as u64 + (seed << 25)) * 0x9e37_79b1);
        let h = low((h ^ (h >> 15)) * 0x85eb_ca77);
        (scale * ((h ^ (h >> 13)) as f64 / f64::from(1u32 << 31) - 1.0)) as f32
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(number).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// A kind, what arrives, and the gradient that arrives at its first output.
struct Case {
    probe: Probe,
    args: Args<Tensor>,
    grad: Tensor,
}

impl Case {
    fn new(op: &Op) -> Result<Case> {
        let refused = |e| anyhow::anyhow!("{e:?}");
        let case = match op {
            Op::Contrastive {
                views,
                rows,
                width,
                classes,
                normalize,
            } => {
                let x = (0..*views)
                    .map(|v| numbers(v as u64, 1.0, &[*rows, *width]))
                    .collect::<Result<_>>()?;
                let mut types = vec![("x", vec![ty("Feature", &format!("B,{width}")); *views])];
                let mut args = Args::default().with("x", x);
                if let Some(classes) = classes {
                    let own: Vec<u32> = (0..*rows).map(|r| (r % classes) as u32).collect();
                    types.push(("label", vec![ty("Label", "B")]));
                    args = args.with("label", vec![labels(&own)]);
                }
                let params = json!({ "temperature": 0.5, "normalize": normalize });
                let probe = Probe::new("contrastive", params, &types, &[]).map_err(refused)?;
                let grad = Tensor::new(1f32, &Device::Cpu)?;
                Case { probe, args, grad }
            }
            Op::GraphConv {
                videos,
                clips,
                inputs,
                outputs,
            } => {
                let types = [("x", vec![ty("Feature", &format!("B,{clips},{inputs}"))])];
                let probe = Probe::new("graph_conv", json!({ "outputs": outputs }), &types, &[]).map_err(refused)?;
                let args = Args::default().with("x", vec![numbers(0, 1.0, &[*videos, *clips, *inputs])?]);
                let grad = numbers(1, 1.0, &[*videos, *clips, *outputs])?;
                Case { probe, args, grad }
            }
            Op::ClipAttention { videos, clips, width } => {
                let types = [("x", vec![ty("Feature", &format!("B,{clips},{width}"))])];
                let probe = Probe::new("clip_attention", json!({}), &types, &[]).map_err(refused)?;
                let args = Args::default().with("x", vec![numbers(0, 1.0, &[*videos, *clips, *width])?]);
                let grad = numbers(1, 1.0, &[*videos, *width])?;
                Case { probe, args, grad }
            }
            Op::Adam { .. } | Op::Ema { .. } => anyhow::bail!("an update of weights is no head"),
        };
        case.weighted()
    }

    /// With weights that both halves make.
    fn weighted(mut self) -> Result<Case> {
        for (i, spec) in self.probe.specs.clone().iter().enumerate() {
            let inputs = spec.shape.last().copied().unwrap_or(1);
            let value = numbers(2 + i as u64, 1.0 / (inputs as f64).sqrt(), &spec.shape)?;
            self.probe.set(&spec.name, value);
        }
        Ok(self)
    }

    /// A pass forward and backward: the first output, and the gradients of the inputs.
    fn pass(&mut self) -> Result<(Tensor, Vec<Option<Tensor>>)> {
        // Gradients of weights are made anew in each step.
        self.probe.store.clear_grads();
        let (mut outputs, saved) = self.probe.forward_kept(&self.args)?;
        let mut grads = vec![None; outputs.len()];
        grads[0] = Some(self.grad.clone());
        Ok((outputs.swap_remove(0), self.probe.backward(&self.args, saved, grads)?))
    }
}

/// The shortest of as many runs as fit a time, and of three at least: by the clock, and by this thread's processor time.
fn best(time: Duration, mut body: impl FnMut() -> Result<()>) -> Result<[f64; 2]> {
    let (mut best, began) = ([f64::INFINITY; 2], Instant::now());
    for run in 0..2000 {
        let (at, cpu) = (Instant::now(), thread_time());
        body()?;
        let took = [at.elapsed(), thread_time().saturating_sub(cpu)];
        best = [0, 1].map(|i| best[i].min(took[i].as_secs_f64() * 1e3));
        if run >= 2 && began.elapsed() > time {
            break;
        }
    }
    Ok(best)
}

/// A weight, its gradient and its moments in step `t`.
fn parameter([weight, grad, first, second]: &[Tensor; 4], t: u64) -> adam::Parameter<'_> {
    adam::Parameter {
        name: "weight",
        weight,
        grad,
        first,
        second,
        t,
        lr_scale: 1.0,
        weight_decay: 1e-2,
    }
}

/// Weights and what updates them.
struct Weights {
    all: Vec<[Tensor; 4]>,
    steps: u64,
}

impl Weights {
    fn new(sizes: &[usize]) -> Result<Weights> {
        let of = |n: &usize| -> Result<[Tensor; 4]> {
            let nothing = || numbers(0, 0.0, &[*n]);
            Ok([numbers(0, 1.0, &[*n])?, numbers(1, 1.0, &[*n])?, nothing()?, nothing()?])
        };
        let all = sizes.iter().map(of).collect::<Result<_>>()?;
        Ok(Weights { all, steps: 0 })
    }

    /// A step of AdamW, or of a teacher whose weights are the first and whose student's are the second.
    fn update(&mut self, adamw: bool) -> Result<()> {
        self.steps += 1;
        if !adamw {
            return self.all.iter().try_for_each(|[w, g, ..]| ema::follow(0.99, g, w));
        }
        let settings = adam::Adam {
            lr: 1e-3,
            betas: [0.9, 0.999],
            eps: 1e-8,
            decoupled: true,
            clip_scale: 1.0,
        };
        let parameters: Vec<_> = self.all.iter().map(|own| parameter(own, self.steps)).collect();
        adam::step(&settings, &parameters)?;
        Ok(())
    }

    /// Of all weights: their sum, and the norm of their distance from the start.
    fn moved(&self) -> Result<[f64; 2]> {
        let (mut sum, mut squares) = (0.0, 0.0);
        for [w, ..] in &self.all {
            let (now, start) = (f64s(w), f64s(&numbers(0, 1.0, w.dims())?));
            sum += now.iter().sum::<f64>();
            squares += now.iter().zip(start).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        }
        Ok([sum, squares.sqrt()])
    }
}

/// The processor time of this thread, which other load does not lengthen.
fn thread_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is written to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn answer(line: &str) -> Result<Value> {
    let request: Request = serde_json::from_str(line)?;
    let time = Duration::from_millis(request.ms);
    if let Op::Adam { sizes } | Op::Ema { sizes } = &request.op {
        let adamw = matches!(request.op, Op::Adam { .. });
        let mut weights = Weights::new(sizes)?;
        weights.update(adamw)?;
        let [value, slope] = weights.moved()?;
        let [step, cpu] = best(time, || weights.update(adamw))?;
        return Ok(json!({ "step": step, "cpu": cpu, "value": value, "slope": slope }));
    }
    let mut case = Case::new(&request.op)?;
    let (y, dx) = case.pass()?;
    let value: f64 = f64s(&y).iter().zip(f64s(&case.grad)).map(|(y, g)| y * g).sum();
    let squares = dx.iter().flatten().flat_map(f64s).map(|g| g * g);
    let slope = squares.sum::<f64>().sqrt();
    let [step, cpu] = best(time, || case.pass().map(drop))?;
    Ok(json!({ "step": step, "cpu": cpu, "value": value, "slope": slope }))
}

fn main() -> Result<()> {
    let threads = std::env::args().find_map(|arg| arg.strip_prefix("threads=")?.parse().ok());
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(1))
        .build()?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let made = pool.install(|| answer(&line));
        let made = made.unwrap_or_else(|e| json!({ "error": format!("{line}: {e:#}") }));
        writeln!(out, "{made}")?;
        out.flush()?;
    }
    Ok(())
}
