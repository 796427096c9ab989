//! What only a GPU can test: that convolutions by cuDNN compute what the CPU's kernels do, that copies and launches keep
//! their order, and that memory and time are counted. Ignored without a GPU: run with `--include-ignored` on one.

mod record;

use cudarc::driver::{CudaContext, CudaSlice, CudaStream, DeviceRepr};
use glad_cuda::driver::conv::{self, Precision};
use glad_cuda::driver::{CudaGpu, CudaMemory, Timer, Upload};
use glad_cuda::{Arg, Gpu, Launch, Memory, Number};
use glad_ops::{Conv, Epilogue, PackedWeights, conv as cpu};
use half::bf16;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

static STREAM: LazyLock<Arc<CudaStream>> =
    LazyLock::new(|| CudaContext::new(0).expect("a GPU").new_stream().expect("a stream"));

/// For the tests that reset the peaks of the device's memory.
static PEAK: Mutex<()> = Mutex::new(());

fn gpu() -> CudaGpu {
    CudaGpu::of(&STREAM).expect("the GPU")
}

fn to_device<T: DeviceRepr>(values: &[T]) -> CudaSlice<T> {
    STREAM.clone_htod(values).expect("a copy to the GPU")
}

fn to_host<T: DeviceRepr + Clone + Default>(slice: &CudaSlice<T>) -> Vec<T> {
    STREAM.clone_dtoh(slice).expect("a copy from the GPU")
}

/// Pseudorandom numbers between -1 and 1, the same on every machine.
fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Activations or weights on the GPU, in the precision's type of number.
enum Values {
    F32(CudaSlice<f32>),
    Bf16(CudaSlice<bf16>),
}

impl Values {
    fn of(precision: Precision, values: &[f32]) -> Values {
        match precision.number() {
            Number::Bf16 => Values::Bf16(to_device(
                &values.iter().map(|&v| bf16::from_f32(v)).collect::<Vec<_>>(),
            )),
            _ => Values::F32(to_device(values)),
        }
    }

    fn input(&self) -> glad_cuda::In<'_> {
        match self {
            Values::F32(s) => gpu().input(s, 0..s.len()),
            Values::Bf16(s) => gpu().input(s, 0..s.len()),
        }
        .unwrap()
    }

    fn output(&mut self) -> glad_cuda::Out<'_> {
        let gpu = gpu();
        match self {
            Values::F32(s) => {
                let all = 0..s.len();
                gpu.output(s, all)
            }
            Values::Bf16(s) => {
                let all = 0..s.len();
                gpu.output(s, all)
            }
        }
        .unwrap()
    }

    fn read(&self) -> Vec<f32> {
        match self {
            Values::F32(s) => to_host(s),
            Values::Bf16(s) => to_host(s).into_iter().map(bf16::to_f32).collect(),
        }
    }
}

/// A value rounded to the GPU's precision.
fn rounded(precision: Precision, values: Vec<f32>) -> Vec<f32> {
    match precision {
        Precision::Bf16 => values.into_iter().map(|v| bf16::from_f32(v).to_f32()).collect(),
        _ => values,
    }
}

/// `[co, ci, taps]` to `[co, taps, ci]`.
fn channels_last(conv: &Conv, weights: &[f32]) -> Vec<f32> {
    let (ci, taps) = (conv.ci / conv.groups, conv.taps());
    let mut turned = vec![0.0; weights.len()];
    for (i, &v) in weights.iter().enumerate() {
        let (o, c, t) = (i / (ci * taps), i / taps % ci, i % taps);
        turned[(o * taps + t) * ci + c] = v;
    }
    turned
}

/// The largest difference, relative to the largest value.
fn apart(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    let scale = expected.iter().fold(1e-6, |m: f32, v| m.max(v.abs()));
    got.iter()
        .zip(expected)
        .map(|(g, e)| if g.is_finite() { (g - e).abs() } else { f32::INFINITY })
        .fold(0.0, f32::max)
        / scale
}

