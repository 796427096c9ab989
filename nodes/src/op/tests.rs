//! Every operation with the same values in every available place: with each instruction set of the CPU and, if
//! `GLAD_TEST_DEVICE` names one, on a GPU, in f32 and in bf16. Results are compared to the CPU's with its best
//! instruction set, which other tests compare to f64.

use super::adam;
use super::batch_norm;
use super::conv::ConvOp;
use super::linear::{self, LinearOp};
use super::pool::{self, MaxPool};
use super::types::{Affine, Dx, Stats};
use super::{channels, dropout, loss, matmul, normalize, scale, sgd, shift};
use crate::testing::{close, device, f64s, normal};
use crate::{Init, Key, Precision, Role, Scope, Step, WeightSpec, WeightStore};
use candle_core::{DType, Device, Tensor};
use glad_ops::Conv;
use glad_ops::isa::{self, Isa};

/// Where an operation runs.
struct Place {
    device: Device,
    precision: Precision,
}

impl Place {
    /// An activation, N(0, 1).
    fn activation(&self, seed: u64, shape: &[usize]) -> Tensor {
        self.floats(seed, shape).to_dtype(self.precision.activations()).unwrap()
    }

    /// Values that are f32 everywhere. They fit in bf16, so that every place starts from the same values, and none
    /// sees ties where another does not.
    fn floats(&self, seed: u64, shape: &[usize]) -> Tensor {
        let short = normal(seed, shape).to_device(&Device::Cpu).unwrap();
        let short = short.to_dtype(DType::BF16).unwrap().to_dtype(DType::F32).unwrap();
        self.put(&short)
    }

    fn put(&self, tensor: &Tensor) -> Tensor {
        tensor.to_device(&self.device).unwrap()
    }

