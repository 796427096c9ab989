//! With how many bits the compute side computes.

use candle_core::{DType, DeviceLocation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// With how many bits a GPU computes. Weights, their gradients, the statistics of batch norm, heads, losses and the
/// optimiser are 32-bit numbers under all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Inside backbones, activations and their gradients are bfloat16 (8 bits of precision, the range of f32), and
    /// products are summed in f32.
    Bf16,
    /// All numbers are f32, but the factors of products may be rounded to TF32 (11 bits of precision, the range of f32).
    Tf32,
    /// All numbers are f32.
    #[default]
    F32,
}

impl Precision {
    /// All of them.
    pub const ALL: [Precision; 3] = [Precision::Bf16, Precision::Tf32, Precision::F32];

    /// What it is called in graphs.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Bf16 => "bf16",
            Precision::Tf32 => "tf32",
            Precision::F32 => "f32",
        }
    }

    /// What is really computed with where this is asked for: the CPU has f32 alone.
    pub fn on(self, device: DeviceLocation) -> Precision {
        match device {
            DeviceLocation::Cpu => Precision::F32,
            _ => self,
        }
    }

    /// What numbers inside a backbone are, and clips that have been normalised for one.
    pub fn activations(self) -> DType {
        match self {
            Precision::Bf16 => DType::BF16,
            Precision::Tf32 | Precision::F32 => DType::F32,
        }
    }

    /// Bytes of a number inside a backbone.
    pub fn activation_bytes(self) -> u64 {
        self.activations().size_in_bytes() as u64
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_files() {
        for p in Precision::ALL {
            assert_eq!(serde_json::to_value(p).unwrap(), p.name());
        }
    }

    #[test]
    fn the_cpu_computes_in_f32() {
        for p in Precision::ALL {
            assert_eq!(p.on(DeviceLocation::Cpu), Precision::F32);
        }
    }
}
