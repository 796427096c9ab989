//! Optimiser steps over many parameters, against the CPU's one by one.

mod common;
use common::{F32, Host, Kind, Operand, on_host, values};
use glad_cuda::Value;
use glad_cuda::sgd::{Parameter, Sgd, clip, step};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Case {
    /// Length, learning rate's scale, weight decay, whether it is the first step.
    parameters: Vec<(usize, f32, f32, bool)>,
    momentum: f32,
    nesterov: bool,
    clip_scale: Option<f32>,
    skip: usize,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let len = prop_oneof![6 => 0usize..40, 1 => 4000usize..9000];
    let parameter = (len, 0.0f32..2.0, 0.0f32..0.1, any::<bool>());
    // More than a table holds.
    let parameters = prop_oneof![3 => prop::collection::vec(parameter.clone(), 0..12), 1 => prop::collection::vec(parameter, 78..170)];
    let momentum = prop_oneof![Just(0.0f32), Just(0.9f32)];
    (
        parameters,
        momentum,
        any::<bool>(),
        prop::option::of(0.1f32..1.0),
        0usize..2,
        any::<u64>(),
    )
        .prop_map(|(parameters, momentum, nesterov, clip_scale, skip, seed)| Case {
            parameters,
            momentum,
            nesterov,
            clip_scale,
            skip,
            seed,
        })
}

impl Case {
    fn numbers(&self, which: u64) -> Vec<Vec<f32>> {
        let of = |(i, p): (usize, &(usize, f32, f32, bool))| values(self.seed ^ (3 * i as u64 + which), p.0);
        self.parameters.iter().enumerate().map(of).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn steps(case in cases()) {
        let (mut weights, grads, mut buffers) = (case.numbers(0), case.numbers(1), case.numbers(2));
        // A buffer's contents before the first step must not enter the result.
        for (buffer, parameter) in buffers.iter_mut().zip(&case.parameters) {
            if parameter.3 {
                buffer.fill(f32::NAN);
            }
        }
        let [before, buffers_before] = [&weights, &buffers].map(|v| v.clone());
        for (i, &(_, lr_scale, weight_decay, first)) in case.parameters.iter().enumerate() {
            let sgd = glad_ops::Sgd {
                lr: 0.1 * lr_scale,
                momentum: case.momentum,
                weight_decay,
                nesterov: case.nesterov,
                clip_scale: case.clip_scale.unwrap_or(1.0),
            };
            sgd.step(first, &grads[i], &mut buffers[i], &mut weights[i]).unwrap();
        }
        let kind = Kind { skip: case.skip, ..F32 };
        let run = |lr_on_device: bool| on_host(|host| {
            let put = |all: &[Vec<f32>]| -> Vec<Operand> { all.iter().map(|v| kind.put(host, v)).collect() };
            let (mut w, g, mut b) = (put(&before), put(&grads), put(&buffers_before));
            let (lr, scale) = (F32.put(host, &[0.1]), case.clip_scale.map(|s| F32.put(host, &[s])));
            let sgd = Sgd {
                lr: if lr_on_device { Value::Device(lr.read()) } else { Value::Host(0.1) },
                clip_scale: scale.as_ref().map(|s| s.read()),
                momentum: case.momentum,
                nesterov: case.nesterov,
            };
            let mut parameters: Vec<Parameter<'_>> = vec![];
            for (((w, g), b), p) in w.iter_mut().zip(&g).zip(&mut b).zip(&case.parameters) {
                let &(_, lr_scale, weight_decay, first) = p;
                parameters.push(Parameter {
                    weights: w.write(), grad: g.read(), buffer: b.write(), lr_scale, weight_decay, first,
                });
            }
            step(host, &sgd, &mut parameters)?;
            drop(parameters);
            Ok([&w, &b].map(|all| all.iter().flat_map(Operand::get).collect()))
        });
        let [w, b] = run(false);
        let same = run(true);
        prop_assert_eq!(&w, &same[0]);
        F32.assert_near("weights", &w, &weights.concat(), 1.0);
        F32.assert_near("buffers", &b, &buffers.concat(), 1.0);
    }

    #[test]
    fn norms(case in cases(), max in prop::option::of(0.1f32..20.0)) {
        let grads = case.numbers(1);
        let sum: f64 = grads.iter().map(|g| glad_ops::sgd::squared_norm(g)).sum();
        let expected = sum.sqrt();
        let scale = match max {
            Some(max) if expected > f64::from(max) => f64::from(max) / (expected + 1e-6),
            _ => 1.0,
        };
        let kind = Kind { skip: case.skip, ..F32 };
        let got = on_host(|host| {
            let grads: Vec<Operand> = grads.iter().map(|g| kind.put(host, g)).collect();
            let grads: Vec<_> = grads.iter().map(Operand::read).collect();
            let (mut norm, mut scale) = (F32.room(host, 1), F32.room(host, 1));
            clip(host, &grads, max, norm.write(), scale.write())?;
            Ok([norm.get(), scale.get()])
        });
        // Sums are taken in f64 on both sides.
        let near = |a: f32, b: f64| (f64::from(a) - b).abs() <= 1e-6 * b.max(1e-3);
        prop_assert!(near(got[0][0], expected), "{} {expected}", got[0][0]);
        prop_assert!(near(got[1][0], scale), "{} {scale}", got[1][0]);
    }
}

#[test]
fn a_norm_that_is_no_number_stays_so() {
    let host = Host::new();
    let (g, mut norm, mut scale) = (F32.put(&host, &[1.0, f32::NAN]), F32.room(&host, 1), F32.room(&host, 1));
    clip(&host, &[g.read()], Some(1.0), norm.write(), scale.write()).unwrap();
    assert!(norm.get()[0].is_nan());
}

#[test]
fn mistakes_are_reported() {
    let host = Host::new();
    let (mut w, g, mut b) = (F32.room(&host, 4), F32.room(&host, 4), F32.room(&host, 3));
    let mut parameter = Parameter {
        weights: w.write(),
        grad: g.read(),
        buffer: b.write(),
        lr_scale: 1.0,
        weight_decay: 0.0,
        first: true,
    };
    let mut sgd = Sgd {
        lr: Value::Host(0.1),
        clip_scale: None,
        momentum: 0.9,
        nesterov: false,
    };
    let e = step(&host, &sgd, std::slice::from_mut(&mut parameter))
        .unwrap_err()
        .to_string();
    assert_eq!(e, "sgd: `buffer` holds 3 values, but 4 are expected");
    // Without momentum no buffer is needed.
    sgd.momentum = 0.0;
    step(&host, &sgd, std::slice::from_mut(&mut parameter)).unwrap();
    let short = F32.room(&host, 2);
    parameter.grad = short.read();
    let e = step(&host, &sgd, &mut [parameter]).unwrap_err().to_string();
    assert_eq!(e, "sgd: `grad` holds 2 values, but 4 are expected");
}
