//! A recording does at each launch what the work itself would have done, and what cannot be recorded is an error. Each test
//! has a GPU object of its own: work that others queue on a capturing stream would become part of the graph.

use super::{PEAK, STREAM, noise};
use cudarc::driver::CudaContext;
use glad_cuda::driver::conv::{self, Precision};
use glad_cuda::driver::{CudaGpu, CudaMemory};
use glad_cuda::norm::{self, BatchNorm};
use glad_cuda::pointwise::{cast, scale};
use glad_cuda::{Gpu, Memory, Number, Result, Value};
use glad_ops::Conv;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;

fn gpu() -> CudaGpu {
    CudaGpu::of(&STREAM.context().new_stream().expect("a stream")).expect("the GPU")
}

/// Writes values into existing memory.
fn write(gpu: &CudaGpu, to: &mut CudaMemory, values: &[f32]) {
    let CudaMemory::F32(to) = to else {
        panic!("it holds other numbers")
    };
    gpu.stream().memcpy_htod(values, to).expect("a copy to the GPU");
}

fn put(gpu: &CudaGpu, values: &[f32]) -> CudaMemory {
    let mut memory = gpu.alloc(values.len(), Number::F32).unwrap();
    write(gpu, &mut memory, values);
    memory
}

fn bits(gpu: &CudaGpu, memory: &CudaMemory) -> Vec<u32> {
    let CudaMemory::F32(slice) = memory else {
        panic!("it holds other numbers")
    };
    let values = gpu.stream().clone_dtoh(slice).expect("a copy from the GPU");
    values.into_iter().map(f32::to_bits).collect()
}

/// A convolution with a batch norm and ReLU in training, with everything that exists before and after its passes.
struct Layer {
    gpu: CudaGpu,
    shape: Conv,
    precision: Precision,
    input: CudaMemory,
    weights: CudaMemory,
    gamma: CudaMemory,
    beta: CudaMemory,
    running_mean: CudaMemory,
    running_var: CudaMemory,
    output: CudaMemory,
    /// The gradient of the output.
    grad: CudaMemory,
    input_grad: CudaMemory,
    weights_grad: CudaMemory,
    gamma_grad: CudaMemory,
    beta_grad: CudaMemory,
}

/// What the forward pass saves for the backward pass.
struct Kept {
    x: CudaMemory,
    w: CudaMemory,
    y: CudaMemory,
    mean: CudaMemory,
    var: CudaMemory,
}

impl Kept {
    fn norm<'a>(&'a self, gamma: &'a CudaMemory, beta: &'a CudaMemory) -> BatchNorm<'a> {
        BatchNorm {
            mean: self.mean.input(),
            var: self.var.input(),
            gamma: gamma.input(),
            beta: beta.input(),
            eps: 1e-5,
            relu: true,
        }
    }
}

impl Layer {
    fn new(gpu: &CudaGpu, precision: Precision) -> Layer {
        let shape = Conv::new_2d(2, [12, 12], 16, 24, 3, 1, 1);
        let of = |len: usize, seed| put(gpu, &noise(len, seed));
        let channel = |value: f32| put(gpu, &vec![value; shape.co]);
        Layer {
            gpu: gpu.clone(),
            shape,
            precision,
            input: of(shape.input_len(), 0),
            weights: of(shape.weight_len(), 1),
            gamma: of(shape.co, 2),
            beta: of(shape.co, 3),
            running_mean: channel(0.0),
            running_var: channel(1.0),
            output: of(shape.output_len(), 4),
            grad: of(shape.output_len(), 5),
            input_grad: of(shape.input_len(), 6),
            weights_grad: of(shape.weight_len(), 7),
            gamma_grad: channel(f32::NAN),
            beta_grad: channel(f32::NAN),
        }
    }

    /// The input of a step.
    fn set(&mut self, step: u32) {
        write(&self.gpu, &mut self.input, &noise(self.shape.input_len(), 100 + step));
        write(&self.gpu, &mut self.grad, &noise(self.shape.output_len(), 200 + step));
    }

