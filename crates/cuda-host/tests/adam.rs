//! Steps of Adam and AdamW over many parameters, against the CPU's one by one.

mod common;
use common::{F32, Host, Kind, Operand, on_host, values};
use glad_cuda::adam::{Parameter, step};
use glad_ops::Adam;
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Case {
    /// Length, learning rate's scale, weight decay, which step it is.
    parameters: Vec<(usize, f64, f64, u64)>,
    decoupled: bool,
    clip_scale: f64,
    skip: usize,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let len = prop_oneof![6 => 0usize..40, 1 => 4000usize..9000];
    let parameter = (len, 0.0f64..2.0, 0.0f64..0.1, prop_oneof![1u64..5, 1000u64..100_000]);
    // More than a table holds.
    let parameters = prop_oneof![3 => prop::collection::vec(parameter.clone(), 0..12), 1 => prop::collection::vec(parameter, 62..140)];
    (parameters, any::<bool>(), 0.1f64..1.0, 0usize..2, any::<u64>()).prop_map(
        |(parameters, decoupled, clip_scale, skip, seed)| Case {
            parameters,
            decoupled,
            clip_scale,
            skip,
            seed,
        },
    )
}

impl Case {
    fn numbers(&self, which: u64) -> Vec<Vec<f32>> {
        let of = |(i, p): (usize, &(usize, f64, f64, u64))| values(self.seed ^ (4 * i as u64 + which), p.0);
        self.parameters.iter().enumerate().map(of).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn steps(case in cases()) {
        let (mut weights, grads, mut first) = (case.numbers(0), case.numbers(1), case.numbers(2));
        let mut second: Vec<Vec<f32>> = case.numbers(3).iter().map(|v| v.iter().map(|x| x * x).collect()).collect();
        let before = [&weights, &first, &second].map(|v| v.clone());
        let common = Adam {
            lr: 0.01,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled: case.decoupled,
            clip_scale: case.clip_scale,
        };
        for (i, &(_, lr_scale, weight_decay, t)) in case.parameters.iter().enumerate() {
            let adam = Adam { lr: common.lr * lr_scale, weight_decay, ..common };
            adam.step(t, &grads[i], &mut first[i], &mut second[i], &mut weights[i]).unwrap();
        }
        let kind = Kind { skip: case.skip, ..F32 };
        let [w, m, s] = on_host(|host| {
            let put = |all: &[Vec<f32>]| -> Vec<Operand> { all.iter().map(|v| kind.put(host, v)).collect() };
            let ([mut w, mut m, mut s], g) = (before.each_ref().map(|v| put(v)), put(&grads));
            let mut parameters: Vec<Parameter<'_>> = vec![];
            let all = w.iter_mut().zip(&g).zip(&mut m).zip(&mut s).zip(&case.parameters);
            for ((((w, g), m), s), &(_, lr_scale, weight_decay, t)) in all {
                parameters.push(Parameter {
                    weights: w.write(), grad: g.read(), first: m.write(), second: s.write(), t, lr_scale, weight_decay,
                });
            }
            step(host, &common, &mut parameters)?;
            drop(parameters);
            Ok([&w, &m, &s].map(|all| all.iter().flat_map(Operand::get).collect::<Vec<f32>>()))
        });
        F32.assert_near("weights", &w, &weights.concat(), 1.0);
        F32.assert_near("first moments", &m, &first.concat(), 1.0);
        F32.assert_near("second moments", &s, &second.concat(), 1.0);
    }
}

#[test]
fn mistakes_are_reported() {
    let host = Host::new();
    let adam = Adam {
        lr: 0.1,
        betas: [0.9, 0.999],
        eps: 1e-8,
        weight_decay: 0.0,
        decoupled: false,
        clip_scale: 1.0,
    };
    let message = |lengths: [usize; 3]| {
        let mut w = F32.room(&host, 4);
        let [g, mut m, mut s] = lengths.map(|n| F32.room(&host, n));
        let parameter = Parameter {
            weights: w.write(),
            grad: g.read(),
            first: m.write(),
            second: s.write(),
            t: 1,
            lr_scale: 1.0,
            weight_decay: 0.0,
        };
        step(&host, &adam, &mut [parameter]).unwrap_err().to_string()
    };
    assert_eq!(message([2, 4, 4]), "adam: `grad` holds 2 values, but 4 are expected");
    assert_eq!(message([4, 3, 4]), "adam: `first` holds 3 values, but 4 are expected");
    assert_eq!(message([4, 4, 5]), "adam: `second` holds 5 values, but 4 are expected");
}