fn shapes() -> Vec<Conv> {
    let solid = Conv::new_3d(2, [4, 9, 7], 16, 24, [3, 3, 3], [1; 3], [1; 3]);
    vec![
        Conv::new_2d(3, [14, 14], 64, 64, 3, 1, 1),
        Conv::new_2d(3, [14, 14], 64, 128, 1, 2, 0),
        Conv::new_2d(2, [32, 32], 3, 64, 7, 2, 3),
        // The same with padded channels, which is fastest for the first layer.
        Conv::new_2d(2, [32, 32], 8, 64, 7, 2, 3),
        // By frame, along time, and both.
        Conv::new_3d(2, [8, 14, 14], 32, 32, [1, 3, 3], [1, 2, 2], [0, 1, 1]),
        Conv::new_3d(2, [8, 14, 14], 64, 32, [3, 1, 1], [1, 1, 1], [1, 0, 0]),
        Conv::new_3d(2, [8, 28, 28], 3, 16, [5, 7, 7], [2; 3], [2, 3, 3]),
        solid,
        Conv { groups: 4, ..solid },
        Conv {
            dilation: [1, 2, 2],
            pad: [1, 2, 2],
            pad_end: [1, 2, 2],
            ..solid
        },
        // TensorFlow's "same", and a number of channels that no vector size divides.
        Conv {
            stride: [2; 3],
            pad: [0, 1, 1],
            pad_end: [1; 3],
            ..solid
        },
        Conv { ci: 5, co: 7, ..solid },
    ]
}

const PRECISIONS: [(Precision, f32); 3] = [
    (Precision::F32, 1e-4),
    // 10 bits of mantissa in each factor.
    (Precision::Tf32, 4e-3),
    (Precision::Bf16, 1e-2),
];