    /// In the precision's type of number.
    fn narrow(&self, from: &CudaMemory) -> Result<CudaMemory> {
        let from = from.input();
        let mut to = self.gpu.alloc(from.len(), self.precision.number())?;
        cast(&self.gpu, from, to.output())?;
        Ok(to)
    }

    fn forward(&mut self) -> Result<Kept> {
        let (gpu, shape) = (self.gpu.clone(), self.shape);
        let number = self.precision.number();
        let (x, w) = (self.narrow(&self.input)?, self.narrow(&self.weights)?);
        let mut y = gpu.alloc(shape.output_len(), number)?;
        conv::forward(&gpu, &shape, self.precision, x.input(), w.input(), y.output())?;
        let mut mean = gpu.alloc(shape.co, Number::F32)?;
        let mut var = gpu.alloc(shape.co, Number::F32)?;
        norm::moments(&gpu, y.input(), shape.co, mean.output(), var.output())?;
        norm::update_running(
            &gpu,
            mean.input(),
            var.input(),
            shape.output_len() / shape.co,
            0.1,
            self.running_mean.output(),
            self.running_var.output(),
        )?;
        let kept = Kept { x, w, y, mean, var };
        let mut normalised = gpu.alloc(shape.output_len(), number)?;
        kept.norm(&self.gamma, &self.beta)
            .forward(&gpu, kept.y.input(), None, normalised.output())?;
        cast(&gpu, normalised.input(), self.output.output())?;
        Ok(kept)
    }

    fn backward(&mut self, kept: Kept) -> Result<()> {
        let (gpu, shape, precision) = (self.gpu.clone(), self.shape, self.precision);
        let mut grad = self.narrow(&self.grad)?;
        let mut gamma_grad = gpu.alloc(shape.co, Number::F32)?;
        let (dgamma, dbeta) = (gamma_grad.output(), self.beta_grad.output());
        kept.norm(&self.gamma, &self.beta)
            .backward(&gpu, true, kept.y.input(), grad.output(), None, dgamma, dbeta)?;
        scale(&gpu, Value::Host(0.5), gamma_grad.input(), self.gamma_grad.output())?;
        drop(kept.y);
        let mut dw = gpu.alloc(shape.weight_len(), precision.number())?;
        conv::backward_weight(&gpu, &shape, precision, kept.x.input(), grad.input(), dw.output())?;
        cast(&gpu, dw.input(), self.weights_grad.output())?;
        let mut dx = gpu.alloc(shape.input_len(), precision.number())?;
        let (dy, w) = (grad.input(), kept.w.input());
        conv::backward_input(&gpu, &shape, precision, dy, w, dx.output(), false)?;
        cast(&gpu, dx.input(), self.input_grad.output())
    }

    /// Everything that its passes write.
    fn results(&self) -> Vec<Vec<u32>> {
        let all = [
            &self.output,
            &self.running_mean,
            &self.running_var,
            &self.input_grad,
            &self.weights_grad,
            &self.gamma_grad,
            &self.beta_grad,
        ];
        all.into_iter().map(|memory| bits(&self.gpu, memory)).collect()
    }
}

