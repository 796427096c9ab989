//! Times each kernel at the requested shapes: this project's half of `tools/compare/compute.py`.
//!
//! `cargo bench -p glad-ops --bench ops -- [threads=N]` answers each line on standard input, such as
//! `{"op":"conv","n":8,"input":[1,56,56],"ci":64,"co":64,"kernel":[1,3,3],"stride":[1,1,1],"pad":[0,1,1],"ms":100}`,
//! with the milliseconds of each pass.

mod machine;

use glad_ops::{
    BatchNorm, Conv, Epilogue, Linear, Moments, PackedWeights, Pool, Residual, Sgd, Shift, conv, isa, norm, pool,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::time::Duration;

/// A request: a kernel with its shapes, as numbers of values, not bytes.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Op {
    /// The machine's peak rates.
    Machine,
    /// Weights are packed for each pass, as in a step.
    Conv {
        n: usize,
        input: [usize; 3],
        ci: usize,
        co: usize,
        kernel: [usize; 3],
        stride: [usize; 3],
        pad: [usize; 3],
    },
    /// Statistics, normalisation and ReLU, of the sum with a residual if there is one.
    Norm {
        rows: usize,
        channels: usize,
        residual: bool,
    },
    Pool {
        n: usize,
        input: [usize; 3],
        channels: usize,
        kernel: [usize; 3],
        stride: [usize; 3],
        pad: [usize; 3],
    },
    Shift {
        n: usize,
        t: usize,
        pixels: usize,
        channels: usize,
    },
    Linear {
        rows: usize,
        inputs: usize,
        outputs: usize,
    },
    /// Momentum and weight decay, over weights of these sizes.
    Sgd {
        sizes: Vec<usize>,
    },
}

#[derive(Deserialize)]
struct Request {
    #[serde(flatten)]
    op: Op,
    /// Time for each pass.
    #[serde(default = "usual")]
    ms: u64,
}

fn usual() -> u64 {
    150
}

/// Small numbers, not all the same.
fn values(len: usize, period: usize) -> Vec<f32> {
    (0..len).map(|i| (i % period) as f32 - period as f32 / 2.0).collect()
}

