//! Recorded passes give the same bits as unrecorded ones.

use super::*;
use crate::model::block::Block;
use crate::model::conv_bn::ConvBn;
use crate::model::mixed::Mixed;
use crate::model::non_local::NonLocal;
use crate::op::pool::MaxPool;
use crate::testing::{device, normal};
use crate::{Key as Draw, Scope, WeightStore};
use candle_core::{Device, DeviceLocation, Tensor};

/// The GPU of the tests, if there is one, for one test at a time, on their own stream: work that other
/// tests queue on theirs meanwhile is not recorded. It is never dropped, which would wait for the whole device, nor created while
/// another test records, which would, too.
fn cuda() -> Option<MutexGuard<'static, Device>> {
    static GPU: OnceLock<Option<Mutex<Device>>> = OnceLock::new();
    let made = || match device().location() {
        DeviceLocation::Cuda { gpu_id } => Some(Mutex::new(Device::new_cuda_with_stream(gpu_id).unwrap())),
        _ => None,
    };
    let cuda = GPU.get_or_init(made).as_ref()?;
    Some(cuda.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn network(recompute: bool) -> Sequence {
    Sequence {
        parts: vec![
            Box::new(ConvBn::flat("stem", 3, 8, 3, 2, true)),
            Box::new(MaxPool::new([1, 2, 2], [1, 2, 2], [0; 3])),
            Box::new(Block::bottleneck("first", 8, 4, 1).shifted(4)),
            Box::new(Block::basic("second", 16, 8, 2)),
            Box::new(NonLocal::new("third", 8)),
            Box::new(Mixed::new("fourth", 8, [4, 2, 4, 2, 3, 5])),
        ],
        channels: 3,
        features: 16,
        recompute,
    }
}

/// Training of a network, recorded or not.
struct Trained {
    network: Sequence,
    recordings: Recordings,
    device: Device,
    store: WeightStore,
    precision: Precision,
    record: bool,
    /// The bits of all results.
    bits: Vec<Vec<u32>>,
}

impl Trained {
    fn new(device: &Device, precision: Precision, recompute: bool, record: bool) -> Trained {
        let network = network(recompute);
        let mut store = WeightStore::default();
        store.declare("node", &network.weights(), Draw::new(1), device).unwrap();
        Trained {
            network,
            recordings: Recordings::default(),
            device: device.clone(),
            store,
            precision,
            record,
            bits: vec![],
        }
    }

    fn keep(&mut self, t: &Tensor) {
        let values: Vec<f32> = t.flatten_all().unwrap().to_vec1().unwrap();
        self.bits.push(values.into_iter().map(f32::to_bits).collect());
    }

    /// A step of several calls, whose forward passes all come before the backward passes; `asked`: which of these run.
    fn step(&mut self, seed: u64, asked: [bool; 2]) {
        let device = self.device.clone();
        let mut step = Step {
            weights: Scope::new(&mut self.store, "node"),
            key: Draw::new(2),
            training: true,
            progress: 0.0,
            step: 0,
            wants: &[false],
            backward: true,
            again: false,
            average: None,
            record: self.record,
            device: &device,
            precision: self.precision,
        };
        let mut calls = vec![];
        for i in 0..2 {
            let clips = normal(10 * seed + i, &[2, 4, 16, 16, 3]);
            let clips = clips.to_device(&Device::Cpu).unwrap().to_device(&device).unwrap();
            let open = self.recordings.forward(&self.network, &mut step, &clips).unwrap();
            let call = match open {
                Some((feature, open)) => (feature, Ok(open)),
                None => {
                    let clips = clips.to_dtype(self.precision.activations()).unwrap();
                    let (feature, kept) = self.network.forward(&mut step, &clips).unwrap();
                    (feature, Err(kept.unwrap()))
                }
            };
            calls.push(call);
        }
        let mut features = vec![];
        for ((feature, call), asked) in calls.into_iter().zip(asked).rev() {
            let grad = feature.affine(0.3, 0.1).unwrap();
            features.push(feature);
            match call {
                _ if !asked => {}
                Ok(open) => open.backward(&self.network, &mut step, &grad).unwrap(),
                Err(kept) => {
                    self.network.backward(&mut step, kept, &grad, false).unwrap();
                    self.recordings
                        .ran(&self.network, &step, &[1, 2, 4, 16, 16, 3])
                        .unwrap();
                }
            }
        }
        for feature in &features {
            self.keep(feature);
        }
        self.update();
    }

    /// Keeps gradients and statistics, and changes the weights in place.
    fn update(&mut self) {
        let gpu = Gpu::at(&self.device).unwrap().unwrap();
        let mut kept = vec![];
        for (_, w) in self.store.iter() {
            match &w.grad {
                Some(grad) => {
                    let next = (&w.value - (grad * 0.1).unwrap()).unwrap();
                    gpu.copy_into(&next, &w.value).unwrap();
                    kept.push(grad.clone());
                }
                None => kept.push(w.value.clone()),
            }
        }
        kept.iter().for_each(|t| self.keep(t));
        for (_, w) in self.store.iter_mut() {
            w.grad = None;
            w.version += 1;
        }
    }

    fn made(&self) -> usize {
        self.recordings.shapes.lock().unwrap().made
    }
}

#[test]
fn what_is_recorded_gives_the_same_bits() {
    let Some(device) = cuda() else { return };
    for (precision, recompute) in [
        (Precision::F32, false),
        (Precision::F32, true),
        (Precision::Bf16, false),
    ] {
        let mut ran = [false, true].map(|record| Trained::new(&device, precision, recompute, record));
        for trained in &mut ran {
            for seed in 0..3 {
                trained.step(seed, [true, true]);
            }
            // A call without a backward pass, and a step without any, leave nothing behind.
            for (seed, asked) in [
                (3, [true, false]),
                (4, [false, false]),
                (5, [false, true]),
                (6, [true, true]),
            ] {
                trained.step(seed, asked);
            }
            // Gradient accumulation over parts of a batch continues the same sums.
            let before = trained.store.iter().next().map(|(name, _)| name.clone()).unwrap();
            let w = trained.store.get_mut(&before).unwrap();
            w.grad = Some(w.value.ones_like().unwrap());
            trained.step(7, [true, true]);
        }
        let [plain, recorded] = ran;
        assert_eq!((plain.made(), recorded.made()), (0, 2));
        for (i, (a, b)) in plain.bits.iter().zip(&recorded.bits).enumerate() {
            assert!(
                a == b,
                "{precision}, recompute {recompute}: what came out as number {i} differs"
            );
        }
    }
}

#[test]
fn another_shape_or_weight_is_another_recording() {
    let Some(device) = cuda() else { return };
    let mut trained = Trained::new(&device, Precision::F32, false, true);
    trained.step(0, [true, true]);
    trained.step(1, [true, true]);
    assert_eq!(trained.made(), 2);
    let (name, w) = trained
        .store
        .iter_mut()
        .next()
        .map(|(n, w)| (n.clone(), w.clone()))
        .unwrap();
    trained.store.insert(name, w.spec, w.value.copy().unwrap());
    trained.step(2, [true, true]);
    assert_eq!(trained.made(), 2, "it has not run with this weight");
    trained.step(3, [true, true]);
    assert_eq!(trained.made(), 4);
}

#[test]
fn what_nobody_asks_back_is_recorded_once() {
    let Some(device) = cuda() else { return };
    let ran = [false, true].map(|record| {
        let mut trained = Trained::new(&device, Precision::F32, false, record);
        for (seed, asked) in [(0, true), (1, false), (2, false), (3, true)] {
            trained.step(seed, [asked; 2]);
        }
        trained
    });
    assert_eq!(ran.each_ref().map(Trained::made), [0, 2]);
    assert!(ran[0].bits == ran[1].bits);
}