#[test]
#[ignore = "needs a GPU"]
fn what_is_recorded_gives_the_same_bits_at_each_launch() {
    for precision in [Precision::F32, Precision::Bf16] {
        let gpu = gpu();
        let [mut plain, mut recorded] = [(); 2].map(|()| Layer::new(&gpu, precision));
        // Plans are chosen here.
        let mut first = Layer::new(&gpu, precision);
        let kept = first.forward().unwrap();
        first.backward(kept).unwrap();

        let before = recorded.results();
        let (forward, kept) = gpu.record(|| recorded.forward()).unwrap();
        let (backward, ()) = gpu.record(|| recorded.backward(kept)).unwrap();
        assert_eq!(
            recorded.results(),
            before,
            "{precision}: it was done while it was recorded"
        );
        // Choosing other plans moves the workspace that convolutions share.
        let other = if precision == Precision::F32 {
            Precision::Bf16
        } else {
            Precision::F32
        };
        Layer::new(&gpu, other).forward().map(drop).unwrap();

        let mut last = before;
        for step in 0..3 {
            plain.set(step);
            let kept = plain.forward().unwrap();
            plain.backward(kept).unwrap();
            recorded.set(step);
            forward.launch().unwrap();
            backward.launch().unwrap();
            let results = recorded.results();
            assert_eq!(results, plain.results(), "{precision}, launch {step}");
            assert_ne!(results, last, "{precision}: launch {step} changed nothing");
            last = results;
        }

        // A forward pass without its backward pass: the next one allocates its memory again.
        recorded.set(0);
        forward.launch().unwrap();
        recorded.set(1);
        forward.launch().unwrap();
        backward.launch().unwrap();
        for step in 0..2 {
            plain.set(step);
            let kept = plain.forward().unwrap();
            if step == 1 {
                plain.backward(kept).unwrap();
            }
        }
        assert_eq!(
            recorded.results(),
            plain.results(),
            "{precision}, without a backward pass"
        );
    }
}

#[test]
#[ignore = "needs a GPU"]
fn memory_of_a_graph_stays_is_counted_and_is_freed() {
    const LEN: usize = 64 << 20;
    let _one = PEAK.lock().unwrap_or_else(PoisonError::into_inner);
    let gpu = gpu();
    let source = put(&gpu, &noise(LEN / 16, 1));
    // Run once before it is recorded, to load its kernel.
    scale(
        &gpu,
        Value::Host(2.0),
        source.input(),
        put(&gpu, &noise(LEN / 16, 1)).output(),
    )
    .unwrap();
    let record = || {
        gpu.record(|| -> Result<_> {
            let mut memory = gpu.alloc(LEN / 16, Number::F32)?;
            scale(&gpu, Value::Host(2.0), source.input(), memory.output())?;
            // More than all other tests have at a time.
            Ok((memory, gpu.alloc(LEN, Number::F32)?))
        })
        .unwrap()
    };
    let (graph, (memory, large)) = record();
    gpu.synchronize().unwrap();
    graph.launch().unwrap();
    let expected: Vec<u32> = noise(LEN / 16, 1).into_iter().map(|v| (2.0 * v).to_bits()).collect();
    assert_eq!(bits(&gpu, &memory), expected);
    let least = 4 * LEN as u64;
    let (peak, held) = (gpu.peak_bytes().unwrap(), gpu.peak_held_bytes().unwrap());
    assert!(peak >= least && held >= peak, "{peak} and {held} bytes");
    // The graph may be dropped before its memory, which is freed like all memory, on any thread.
    drop(large);
    std::thread::spawn(move || drop(graph)).join().unwrap();
    assert_eq!(bits(&gpu, &memory), expected);
    drop(memory);
    gpu.release_kept().unwrap();
    gpu.reset_peak().unwrap();
    let after = gpu.peak_bytes().unwrap();
    assert!(after < peak, "{after} of {peak} bytes");

    // Memory that was not freed is freed by the next launch, which allocates it again.
    let (graph, taken) = record();
    graph.launch().unwrap();
    graph.launch().unwrap();
    drop(taken);
    gpu.synchronize().unwrap();
}