    /// Runs `body` with weights of these shapes.
    fn step<R>(&self, weights: &[(&str, &[usize])], body: impl FnOnce(&mut Step<'_>) -> R) -> R {
        let mut store = WeightStore::default();
        for (i, (name, shape)) in weights.iter().enumerate() {
            let spec = WeightSpec::new(*name, shape, Init::Constant(0.0), Role::Weight);
            let value = (self.floats(60 + i as u64, shape) * 0.25).unwrap();
            store.insert(format!("node.{name}"), spec, value);
        }
        body(&mut Step {
            weights: Scope::new(&mut store, "node"),
            key: Key::new(3),
            training: true,
            progress: 0.0,
            step: 0,
            wants: &[true],
            backward: true,
            again: false,
            average: None,
            record: false,
            device: &self.device,
            precision: self.precision,
        })
    }
}

/// The results of an operation, with names.
type Found = Vec<(&'static str, Tensor)>;

/// Compares the results of `run` in every place to those on the CPU.
fn everywhere(what: &str, run: impl Fn(&Place) -> Found) {
    let cpu = Place {
        device: Device::Cpu,
        precision: Precision::F32,
    };
    let want = run(&cpu);
    let compare = |place: &str, found: Found, tolerance: f64| {
        assert_eq!(found.len(), want.len());
        for ((name, found), (_, want)) in found.iter().zip(&want) {
            assert_eq!(found.dims(), want.dims(), "{what}, {place}: shape of {name}");
            close(
                &format!("{what}, {place}: {name}"),
                &f64s(found),
                &f64s(want),
                tolerance,
            );
        }
    };
    for isa in Isa::available() {
        compare(isa.name(), isa::with(isa, || run(&cpu)), 1e-4);
    }
    if device().is_cpu() {
        return;
    }
    for (precision, tolerance) in [(Precision::F32, 1e-4), (Precision::Tf32, 1e-2), (Precision::Bf16, 1e-2)] {
        let device = device();
        compare(precision.name(), run(&Place { device, precision }), tolerance);
    }
}

#[test]
fn convolutions() {
    let padded = |kernel: [usize; 3], stride: [usize; 3]| {
        let pad = kernel.map(|k| k / 2);
        move |ci, co| Conv::new_3d(1, [1; 3], ci, co, kernel, stride, pad)
    };
    let shapes: Vec<(Conv, [usize; 4])> = vec![
        (padded([1, 1, 1], [1; 3])(16, 24), [2, 2, 5, 6]),
        (padded([1, 3, 3], [1; 3])(8, 16), [3, 1, 9, 7]),
        (padded([1, 3, 3], [1, 2, 2])(16, 16), [2, 2, 9, 8]),
        (padded([3, 1, 1], [1; 3])(16, 8), [2, 5, 4, 3]),
        (padded([3, 3, 3], [1; 3])(8, 8), [2, 4, 6, 5]),
        (padded([1, 7, 7], [1, 2, 2])(3, 16), [2, 2, 17, 15]),
        (padded([5, 7, 7], [2, 2, 2])(3, 8), [1, 8, 16, 16]),
        (
            Conv {
                groups: 4,
                ..padded([1, 3, 3], [1; 3])(16, 32)
            },
            [2, 1, 6, 6],
        ),
        (
            Conv {
                dilation: [1, 2, 2],
                pad: [0, 2, 2],
                pad_end: [0, 2, 2],
                ..padded([1, 3, 3], [1; 3])(8, 8)
            },
            [1, 1, 8, 8],
        ),
    ];
    for (conv, [n, t, h, w]) in shapes {
        let weight = [&[conv.co, conv.ci / conv.groups][..], &conv.kernel].concat();
        for bias in [false, true] {
            let mut op = ConvOp::new(conv, "w".into());
            op.bias = bias.then(|| "b".into());
            everywhere(&format!("{conv:?}"), |place| {
                place.step(&[("w", &weight), ("b", &[conv.co])], |step| {
                    let x = place.activation(1, &[n, t, h, w, conv.ci]);
                    let (y, stats) = op.forward(step, &x, true).unwrap();
                    let Stats { mean, var } = stats.unwrap();
                    let dy = place.activation(2, y.dims());
                    let dx = op.backward(step, &x, &dy, Dx::New).unwrap().unwrap();
                    let sum = place.activation(3, x.dims()).copy().unwrap();
                    assert!(op.backward(step, &x, &dy, Dx::AddTo(&sum)).unwrap().is_none());
                    // Twice the gradient now.
                    let dw = gradient(step, "w");
                    let mut found = vec![
                        ("y", y),
                        ("mean", mean),
                        ("var", var),
                        ("dx", dx),
                        ("dx added", sum),
                        ("dw", dw),
                    ];
                    if bias {
                        found.push(("db", gradient(step, "b")));
                    }
                    found
                })
            });
        }
    }
}

fn gradient(step: &Step<'_>, name: &str) -> Tensor {
    step.weights.grad(name).unwrap()
}

#[test]
fn same_padding() {
    let mut op = ConvOp::new(Conv::new_3d(1, [1; 3], 8, 16, [3, 3, 3], [1, 2, 2], [0; 3]), "w".into());
    op.same = true;
    everywhere("same padding", |place| {
        place.step(&[("w", &[16, 8, 3, 3, 3])], |step| {
            let x = place.activation(1, &[2, 3, 8, 7, 8]);
            let y = op.forward(step, &x, false).unwrap().0;
            let dy = place.activation(2, y.dims());
            let dx = op.backward(step, &x, &dy, Dx::New).unwrap().unwrap();
            vec![("y", y), ("dx", dx), ("dw", gradient(step, "w"))]
        })
    });
}

#[test]
fn batch_norms() {
    for (channels, relu, residual, batch) in [(16, true, false, true), (24, true, true, true), (5, false, true, false)]
    {
        everywhere(&format!("{channels} channels"), |place| {
            let shape = [2, 2, 5, 3, channels];
            let x = place.activation(1, &shape);
            let stats = Stats {
                mean: place.floats(2, &[channels]),
                var: (place.floats(3, &[channels]).sqr().unwrap() + 0.5).unwrap(),
            };
            let (gamma, beta) = (place.floats(4, &[channels]), place.floats(5, &[channels]));
            let affine = Affine {
                gamma: &gamma,
                beta: &beta,
                eps: 1e-5,
            };
            let added = residual.then(|| place.activation(6, &shape));
            let y = batch_norm::forward(&x, &stats, &affine, added.as_ref(), relu).unwrap();
            let dy = place.activation(7, &shape).copy().unwrap();
            let out = residual.then(|| y.clone());
            let grads = batch_norm::backward(batch, &x, dy, &stats, &affine, out.as_ref(), relu).unwrap();
            let moved = Stats {
                mean: place.floats(8, &[channels]),
                var: place.floats(9, &[channels]).abs().unwrap(),
            };
            batch_norm::update_running(&moved, &stats, 60, 0.1).unwrap();
            let mut found = vec![("y", y), ("dx", grads.x), ("dγ", grads.gamma), ("dβ", grads.beta)];
            found.extend(grads.residual.map(|r| ("residual", r)));
            found.extend([("running mean", moved.mean), ("running var", moved.var)]);
            found
        });
    }
}

#[test]
fn pooling() {
    for (max, size) in [
        (MaxPool::new([1, 3, 3], [1, 2, 2], [0, 1, 1]), [2, 3, 7, 8]),
        (MaxPool::new([1, 2, 2], [1, 2, 2], [0; 3]), [1, 2, 6, 4]),
        (MaxPool::same([3, 3, 3], [1, 1, 1]), [2, 3, 5, 4]),
        (MaxPool::same([2, 2, 2], [2, 2, 2]), [1, 4, 7, 7]),
    ] {
        everywhere(&format!("{max:?}"), |place| {
            let [n, t, h, w] = size;
            let x = place.activation(1, &[n, t, h, w, 16]);
            let (y, maxima) = max.forward(&x).unwrap();
            let dy = place.activation(2, y.dims());
            vec![("y", y), ("dx", maxima.backward(&dy).unwrap())]
        });
    }
    everywhere("mean", |place| {
        let x = place.activation(1, &[3, 2, 5, 4, 24]);
        let y = pool::mean(&x, 3).unwrap();
        assert_eq!(y.dtype(), DType::F32);
        let dx = pool::mean_backward(&place.floats(2, &[3, 24]), x.dims(), x.dtype()).unwrap();
        assert_eq!(dx.dtype(), x.dtype());
        vec![("y", y), ("dx", dx)]
    });
}

#[test]
fn shifts() {
    for (channels, fold) in [(16, 8), (20, 3)] {
        everywhere("shift", |place| {
            let shape = [2, 4, 3, 5, channels];
            let x = place.activation(1, &shape);
            let sum = place.activation(2, &shape).copy().unwrap();
            shift::backward_add(&x, fold, &sum).unwrap();
            let (y, dx) = (shift::forward(&x, fold).unwrap(), shift::backward(&x, fold).unwrap());
            vec![("y", y), ("dx", dx), ("dx added", sum)]
        });
    }
}

#[test]
fn matrices() {
    everywhere("linear", |place| {
        let op = LinearOp::new(20, 12, "w".into(), Some("b".into()));
        place.step(&[("w", &[12, 20]), ("b", &[12])], |step| {
            let x = place.floats(1, &[7, 20]);
            let y = op.forward(step, &x, true).unwrap();
            let dy = place.floats(2, &[7, 12]);
            let dx = op.backward(&mut step.weights, &x, &dy, true).unwrap().unwrap();
            vec![
                ("y", y),
                ("dx", dx),
                ("dw", gradient(step, "w")),
                ("db", gradient(step, "b")),
            ]
        })
    });
    everywhere("products", |place| {
        let (a, b, c) = (
            place.activation(1, &[3, 8, 16]),
            place.activation(2, &[3, 16, 24]),
            place.activation(3, &[3, 24, 16]),
        );
        let rows = place.floats(4, &[6, 10]);
        vec![
            ("a b", matmul::ab(&a, &b).unwrap()),
            ("a cᵀ", matmul::abt(&a, &c).unwrap()),
            ("bᵀ b", matmul::atb(&b, &b).unwrap()),
            ("rows rowsᵀ", linear::product(&rows, &rows).unwrap()),
        ]
    });
}

#[test]
fn losses() {
    everywhere("cross-entropy", |place| {
        let logits = place.floats(1, &[5, 7]);
        let (labels, weights) = ([0, 6, 3, 3, 1], [1.0, 0.0, 1.0, 1.0, 0.0]);
        let all = loss::cross_entropy(&logits, &labels, 0.1, None).unwrap();
        let some = loss::cross_entropy(&logits, &labels, 0.0, Some(&weights)).unwrap();
        let none = loss::cross_entropy(&logits, &labels, 0.0, Some(&[0.0; 5])).unwrap();
        vec![
            ("all", all.loss),
            ("gradient of all", all.grad),
            ("some", some.loss),
            ("gradient of some", some.grad),
            ("none", none.loss),
            ("gradient of none", none.grad),
            ("accuracy", loss::accuracy(&logits, &labels, None).unwrap()),
            (
                "accuracy of some",
                loss::accuracy(&logits, &labels, Some(&weights)).unwrap(),
            ),
            (
                "accuracy of none",
                loss::accuracy(&logits, &labels, Some(&[0.0; 5])).unwrap(),
            ),
        ]
    });
    everywhere("binary cross-entropy", |place| {
        let logits = place.floats(1, &[6, 1]);
        let targets = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
        let found = loss::bce_with_logits(&logits, &targets).unwrap();
        let accuracy = loss::binary_accuracy(&logits, &targets).unwrap();
        vec![("loss", found.loss), ("gradient", found.grad), ("accuracy", accuracy)]
    });
}

#[test]
fn masks_factors_and_bytes() {
    everywhere("dropout", |place| {
        let x = place.activation(1, &[9, 31]);
        vec![("y", dropout::dropout(Key::new(5), 0.3, &x).unwrap())]
    });
    everywhere("scaling", |place| {
        let x = place.activation(1, &[9, 31]);
        vec![("y", scale::scale(&x, -0.462).unwrap())]
    });
    for channels in [3, 2] {
        everywhere(&format!("normalisation of {channels} channels"), |place| {
            let bytes: Vec<u8> = (0..2 * 3 * 5 * 7 * channels).map(|i| (i * 37 % 256) as u8).collect();
            let clips = place.put(&Tensor::from_vec(bytes, (2, 3, 5, 7, channels), &Device::Cpu).unwrap());
            let ty = place.precision.activations();
            let (mean, std) = ([123.7, 116.3, 103.5], [58.4, 57.1, 57.4]);
            let y = normalize::normalize(&clips, &mean[..channels], &std[..channels], ty).unwrap();
            assert_eq!(y.dtype(), ty);
            vec![("y", y)]
        });
    }
}

#[test]
fn channels_side_by_side() {
    for widths in [[16, 8, 24], [3, 16, 5]] {
        everywhere(&format!("channels {widths:?}"), |place| {
            let parts: Vec<Tensor> = (0..3)
                .map(|i| place.activation(1 + i as u64, &[2, 1, 3, 4, widths[i]]))
                .collect();
            let all = channels::join(&parts).unwrap();
            let middle = channels::part(&all, widths[0], widths[1]).unwrap();
            vec![("all", all), ("the middle", middle)]
        });
    }
}

#[test]
fn the_optimiser() {
    for nesterov in [false, true] {
        everywhere("SGD", |place| {
            let shapes: [&[usize]; 3] = [&[7], &[3, 5], &[100, 33]];
            let made = |from: u64| -> Vec<Tensor> {
                let one = |(i, s): (usize, &&[usize])| place.floats(from + i as u64, s).copy().unwrap();
                shapes.iter().enumerate().map(one).collect()
            };
            let (weights, grads, momentum) = (made(10), made(20), made(30));
            let norm = sgd::norm(&grads.iter().collect::<Vec<_>>()).unwrap();
            for first in [true, false] {
                let parameters: Vec<_> = (0..shapes.len())
                    .map(|i| sgd::Parameter {
                        name: "w",
                        weight: &weights[i],
                        grad: &grads[i],
                        momentum: &momentum[i],
                        first,
                        lr_scale: 1.0 + i as f64,
                        weight_decay: 1e-2 * i as f64,
                    })
                    .collect();
                let settings = sgd::Sgd {
                    lr: 0.1,
                    momentum: 0.9,
                    nesterov,
                    clip_scale: 0.5,
                };
                sgd::step(&settings, &parameters).unwrap();
            }
            let norm = Tensor::new(norm, &Device::Cpu).unwrap();
            let mut found = vec![("norm", norm)];
            found.extend(weights.into_iter().map(|w| ("weight", w)));
            found.extend(momentum.into_iter().map(|m| ("momentum", m)));
            found
        });
    }
}

#[test]
fn adam_and_adamw() {
    for decoupled in [false, true] {
        everywhere("Adam", |place| {
            let shapes: [&[usize]; 3] = [&[7], &[3, 5], &[100, 33]];
            let made = |from: u64| -> Vec<Tensor> {
                let one = |(i, s): (usize, &&[usize])| place.floats(from + i as u64, s).copy().unwrap();
                shapes.iter().enumerate().map(one).collect()
            };
            let (weights, grads, first) = (made(10), made(20), made(30));
            let second: Vec<Tensor> = made(40).iter().map(|v| v.sqr().unwrap()).collect();
            let settings = adam::Adam {
                lr: 0.1,
                betas: [0.9, 0.99],
                eps: 1e-3,
                decoupled,
                clip_scale: 0.5,
            };
            for t in [1, 2, 7] {
                let parameters: Vec<_> = (0..shapes.len())
                    .map(|i| adam::Parameter {
                        name: "w",
                        weight: &weights[i],
                        grad: &grads[i],
                        first: &first[i],
                        second: &second[i],
                        t: t + i as u64,
                        lr_scale: 1.0 + i as f64,
                        weight_decay: 1e-2 * i as f64,
                    })
                    .collect();
                assert_eq!(adam::step(&settings, &parameters).unwrap(), None);
            }
            let mut found: Vec<_> = weights.into_iter().map(|w| ("weight", w)).collect();
            found.extend(first.into_iter().map(|m| ("first moment", m)));
            found.extend(second.into_iter().map(|v| ("second moment", v)));
            found
        });
    }
}