fn answer(request: &Request) -> glad_ops::Result<Value> {
    let best = |body: &mut dyn FnMut()| machine::best_within(Duration::from_millis(request.ms), body);
    // Shapes are checked by a first call of each kernel; the timed ones are the same.
    Ok(match &request.op {
        Op::Machine => json!({
            "isa": isa::current().name(),
            "gf_per_s": machine::peak(),
            "gb_per_s": machine::bandwidth(),
        }),
        Op::Conv {
            n,
            input,
            ci,
            co,
            kernel,
            stride,
            pad,
        } => {
            let c = Conv::new_3d(*n, *input, *ci, *co, *kernel, *stride, *pad);
            c.validate()?;
            let (x, w) = (values(c.input_len(), 17), values(c.weight_len(), 13));
            let dy = values(c.output_len(), 19);
            let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), w.clone());
            json!({
                "forward": best(&mut || {
                    let packed = PackedWeights::forward_only(&c, &w).unwrap();
                    conv::forward(&c, &x, &packed, Epilogue::default(), &mut y).unwrap();
                }),
                "input": best(&mut || {
                    let packed = PackedWeights::backward_only(&c, &w).unwrap();
                    conv::backward_input(&c, &dy, &packed, false, &mut dx).unwrap();
                }),
                "weight": best(&mut || conv::backward_weight(&c, &x, &dy, &mut dw).unwrap()),
            })
        }
        Op::Norm {
            rows,
            channels,
            residual,
        } => {
            let x = values(rows * channels, 17);
            let dy = values(x.len(), 19);
            let (mut y, mut dx, mut grad) = (x.clone(), x.clone(), x.clone());
            let [mut mean, mut var, gamma, beta, mut dg, mut db] = std::array::from_fn(|_| vec![1.0; *channels]);
            let rest = residual.then(|| values(x.len(), 11));
            let forward = best(&mut || {
                let moments = Moments {
                    mean: &mut mean,
                    var: &mut var,
                };
                norm::moments(&x, *channels, moments).unwrap();
                batch_norm(&mean, &var, &gamma, &beta)
                    .forward(&x, rest.as_deref(), &mut y)
                    .unwrap();
            });
            let bn = batch_norm(&mean, &var, &gamma, &beta);
            // In place, so that each round copies the gradient first: the copy is part of the measured time.
            let backward = best(&mut || {
                grad.copy_from_slice(&dy);
                let rest = residual.then_some(Residual { y: &y, dx: &mut dx });
                bn.backward(true, &x, &mut grad, rest, &mut dg, &mut db).unwrap();
            });
            json!({ "forward": forward, "backward": backward })
        }
        Op::Pool {
            n,
            input,
            channels,
            kernel,
            stride,
            pad,
        } => {
            let p = Pool::new(*n, *input, *channels, *kernel, *stride, *pad);
            p.validate()?;
            let x = values(p.input_len(), 17);
            let (mut y, mut index, mut dx) = (vec![0.0; p.output_len()], vec![0; p.output_len()], x.clone());
            let forward = best(&mut || pool::max_forward(&p, &x, &mut y, &mut index).unwrap());
            let backward = best(&mut || pool::max_backward(&p, &y, &index, &mut dx).unwrap());
            json!({ "forward": forward, "backward": backward })
        }
        Op::Shift { n, t, pixels, channels } => {
            let s = Shift {
                n: *n,
                t: *t,
                pixels: *pixels,
                channels: *channels,
                fold: 8,
            };
            let x = values(s.numel(), 17);
            let mut y = x.clone();
            let forward = best(&mut || s.forward(&x, &mut y).unwrap());
            json!({ "forward": forward, "backward": best(&mut || s.backward(&x, &mut y).unwrap()) })
        }
        Op::Linear { rows, inputs, outputs } => {
            let l = Linear {
                rows: *rows,
                inputs: *inputs,
                outputs: *outputs,
            };
            let (x, w) = (values(rows * inputs, 17), values(inputs * outputs, 13));
            let (dy, bias) = (values(rows * outputs, 19), values(*outputs, 11));
            let (mut y, mut dx, mut dw, mut db) = (dy.clone(), x.clone(), w.clone(), bias.clone());
            json!({
                "forward": best(&mut || l.forward(&x, &w, Some(&bias), false, &mut y).unwrap()),
                "input": best(&mut || l.backward_input(&dy, &w, &mut dx).unwrap()),
                "weight": best(&mut || {
                    l.backward_weight(&x, &dy, &mut dw).unwrap();
                    l.backward_bias(&dy, &mut db).unwrap();
                }),
            })
        }
        Op::Sgd { sizes } => {
            let mut weights: Vec<[Vec<f32>; 3]> = sizes
                .iter()
                .map(|n| [values(*n, 17), values(*n, 13), values(*n, 19)])
                .collect();
            let sgd = Sgd {
                lr: 1e-6,
                momentum: 0.9,
                weight_decay: 1e-4,
                nesterov: false,
                clip_scale: 1.0,
            };
            let step = best(&mut || {
                for [w, g, m] in &mut weights {
                    sgd.step(false, g, m, w).unwrap();
                }
            });
            json!({ "step": step })
        }
    })
}

fn batch_norm<'a>(mean: &'a [f32], var: &'a [f32], gamma: &'a [f32], beta: &'a [f32]) -> BatchNorm<'a> {
    BatchNorm {
        mean,
        var,
        gamma,
        beta,
        eps: 1e-5,
        relu: true,
    }
}

fn main() {
    let threads = std::env::args()
        .find_map(|arg| arg.strip_prefix("threads=")?.parse().ok())
        .unwrap_or(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let made = match serde_json::from_str::<Request>(&line) {
            Ok(request) => pool.install(|| answer(&request)).map_err(|e| e.to_string()),
            Err(e) => Err(e.to_string()),
        };
        let made = made.unwrap_or_else(|e| json!({ "error": format!("{line}: {e}") }));
        writeln!(out, "{made}").unwrap();
        out.flush().unwrap();
    }
}