#[test]
#[ignore = "needs a GPU"]
fn a_recording_that_fails_leaves_the_gpu_as_it_was() {
    type Fault = Box<dyn std::error::Error + Send + Sync>;
    let gpu = gpu();
    let mut memory = put(&gpu, &[1.0; 100]);
    let x = put(&gpu, &noise(100, 1));
    let fails = gpu.record(|| {
        scale(&gpu, Value::Host(2.0), x.input(), memory.output())?;
        gpu.alloc(10, Number::F32)?;
        assert!(gpu.is_recording());
        Err::<(), Fault>("it is enough".into())
    });
    assert_eq!(fails.unwrap_err().to_string(), "it is enough");
    assert!(!gpu.is_recording());
    assert_eq!(bits(&gpu, &memory), [1.0_f32.to_bits(); 100]);

    let panics = catch_unwind(AssertUnwindSafe(|| gpu.record(|| -> Result<()> { panic!("a test's") })));
    assert!(panics.is_err());
    assert!(!gpu.is_recording());

    // Waiting invalidates a recording, whether or not the waiting call reports it.
    let waits = gpu.record(|| gpu.synchronize()).unwrap_err().to_string();
    assert!(waits.contains("finish what was queued on the device"), "{waits}");
    let hides = gpu.record(|| {
        let _ = gpu.synchronize();
        Result::Ok(())
    });
    let hides = hides.unwrap_err().to_string();
    assert!(
        hides.contains("record a CUDA graph (something in it cannot be recorded"),
        "{hides}"
    );

    let (graph, ()) = gpu
        .record(|| scale(&gpu, Value::Host(2.0), x.input(), memory.output()))
        .unwrap();
    graph.launch().unwrap();
    let expected: Vec<u32> = noise(100, 1).into_iter().map(|v| (2.0 * v).to_bits()).collect();
    assert_eq!(bits(&gpu, &memory), expected);
}

#[test]
#[ignore = "needs a GPU"]
fn memory_of_a_broken_recording_may_be_dropped() {
    // A separate context object keeps the error of the drop from the other tests.
    let context = CudaContext::new(0).unwrap();
    // SAFETY: as in `CudaGpu::of`, which does it too late here: creating the first stream of a tracking context waits for the
    // device, which invalidates the recordings of other tests.
    unsafe { context.disable_event_tracking() };
    let gpu = CudaGpu::of(&context.new_stream().unwrap()).unwrap();
    let taken = |keep: bool| {
        gpu.record(|| {
            let memory = gpu.alloc(10, Number::F32)?;
            let _ = gpu.synchronize();
            Result::Ok(keep.then_some(memory))
        })
    };
    for keep in [false, true] {
        let why = taken(keep).map(drop).unwrap_err().to_string();
        assert!(why.contains("record a CUDA graph"), "{keep}: {why}");
        gpu.alloc(10, Number::F32).map(drop).unwrap();
        gpu.synchronize().unwrap();
    }
    let fails = gpu.record(|| {
        let _memory = gpu.alloc(10, Number::F32)?;
        gpu.synchronize()
    });
    let why = fails.unwrap_err().to_string();
    assert!(why.contains("finish what was queued on the device"), "{why}");
    gpu.alloc(10, Number::F32).map(drop).unwrap();
}

#[test]
#[ignore = "needs a GPU"]
fn what_may_not_be_inside_is_refused_with_a_reason() {
    let gpu = gpu();
    let mut memory = gpu.alloc(10, Number::F32).unwrap();
    let x = put(&gpu, &noise(10, 1));
    let (graph, ()) = gpu
        .record(|| {
            let inner = gpu.record(|| -> Result<()> { panic!("it was recorded") });
            let inner = inner.unwrap_err().to_string();
            assert!(inner.contains("cannot record another inside of it"), "{inner}");
            assert!(gpu.is_recording(), "the refusal ended it");
            scale(&gpu, Value::Host(3.0), x.input(), memory.output())
        })
        .unwrap();
    let (_, ()) = gpu
        .record(|| {
            let launch = graph.launch().unwrap_err().to_string();
            assert!(
                launch.contains("cannot be launched inside of another recording"),
                "{launch}"
            );
            Result::Ok(())
        })
        .unwrap();
    graph.launch().unwrap();
    let expected: Vec<u32> = noise(10, 1).into_iter().map(|v| (3.0 * v).to_bits()).collect();
    assert_eq!(bits(&gpu, &memory), expected);

    // The first convolution of the GPU, for which cuDNN has not even started.
    let mut layer = Layer::new(&gpu, Precision::F32);
    let new = gpu.record(|| layer.forward()).err().map(|e| e.to_string()).unwrap();
    assert!(
        new.contains("it is new, and cannot be timed while a CUDA graph is recorded: run it once before"),
        "{new}"
    );
    layer.forward().map(drop).unwrap();
    gpu.synchronize().unwrap();
}
