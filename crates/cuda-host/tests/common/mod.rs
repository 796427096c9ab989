//! Shared by the tests: values from a seed, operands on a device, and tolerances.
#![allow(dead_code, reason = "each test takes a part of it")]

#[cfg(feature = "gpu")]
mod gpu;

use glad_cuda::{In, Number, Out};
#[cfg(not(feature = "gpu"))]
pub(crate) use glad_cuda_host::{Host, HostMemory};
#[cfg(feature = "gpu")]
pub(crate) use gpu::{Host, HostMemory};
use half::bf16;
use proptest::prelude::*;

/// `len` values from −1 to 1.
pub(crate) fn values(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let mut next = || {
        // SplitMix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    (0..len)
        .map(|_| (next() >> 40) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

/// `len` bytes.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    values(seed, len).iter().map(|v| ((v + 1.0) * 127.99) as u8).collect()
}

/// The layout of activations on a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub number: Number,
    /// Values in front, so that the rest is not aligned to 16 bytes.
    pub skip: usize,
}

pub(crate) const F32: Kind = Kind {
    number: Number::F32,
    skip: 0,
};
pub(crate) const BF16: Kind = Kind {
    number: Number::Bf16,
    skip: 0,
};

/// All kinds.
pub(crate) fn kinds() -> impl Strategy<Value = Kind> {
    (prop::bool::ANY, prop::bool::weighted(0.2)).prop_map(|(wide, skips)| Kind {
        number: if wide { Number::F32 } else { Number::Bf16 },
        skip: skips.into(),
    })
}

/// Few and many channels, multiples of a vector and others.
pub(crate) fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 1usize..20, 6 => (1usize..40).prop_map(|n| n * 8), 1 => 257usize..300]
}

impl Kind {
    /// The values rounded to its type.
    pub(crate) fn rounded(self, values: Vec<f32>) -> Vec<f32> {
        match self.number {
            Number::Bf16 => values.into_iter().map(|v| bf16::from_f32(v).to_f32()).collect(),
            _ => values,
        }
    }

    /// Copies these values to the device.
    pub(crate) fn put(self, host: &Host, values: &[f32]) -> Operand {
        let all = || std::iter::repeat_n(&0.0, self.skip).chain(values);
        let memory = match self.number {
            Number::Bf16 => host.put(&all().map(|v| bf16::from_f32(*v)).collect::<Vec<_>>()),
            _ => host.put(&all().copied().collect::<Vec<_>>()),
        };
        Operand { memory, kind: self }
    }

    /// Allocates as many, filled with NaN.
    pub(crate) fn room(self, host: &Host, len: usize) -> Operand {
        self.put(host, &vec![f32::NAN; len])
    }

    /// Asserts that results on the device match the CPU's, to the rounding of the type and `1e-5` of the terms that the result is
    /// made of, whose magnitude is `scale`.
    #[track_caller]
    pub(crate) fn assert_near(self, name: &str, got: &[f32], expected: &[f32], scale: f32) {
        assert_eq!(got.len(), expected.len(), "{name}");
        let most = expected
            .iter()
            .fold(scale, |m, e| if e.is_finite() { m.max(e.abs()) } else { m });
        let share = if self.number == Number::Bf16 { 1.0 / 256.0 } else { 0.0 };
        for (i, (g, e)) in got.iter().zip(expected).enumerate() {
            let near = (g - e).abs() <= 1e-5 * most + share * e.abs();
            assert!(
                near || g == e || (g.is_nan() && e.is_nan()),
                "{name}[{i}]: {g}, and on the CPU {e} ({self:?})"
            );
        }
    }
}

/// Activations on a device.
pub(crate) struct Operand {
    memory: HostMemory,
    kind: Kind,
}

impl Operand {
    pub(crate) fn read(&self) -> In<'_> {
        self.memory.input_from(self.kind.skip)
    }

    pub(crate) fn write(&mut self) -> Out<'_> {
        self.memory.output_from(self.kind.skip)
    }

    pub(crate) fn get(&self) -> Vec<f32> {
        let skip = self.kind.skip;
        match self.kind.number {
            Number::Bf16 => self.memory.numbers::<bf16>()[skip..]
                .iter()
                .map(|v| v.to_f32())
                .collect(),
            _ => self.memory.numbers::<f32>()[skip..].to_vec(),
        }
    }
}

/// The result of a computation, checked not to depend on the order in which threads run.
#[track_caller]
pub(crate) fn on_host<const N: usize>(run: impl Fn(&Host) -> glad_cuda::Result<[Vec<f32>; N]>) -> [Vec<f32>; N] {
    let forward = run(&Host::new()).unwrap();
    let backward = run(&Host::reversed()).unwrap();
    for (a, b) in forward.iter().zip(&backward) {
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(a), bits(b), "the order of threads matters");
    }
    forward
}