#[test]
#[ignore = "needs a GPU"]
fn convolutions_are_those_of_the_cpu() {
    let gpu = gpu();
    for shape in shapes() {
        for (precision, tolerance) in PRECISIONS {
            let x = rounded(precision, noise(shape.input_len(), 1));
            let w = rounded(precision, noise(shape.weight_len(), 2));
            let dy = rounded(precision, noise(shape.output_len(), 3));
            let base = rounded(precision, noise(shape.input_len(), 4));
            let (on_x, on_dy) = (Values::of(precision, &x), Values::of(precision, &dy));
            let on_w = Values::of(precision, &channels_last(&shape, &w));
            let about = |what: &str| format!("{what}, {precision}, {shape:?}");

            let mut expected = vec![0.0; shape.output_len()];
            let packed = PackedWeights::new(&shape, &w).unwrap();
            cpu::forward(&shape, &x, &packed, Epilogue::default(), &mut expected).unwrap();
            // Values that are not written stay NaN.
            let mut y = Values::of(precision, &vec![f32::NAN; expected.len()]);
            conv::forward(&gpu, &shape, precision, on_x.input(), on_w.input(), y.output()).unwrap();
            let error = apart(&y.read(), &expected);
            assert!(error < tolerance, "{}: {error}", about("forward"));

            for add in [false, true] {
                let mut expected = base.clone();
                cpu::backward_input(&shape, &dy, &packed, add, &mut expected).unwrap();
                let before = if add { base.clone() } else { vec![f32::NAN; base.len()] };
                let mut dx = Values::of(precision, &before);
                // The first call tries several plans, and must still have added only once.
                conv::backward_input(&gpu, &shape, precision, on_dy.input(), on_w.input(), dx.output(), add).unwrap();
                let error = apart(&dx.read(), &expected);
                assert!(error < tolerance, "{}: {error}", about("gradient of the input"));
            }

            let mut expected = vec![0.0; shape.weight_len()];
            cpu::backward_weight(&shape, &x, &dy, &mut expected).unwrap();
            let mut dw = Values::of(precision, &vec![f32::NAN; expected.len()]);
            conv::backward_weight(&gpu, &shape, precision, on_x.input(), on_dy.input(), dw.output()).unwrap();
            let error = apart(&dw.read(), &channels_last(&shape, &expected));
            assert!(error < tolerance, "{}: {error}", about("gradient of the weights"));
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn the_same_convolution_gives_the_same_bits() {
    let gpu = gpu();
    let shape = Conv::new_2d(16, [28, 28], 128, 128, 3, 1, 1);
    for (precision, _) in PRECISIONS {
        let x = Values::of(precision, &noise(shape.input_len(), 5));
        let dy = Values::of(precision, &noise(shape.output_len(), 6));
        let run = || {
            let mut dw = Values::of(precision, &vec![0.0; shape.weight_len()]);
            conv::backward_weight(&gpu, &shape, precision, x.input(), dy.input(), dw.output()).unwrap();
            dw.read().into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let first = run();
        assert!((0..20).all(|_| run() == first), "{precision}");
    }
}

#[test]
#[ignore = "needs a GPU"]
fn plans_are_kept_in_a_file_and_reported() {
    // A separate GPU object: plans are chosen once for each.
    let stream = STREAM.context().new_stream().unwrap();
    let gpu = CudaGpu::of(&stream).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plans.txt");
    gpu.keep_plans(&path).unwrap();
    let shape = Conv::new_2d(4, [20, 20], 32, 32, 3, 1, 1);
    let run = |gpu: &CudaGpu| {
        let mut memory = [shape.input_len(), shape.weight_len(), shape.output_len()]
            .map(|len| gpu.alloc(len, Number::Bf16).unwrap());
        let [x, w, y] = &mut memory;
        conv::forward(gpu, &shape, Precision::Bf16, x.input(), w.input(), y.output()).unwrap();
    };
    run(&gpu);
    let chosen = conv::chosen(&gpu);
    assert_eq!(chosen.len(), 1);
    assert!(chosen[0].milliseconds.is_some_and(|ms| ms > 0.0), "{chosen:?}");
    assert!(chosen[0].tensor_cores, "{chosen:?}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");

    let again = CudaGpu::of(&STREAM.context().new_stream().unwrap()).unwrap();
    again.keep_plans(&path).unwrap();
    run(&again);
    let recalled = conv::chosen(&again);
    assert_eq!(
        (recalled[0].engine, recalled[0].rank),
        (chosen[0].engine, chosen[0].rank)
    );
    assert_eq!(recalled[0].milliseconds, None, "it was timed again");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
#[ignore = "needs a GPU"]
fn batches_arrive_whole_while_the_gpu_computes() {
    const LEN: usize = 3 << 20;
    let gpu = gpu();
    let upload = Upload::new(&gpu).unwrap();
    let shape = Conv::new_2d(32, [56, 56], 64, 64, 3, 1, 1);
    let mut memory =
        [shape.input_len(), shape.weight_len(), shape.output_len()].map(|len| gpu.alloc(len, Number::Bf16).unwrap());
    let mut waiting = Vec::new();
    for batch in 0..40_u8 {
        let mut buffer = upload.buffer(LEN - usize::from(batch)).unwrap();
        buffer.fill(batch);
        buffer[0] = !batch;
        waiting.push((batch, upload.send(buffer).unwrap()));
        let [x, w, y] = &mut memory;
        conv::forward(&gpu, &shape, Precision::Bf16, x.input(), w.input(), y.output()).unwrap();
        // Two in flight, as in a training loop; every seventh is dropped unread.
        if waiting.len() > 2 {
            let (sent, bytes) = waiting.remove(0);
            if sent % 7 == 6 {
                drop(bytes);
                continue;
            }
            let arrived = to_host(&bytes.arrive().unwrap());
            assert_eq!(arrived.len(), LEN - usize::from(sent));
            assert_eq!(arrived[0], !sent);
            assert!(arrived[1..].iter().all(|&b| b == sent), "batch {sent}");
        }
    }
}

#[test]
#[ignore = "needs a GPU"]
fn an_unsent_or_empty_buffer_is_no_matter() {
    let upload = Upload::new(&gpu()).unwrap();
    let buffer = upload.buffer(1000).unwrap();
    let at = buffer.as_ptr();
    drop(buffer);
    let again = upload.buffer(500).unwrap();
    assert_eq!((again.as_ptr(), again.len()), (at, 500));
    assert_eq!(
        upload.send(upload.buffer(0).unwrap()).unwrap().arrive().unwrap().len(),
        0
    );
}

#[test]
#[ignore = "needs a GPU"]
fn time_and_memory_are_counted() {
    const LEN: usize = 64 << 20;
    let _one = PEAK.lock().unwrap_or_else(PoisonError::into_inner);
    let gpu = gpu();
    gpu.synchronize().unwrap();
    gpu.reset_peak().unwrap();
    let first = Timer::start(gpu.stream()).unwrap();
    let memory: Vec<CudaMemory> = (0..2).map(|_| gpu.alloc(LEN, Number::U8).unwrap()).collect();
    drop(memory);
    let first = first.stop(gpu.stream()).unwrap();
    let second = Timer::start(gpu.stream()).unwrap().stop(gpu.stream()).unwrap();
    assert!(first.milliseconds().unwrap() >= 0.0);
    assert!(second.gap_after(&first).unwrap() >= 0.0);
    assert!(first.is_over().unwrap());
    // Other tests may take and free memory at the same time.
    assert!(gpu.peak_bytes().unwrap() >= 2 * LEN as u64);
    assert!(gpu.multiprocessors() > 0);
}

#[test]
#[ignore = "needs a GPU"]
fn what_cannot_be_is_an_error_with_a_reason() {
    let gpu = gpu();
    let printed = |e: glad_cuda::Error| e.to_string();

    let too_much = printed(gpu.alloc(1 << 50, Number::U8).unwrap_err());
    assert!(too_much.contains("1073741824 MiB of the device's memory"), "{too_much}");
    // The GPU remains usable.
    gpu.alloc(10, Number::F32).unwrap();

    let launch = |module, kernel| Launch {
        module,
        kernel,
        grid: [1; 3],
        block: [1; 3],
    };
    // SAFETY: neither is launched.
    let missing = printed(unsafe { gpu.launch(&launch("pointwise", "nothing"), &[]) }.unwrap_err());
    assert!(
        missing.contains("find the kernel `nothing` in pointwise.cu"),
        "{missing}"
    );
    // SAFETY: as above.
    let missing = printed(unsafe { gpu.launch(&launch("nothing", "nothing"), &[Arg::U32(1)]) }.unwrap_err());
    assert!(missing.contains("no file nothing.cu"), "{missing}");

    let per_thread = CudaGpu::of(&STREAM.context().per_thread_stream())
        .err()
        .map(printed)
        .unwrap();
    assert!(per_thread.contains("new_cuda_with_stream"), "{per_thread}");

    let shape = Conv::new_2d(1, [8, 8], 4, 4, 3, 1, 1);
    let mut memory = gpu.alloc(shape.output_len(), Number::F32).unwrap();
    let (x, w) = (
        gpu.alloc(shape.input_len(), Number::F32).unwrap(),
        gpu.alloc(1, Number::F32).unwrap(),
    );
    let short = conv::forward(&gpu, &shape, Precision::F32, x.input(), w.input(), memory.output());
    let short = printed(short.unwrap_err());
    assert!(short.contains("`w` holds 1 values, but 144 are expected"), "{short}");
    let other = conv::forward(&gpu, &shape, Precision::Bf16, x.input(), w.input(), memory.output());
    assert!(printed(other.unwrap_err()).contains("`x` holds F32, and Bf16 is needed"));
}

#[test]
#[ignore = "needs a GPU"]
fn a_stream_has_one_gpu() {
    let (one, other) = (gpu(), gpu());
    assert!(Arc::ptr_eq(one.stream(), other.stream()));
}
