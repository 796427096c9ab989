//! Speed of the kernels, in GF/s, next to the measured peak of this core.
//!
//! `cargo bench -p glad-ops -- [mini] [resnet] [ops] [threads=N]`; `GLAD_ISA` chooses the instruction set.

mod machine;

use glad_ops::{BatchNorm, Conv, Epilogue, Moments, PackedWeights, Pool, Shift, conv, isa, norm, pool};
use machine::best;
use rayon::prelude::*;
use std::hint::black_box;

/// Layers of one network, each with how often it occurs; the first needs no input gradient.
fn convolutions(title: &str, layers: &[(Conv, usize)], peak: f64) {
    println!(
        "\n{title}\n{:44} {:>22} {:>22} {:>22} {:>8}",
        "", "forward + moments", "input", "weight", "pack"
    );
    println!(
        "{:44} {}",
        "",
        format!("{:>9} {:>6} {:>5} ", "ms", "GF/s", "%").repeat(3)
    );
    let mut total = [0.0; 4];
    let mut macs = [0.0; 3];
    for (at, (c, times)) in layers.iter().enumerate() {
        let x: Vec<f32> = (0..c.input_len()).map(|i| (i % 17) as f32 - 8.0).collect();
        let w: Vec<f32> = (0..c.weight_len()).map(|i| (i % 13) as f32 - 6.0).collect();
        let dy: Vec<f32> = (0..c.output_len()).map(|i| (i % 19) as f32 - 9.0).collect();
        let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), w.clone());
        let (mut mean, mut var) = (vec![0.0; c.co], vec![0.0; c.co]);
        let mut packed = PackedWeights::new(c, &w).unwrap();
        let ms = [
            best(|| {
                let moments = Some(Moments {
                    mean: &mut mean,
                    var: &mut var,
                });
                conv::forward(
                    c,
                    &x,
                    &packed,
                    Epilogue {
                        moments,
                        ..Epilogue::default()
                    },
                    &mut y,
                )
                .unwrap();
            }),
            if at == 0 {
                f64::NAN
            } else {
                best(|| conv::backward_input(c, &dy, &packed, false, &mut dx).unwrap())
            },
            best(|| conv::backward_weight(c, &x, &dy, &mut dw).unwrap()),
            best(|| packed.repack(&w).unwrap()),
        ];
        let gf = 2e-6 * c.macs() as f64;
        let [_, h, wd] = c.input;
        let name = format!(
            "{}x{h}x{wd} {}→{} k{:?} s{}",
            c.n * c.input[0],
            c.ci,
            c.co,
            c.kernel,
            c.stride[2]
        );
        print!("{name:40} ×{times:<2} ");
        for (pass, ms) in ms.iter().enumerate() {
            total[pass] += if ms.is_nan() { 0.0 } else { ms * *times as f64 };
            if pass < 3 {
                macs[pass] += if ms.is_nan() { 0.0 } else { gf * *times as f64 };
                print!(" {ms:9.3} {:6.1} {:4.0}%", gf / ms, 100.0 * gf / ms / peak);
            }
        }
        println!(" {:8.3}", ms[3]);
    }
    print!("{:44}", "all");
    for pass in 0..3 {
        print!(
            " {:9.2} {:6.1} {:4.0}%",
            total[pass],
            macs[pass] / total[pass],
            100.0 * macs[pass] / total[pass] / peak
        );
    }
    println!(" {:8.3}   Σ {:.2} ms", total[3], total.iter().sum::<f64>());
}

fn mini() -> Vec<(Conv, usize)> {
    let n = 384;
    let mut layers = vec![(Conv::new_2d(n, [48, 48], 3, 16, 5, 2, 2), 1)];
    for (size, ci, co, stride) in [(24, 16, 24, 2), (12, 24, 32, 2), (6, 32, 48, 1), (6, 48, 64, 2)] {
        layers.push((Conv::new_2d(n, [size; 2], ci, co, 3, stride, 1), 1));
        layers.push((Conv::new_2d(n, [size / stride; 2], co, co, 3, 1, 1), 1));
        layers.push((Conv::new_2d(n, [size; 2], ci, co, 1, stride, 0), 1));
    }
    layers
}

fn resnet50() -> Vec<(Conv, usize)> {
    let n = 8;
    let mut layers = vec![(Conv::new_2d(n, [224, 224], 3, 64, 7, 2, 3), 1)];
    let mut ci = 64;
    for (stage, blocks) in [3, 4, 6, 3].into_iter().enumerate() {
        let (mid, out, size, stride) = (64 << stage, 256 << stage, 56 >> stage, if stage == 0 { 1 } else { 2 });
        let before = size * stride;
        layers.push((Conv::new_2d(n, [before; 2], ci, mid, 1, 1, 0), 1));
        layers.push((Conv::new_2d(n, [before; 2], mid, mid, 3, stride, 1), 1));
        layers.push((Conv::new_2d(n, [before; 2], ci, out, 1, stride, 0), 1));
        layers.push((Conv::new_2d(n, [size; 2], mid, out, 1, 1, 0), blocks));
        layers.push((Conv::new_2d(n, [size; 2], out, mid, 1, 1, 0), blocks - 1));
        layers.push((Conv::new_2d(n, [size; 2], mid, mid, 3, 1, 1), blocks - 1));
        ci = out;
    }
    layers
}

