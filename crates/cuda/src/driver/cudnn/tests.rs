//! Plans for an H100, made by the real cuDNN without a device: which attributes there are and of which types, whether the
//! layers of the networks have plans in every pass and precision, and what these are. It cannot run them.

use super::conv::Precision;
use super::descriptor::{Descriptor, Fault};
use super::engines::{MODES, Plan};
use super::problem::{Pass, Problem};
use super::target::Target;
use super::{Limits, MIB, shortlist};
use cudarc::cudnn::sys::cudnnBackendAttributeName_t::CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION;
use cudarc::cudnn::sys::cudnnBackendDescriptorType_t::CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR;
use glad_ops::Conv;

/// An H100 (SXM), as `cudaGetDeviceProperties` describes it, with the properties that cuDNN 9.28 requires (it reports one that is
/// missing).
const H100: &std::ffi::CStr = cr#"{
    "cudaDeviceId": 0, "deviceVer": 900, "driverVer": 13000, "deviceName": "NVIDIA H100 80GB HBM3",
    "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64], "regsPerBlock": 65536,
    "multiProcessorCount": 132, "smCountOrigin": 0, "warpSize": 32, "maxSharedMemoryPerBlock": 49152,
    "maxSharedMemoryPerBlockOptin": 232448, "oversizedSharedMemoryPerBlock": 0, "reservedSharedMemoryPerBlock": 1024,
    "maxRegistersPerSM": 65536, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048,
    "pciDeviceId": 0, "isTccDriver": 0, "supportCoopLaunch": 1, "smClockRateKHz": 1980000, "memClockRateKHz": 2619000,
    "memoryBusWidth": 5120, "l2CacheSize": 52428800, "totalGlobalMem": 85045280768
}"#;

fn h100() -> Fault<Target> {
    Descriptor::new(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)?
        .text(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, H100)?
        .finish()
        .map(Target::Described)
}

/// The convolutions of a ResNet-50 on clips of `frames` frames of 224 × 224. `inflated` gives the number of frames that the first
/// convolution of each bottleneck covers; without it, each frame is separate (TSM).
fn resnet50(clips: usize, frames: usize, inflated: Option<[&[usize]; 4]>) -> Vec<Conv> {
    let solid = inflated.is_some();
    let mut all = vec![match solid {
        true => Conv::new_3d(clips, [frames, 224, 224], 3, 64, [5, 7, 7], [2; 3], [2, 3, 3]),
        false => Conv::new_3d(clips, [frames, 224, 224], 3, 64, [1, 7, 7], [1, 2, 2], [0, 3, 3]),
    }];
    // The stem and the pooling after it halve the size; time is halved once more after the first layer.
    let mut time = if solid { frames / 4 } else { frames };
    let mut side = 56;
    let mut ci = 64;
    for (layer, blocks) in [3, 4, 6, 3].into_iter().enumerate() {
        let width = 64 << layer;
        for i in 0..blocks {
            let step = if i == 0 && layer > 0 { 2 } else { 1 };
            let taps = inflated.map_or(1, |table| table[layer][i]);
            let conv = |side: usize, ci, co, kernel, stride: usize| {
                let [kt, k, _] = kernel;
                let pad = [kt / 2, k / 2, k / 2];
                Conv::new_3d(clips, [time, side, side], ci, co, kernel, [1, stride, stride], pad)
            };
            all.push(conv(side, ci, width, [taps, 1, 1], 1));
            all.push(conv(side, width, width, [1, 3, 3], step));
            all.push(conv(side / step, width, 4 * width, [1, 1, 1], 1));
            if i == 0 {
                all.push(conv(side, ci, 4 * width, [1, 1, 1], step));
            }
            side /= step;
            ci = 4 * width;
        }
        if solid && layer == 0 {
            time = (time / 2).max(1);
        }
    }
    all
}

fn problem(conv: Conv, pass: Pass, precision: Precision) -> Problem {
    Problem {
        pass,
        conv,
        precision,
        alignment: 16,
        deterministic: true,
    }
}

const LIMITS: Limits = Limits {
    plans: 10,
    workspace: 1024 * MIB,
};

fn plans(problem: &Problem, target: &Target) -> Fault<Vec<Plan>> {
    let mut why = String::new();
    for mode in 0..MODES.len() {
        match shortlist(problem, target, mode, LIMITS, &mut why) {
            Ok(plans) => return Ok(plans),
            Err(e) => why = e,
        }
    }
    Err(format!("{problem}: {why}"))
}

const PASSES: [Pass; 4] = [
    Pass::Forward,
    Pass::Input { accumulate: false },
    Pass::Input { accumulate: true },
    Pass::Weight,
];