fn others() {
    println!("\nother operations{:28} {:>9} {:>9}  (GB/s)", "", "forward", "backward");
    for (rows, c) in [(384 * 576, 16), (384 * 144, 24), (8 * 56 * 56, 256), (8 * 7 * 7, 2048)] {
        let len = rows * c;
        let x: Vec<f32> = (0..len).map(|i| (i % 17) as f32 - 8.0).collect();
        let (mut y, mut dx, mut grad) = (x.clone(), x.clone(), x.clone());
        let [mut mean, mut var, gamma, beta, mut dg, mut db] = std::array::from_fn(|_| vec![1.0; c]);
        norm::moments(
            &x,
            c,
            Moments {
                mean: &mut mean,
                var: &mut var,
            },
        )
        .unwrap();
        let bn = BatchNorm {
            mean: &mean,
            var: &var,
            gamma: &gamma,
            beta: &beta,
            eps: 1e-5,
            relu: true,
        };
        for with_residual in [false, true] {
            let forward = best(|| bn.forward(&x, with_residual.then_some(&x[..]), &mut y).unwrap());
            // In place, so that each round copies the gradient first: the copy is part of the measured time.
            let backward = best(|| {
                grad.copy_from_slice(&x);
                let residual = with_residual.then_some(norm::Residual { y: &y, dx: &mut dx });
                bn.backward(true, &x, &mut grad, residual, &mut dg, &mut db).unwrap();
            });
            let gb = |streams: usize, ms: f64| (streams * len * 4) as f64 / ms / 1e6;
            let (f, b) = if with_residual { (3, 7) } else { (2, 5) };
            let name = format!("norm{} {rows}×{c}", if with_residual { " + residual" } else { "" });
            println!(
                "{name:44} {forward:9.3} {backward:9.3}  {:.1} {:.1}",
                gb(f, forward),
                gb(b, backward)
            );
        }
        let (mut mean, mut var) = (vec![0.0; c], vec![0.0; c]);
        let ms = best(|| {
            norm::moments(
                &x,
                c,
                Moments {
                    mean: &mut mean,
                    var: &mut var,
                },
            )
            .unwrap()
        });
        println!(
            "{:44} {ms:9.3} {:9}  {:.1}",
            format!("moments {rows}×{c}"),
            "",
            (len * 4) as f64 / ms / 1e6
        );
    }
    let p = Pool::new(8, [1, 112, 112], 64, [1, 3, 3], [1, 2, 2], [0, 1, 1]);
    let x = vec![1.0; p.input_len()];
    let (mut y, mut index, mut dx) = (vec![0.0; p.output_len()], vec![0; p.output_len()], x.clone());
    let forward = best(|| pool::max_forward(&p, &x, &mut y, &mut index).unwrap());
    let backward = best(|| pool::max_backward(&p, &y, &index, &mut dx).unwrap());
    println!("{:44} {forward:9.3} {backward:9.3}", "max pool 3×3/2 8×112×112×64");
    for (n, pixels, channels) in [(48, 576, 16), (1, 3136, 256)] {
        let shift = Shift {
            n,
            t: 8,
            pixels,
            channels,
            fold: 8,
        };
        let x = vec![1.0; shift.numel()];
        let mut y = x.clone();
        let forward = best(|| shift.forward(&x, &mut y).unwrap());
        println!("{:44} {forward:9.3}", format!("shift {n}×8×{pixels}×{channels}"));
    }
}

/// Dot products of pairs of bf16 numbers, summed in f32, in GF/s from registers alone; `None` where the processor has none.
#[cfg(target_arch = "x86_64")]
fn bf16_peak() -> Option<f64> {
    use std::arch::x86_64::*;
    const ROUNDS: usize = 200_000;
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn chains() -> f32 {
        let pair = _mm512_cvtne2ps_pbh(_mm512_set1_ps(black_box(1e-3)), _mm512_set1_ps(black_box(1e-3)));
        let mut acc = [_mm512_setzero_ps(); 12];
        for _ in 0..ROUNDS {
            for chain in &mut acc {
                *chain = _mm512_dpbf16_ps(*chain, pair, pair);
            }
        }
        acc.into_iter().map(|chain| _mm512_reduce_add_ps(chain)).sum()
    }
    if !(is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512f")) {
        return None;
    }
    let threads = rayon::current_num_threads();
    let ms = machine::best(|| {
        (0..threads).into_par_iter().for_each(|_| {
            // SAFETY: the processor has the instructions.
            black_box(unsafe { chains() });
        });
    });
    Some((threads * 2 * 2 * 12 * 16 * ROUNDS) as f64 / ms / 1e6)
}

/// Dot products of pairs of bf16 numbers, summed in f32, in GF/s from registers alone; `None` where the processor has none.
#[cfg(not(target_arch = "x86_64"))]
fn bf16_peak() -> Option<f64> {
    None
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let threads = args
        .iter()
        .find_map(|arg| arg.strip_prefix("threads=")?.parse().ok())
        .unwrap_or(1);
    let wanted = |name: &str| {
        args.iter().any(|arg| arg == name) || !["mini", "resnet", "ops"].iter().any(|&n| args.iter().any(|a| a == n))
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let peak = machine::peak();
        println!("{}, {threads} threads, peak {peak:.0} GF/s", isa::current());
        if let Some(bf16) = bf16_peak() {
            println!("bf16 dot products, from registers alone: {bf16:.0} GF/s");
        }
        if wanted("mini") {
            convolutions("mini network, 384 frames of 48×48", &mini(), peak);
        }
        if wanted("resnet") {
            convolutions("ResNet-50, 8 frames of 224×224", &resnet50(), peak);
        }
        if wanted("ops") {
            others();
        }
    });
}