/// The paper's batch: 24 videos, 3 clips of 8 frames, 2 streams.
const CLIPS: usize = 24 * 3 * 2;

#[test]
#[ignore = "needs cuDNN's libraries, and no device: tools/gpu/check.sh runs it"]
fn every_layer_has_plans_in_every_pass_and_precision() {
    let target = h100().unwrap();
    let i3d: [&[usize]; 4] = [&[3, 3, 3], &[3, 1, 3, 1], &[3, 1, 3, 1, 3, 1], &[1, 3, 1]];
    let mut layers = resnet50(CLIPS, 8, None);
    layers.extend(resnet50(CLIPS, 8, Some(i3d)));
    layers.extend(resnet50(CLIPS / 4, 8, None));
    let mut seen = std::collections::HashSet::new();
    for conv in layers {
        for pass in PASSES {
            for precision in [Precision::Bf16, Precision::Tf32, Precision::F32] {
                let problem = problem(conv, pass, precision);
                // The gradient of the images is not needed.
                if !seen.insert(problem) || (conv.ci == 3 && matches!(pass, Pass::Input { .. })) {
                    continue;
                }
                let plans = plans(&problem, &target).unwrap();
                assert!(plans.iter().all(|p| p.workspace <= LIMITS.workspace), "{problem}");
                // Layout and alignment allow tensor cores, and they are not used where forbidden.
                let tensor_cores = plans.iter().any(|p| p.tensor_cores);
                match precision {
                    Precision::Bf16 => assert!(tensor_cores, "{problem}"),
                    // Three channels of 32 bits are copied into padded ones, for which this batch has no room.
                    Precision::Tf32 => assert!(tensor_cores || conv.ci == 3, "{problem}"),
                    Precision::F32 => assert!(!tensor_cores, "{problem}"),
                }
                if std::env::var_os("GLAD_SHOW_PLANS").is_some() {
                    let of: Vec<String> = plans
                        .iter()
                        .map(|p| format!("{}/{}M", p.engine, p.workspace / MIB))
                        .collect();
                    println!("{problem}: {}", of.join(" "));
                }
            }
        }
    }
    assert!(seen.len() > 300, "{} problems", seen.len());
}

#[test]
#[ignore = "needs cuDNN's libraries, and no device: tools/gpu/check.sh runs it"]
fn odd_convolutions_have_plans_too() {
    let target = h100().unwrap();
    let base = Conv::new_3d(4, [8, 30, 26], 24, 40, [3, 3, 3], [1; 3], [1; 3]);
    let odd = [
        base,
        // TensorFlow's "same".
        Conv {
            stride: [2; 3],
            pad: [0; 3],
            pad_end: [1; 3],
            ..base
        },
        Conv { groups: 8, ..base },
        Conv {
            dilation: [1, 2, 3],
            ..base
        },
        // Channels that no vector fits.
        Conv { ci: 7, co: 5, ..base },
        Conv::new_2d(3, [9, 11], 5, 6, 3, 2, 1),
        Conv::new_2d(1, [1, 1], 8, 8, 1, 1, 0),
    ];
    for conv in odd {
        conv.validate().unwrap();
        for pass in PASSES {
            for precision in [Precision::Bf16, Precision::Tf32, Precision::F32] {
                for alignment in [16, 4] {
                    let problem = Problem {
                        alignment,
                        ..problem(conv, pass, precision)
                    };
                    plans(&problem, &target).unwrap();
                }
            }
        }
    }
}

#[test]
#[ignore = "needs cuDNN's libraries, and no device: tools/gpu/check.sh runs it"]
fn the_same_bits_cost_nothing_on_tensor_cores() {
    let target = h100().unwrap();
    for conv in resnet50(CLIPS, 8, None) {
        for pass in PASSES {
            let strict = problem(conv, pass, Precision::Bf16);
            let free = Problem {
                deterministic: false,
                ..strict
            };
            let of = |p: &Problem| {
                plans(p, &target)
                    .unwrap()
                    .iter()
                    .map(|p| (p.rank, p.engine))
                    .collect::<Vec<_>>()
            };
            assert_eq!(of(&strict), of(&free), "{strict}");
        }
    }
}

#[test]
#[ignore = "needs cuDNN's libraries, and no device: tools/gpu/check.sh runs it"]
fn what_cudnn_refuses_is_reported_with_its_reason() {
    let target = h100().unwrap();
    // More input channels than the weights have.
    let wrong = Conv {
        ci: 48,
        groups: 5,
        ..Conv::new_2d(1, [8, 8], 48, 40, 3, 1, 1)
    };
    let why = plans(&problem(wrong, Pass::Forward, Precision::Bf16), &target)
        .err()
        .unwrap();
    assert!(why.contains("8x8x48") && why.contains("cuDNN refused"), "{why}");
}
