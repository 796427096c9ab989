//! A recording does at each launch what the work itself would have done, and what cannot be recorded is an error. Each test
//! has a GPU object of its own: work that others queue on a capturing stream would become part of the graph.

use super::{PEAK, STREAM, noise};
use cudarc::driver::CudaContext;
use glad_cuda::driver::conv::{self, Precision};
use glad_cuda::driver::{Card, CardMemory};
use glad_cuda::norm::{self, BatchNorm};
use glad_cuda::pointwise::{cast, scale};
use glad_cuda::{Gpu, Memory, Number, Result, Value};
use glad_ops::Conv;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;

fn card() -> Card {
    Card::of(&STREAM.context().new_stream().expect("a stream")).expect("the card")
}

/// Writes values into existing memory.
fn write(card: &Card, to: &mut CardMemory, values: &[f32]) {
    let CardMemory::F32(to) = to else {
        panic!("it holds other numbers")
    };
    card.stream().memcpy_htod(values, to).expect("a copy to the card");
}

fn put(card: &Card, values: &[f32]) -> CardMemory {
    let mut memory = card.alloc(values.len(), Number::F32).unwrap();
    write(card, &mut memory, values);
    memory
}

fn bits(card: &Card, memory: &CardMemory) -> Vec<u32> {
    let CardMemory::F32(slice) = memory else {
        panic!("it holds other numbers")
    };
    let values = card.stream().clone_dtoh(slice).expect("a copy from the card");
    values.into_iter().map(f32::to_bits).collect()
}

/// A convolution with a batch norm and ReLU in training, with everything that exists before and after its passes.
struct Layer {
    card: Card,
    shape: Conv,
    precision: Precision,
    input: CardMemory,
    weights: CardMemory,
    gamma: CardMemory,
    beta: CardMemory,
    running_mean: CardMemory,
    running_var: CardMemory,
    output: CardMemory,
    /// The gradient of the output.
    grad: CardMemory,
    input_grad: CardMemory,
    weights_grad: CardMemory,
    gamma_grad: CardMemory,
    beta_grad: CardMemory,
}

/// What the forward pass saves for the backward pass.
struct Kept {
    x: CardMemory,
    w: CardMemory,
    y: CardMemory,
    mean: CardMemory,
    var: CardMemory,
}

impl Kept {
    fn norm<'a>(&'a self, gamma: &'a CardMemory, beta: &'a CardMemory) -> BatchNorm<'a> {
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
    fn new(card: &Card, precision: Precision) -> Layer {
        let shape = Conv::new_2d(2, [12, 12], 16, 24, 3, 1, 1);
        let of = |len: usize, seed| put(card, &noise(len, seed));
        let channel = |value: f32| put(card, &vec![value; shape.co]);
        Layer {
            card: card.clone(),
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
        write(&self.card, &mut self.input, &noise(self.shape.input_len(), 100 + step));
        write(&self.card, &mut self.grad, &noise(self.shape.output_len(), 200 + step));
    }

    /// In the precision's type of number.
    fn narrow(&self, from: &CardMemory) -> Result<CardMemory> {
        let from = from.input();
        let mut to = self.card.alloc(from.len(), self.precision.number())?;
        cast(&self.card, from, to.output())?;
        Ok(to)
    }

    fn forward(&mut self) -> Result<Kept> {
        let (card, shape) = (self.card.clone(), self.shape);
        let number = self.precision.number();
        let (x, w) = (self.narrow(&self.input)?, self.narrow(&self.weights)?);
        let mut y = card.alloc(shape.output_len(), number)?;
        conv::forward(&card, &shape, self.precision, x.input(), w.input(), y.output())?;
        let mut mean = card.alloc(shape.co, Number::F32)?;
        let mut var = card.alloc(shape.co, Number::F32)?;
        norm::moments(&card, y.input(), shape.co, mean.output(), var.output())?;
        norm::update_running(
            &card,
            mean.input(),
            var.input(),
            shape.output_len() / shape.co,
            0.1,
            self.running_mean.output(),
            self.running_var.output(),
        )?;
        let kept = Kept { x, w, y, mean, var };
        let mut normalised = card.alloc(shape.output_len(), number)?;
        kept.norm(&self.gamma, &self.beta)
            .forward(&card, kept.y.input(), None, normalised.output())?;
        cast(&card, normalised.input(), self.output.output())?;
        Ok(kept)
    }

    fn backward(&mut self, kept: Kept) -> Result<()> {
        let (card, shape, precision) = (self.card.clone(), self.shape, self.precision);
        let mut grad = self.narrow(&self.grad)?;
        let mut gamma_grad = card.alloc(shape.co, Number::F32)?;
        let (dgamma, dbeta) = (gamma_grad.output(), self.beta_grad.output());
        kept.norm(&self.gamma, &self.beta)
            .backward(&card, true, kept.y.input(), grad.output(), None, dgamma, dbeta)?;
        scale(&card, Value::Host(0.5), gamma_grad.input(), self.gamma_grad.output())?;
        drop(kept.y);
        let mut dw = card.alloc(shape.weight_len(), precision.number())?;
        conv::backward_weight(&card, &shape, precision, kept.x.input(), grad.input(), dw.output())?;
        cast(&card, dw.input(), self.weights_grad.output())?;
        let mut dx = card.alloc(shape.input_len(), precision.number())?;
        let (dy, w) = (grad.input(), kept.w.input());
        conv::backward_input(&card, &shape, precision, dy, w, dx.output(), false)?;
        cast(&card, dx.input(), self.input_grad.output())
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
        all.into_iter().map(|memory| bits(&self.card, memory)).collect()
    }
}

#[test]
#[ignore = "needs a card"]
fn what_is_recorded_gives_the_same_bits_at_each_launch() {
    for precision in [Precision::F32, Precision::Bf16] {
        let card = card();
        let [mut plain, mut recorded] = [(); 2].map(|()| Layer::new(&card, precision));
        // Plans are chosen here.
        let mut first = Layer::new(&card, precision);
        let kept = first.forward().unwrap();
        first.backward(kept).unwrap();

        let before = recorded.results();
        let (forward, kept) = card.record(|| recorded.forward()).unwrap();
        let (backward, ()) = card.record(|| recorded.backward(kept)).unwrap();
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
        Layer::new(&card, other).forward().map(drop).unwrap();

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
#[ignore = "needs a card"]
fn memory_of_a_graph_stays_is_counted_and_is_freed() {
    const LEN: usize = 64 << 20;
    let _one = PEAK.lock().unwrap_or_else(PoisonError::into_inner);
    let card = card();
    let source = put(&card, &noise(LEN / 16, 1));
    // Run once before it is recorded, to load its kernel.
    scale(
        &card,
        Value::Host(2.0),
        source.input(),
        put(&card, &noise(LEN / 16, 1)).output(),
    )
    .unwrap();
    let record = || {
        card.record(|| -> Result<_> {
            let mut memory = card.alloc(LEN / 16, Number::F32)?;
            scale(&card, Value::Host(2.0), source.input(), memory.output())?;
            // More than all other tests have at a time.
            Ok((memory, card.alloc(LEN, Number::F32)?))
        })
        .unwrap()
    };
    let (graph, (memory, large)) = record();
    card.synchronize().unwrap();
    graph.launch().unwrap();
    let expected: Vec<u32> = noise(LEN / 16, 1).into_iter().map(|v| (2.0 * v).to_bits()).collect();
    assert_eq!(bits(&card, &memory), expected);
    let least = 4 * LEN as u64;
    let (peak, held) = (card.peak_bytes().unwrap(), card.peak_held_bytes().unwrap());
    assert!(peak >= least && held >= peak, "{peak} and {held} bytes");
    // The graph may be dropped before its memory, which is freed like all memory, on any thread.
    drop(large);
    std::thread::spawn(move || drop(graph)).join().unwrap();
    assert_eq!(bits(&card, &memory), expected);
    drop(memory);
    card.release_kept().unwrap();
    card.reset_peak().unwrap();
    let after = card.peak_bytes().unwrap();
    assert!(after < peak, "{after} of {peak} bytes");

    // Memory that was not freed is freed by the next launch, which allocates it again.
    let (graph, taken) = record();
    graph.launch().unwrap();
    graph.launch().unwrap();
    drop(taken);
    card.synchronize().unwrap();
}

#[test]
#[ignore = "needs a card"]
fn a_recording_that_fails_leaves_the_card_as_it_was() {
    type Fault = Box<dyn std::error::Error + Send + Sync>;
    let card = card();
    let mut memory = put(&card, &[1.0; 100]);
    let x = put(&card, &noise(100, 1));
    let fails = card.record(|| {
        scale(&card, Value::Host(2.0), x.input(), memory.output())?;
        card.alloc(10, Number::F32)?;
        assert!(card.is_recording());
        Err::<(), Fault>("it is enough".into())
    });
    assert_eq!(fails.unwrap_err().to_string(), "it is enough");
    assert!(!card.is_recording());
    assert_eq!(bits(&card, &memory), [1.0_f32.to_bits(); 100]);

    let panics = catch_unwind(AssertUnwindSafe(|| {
        card.record(|| -> Result<()> { panic!("a test's") })
    }));
    assert!(panics.is_err());
    assert!(!card.is_recording());

    // Waiting invalidates a recording, whether or not the waiting call reports it.
    let waits = card.record(|| card.synchronize()).unwrap_err().to_string();
    assert!(waits.contains("finish what was queued on the device"), "{waits}");
    let hides = card.record(|| {
        let _ = card.synchronize();
        Result::Ok(())
    });
    let hides = hides.unwrap_err().to_string();
    assert!(
        hides.contains("record a CUDA graph (something in it cannot be recorded"),
        "{hides}"
    );

    let (graph, ()) = card
        .record(|| scale(&card, Value::Host(2.0), x.input(), memory.output()))
        .unwrap();
    graph.launch().unwrap();
    let expected: Vec<u32> = noise(100, 1).into_iter().map(|v| (2.0 * v).to_bits()).collect();
    assert_eq!(bits(&card, &memory), expected);
}

#[test]
#[ignore = "needs a card"]
fn memory_of_a_broken_recording_may_be_dropped() {
    // A separate context object keeps the error of the drop from the other tests.
    let context = CudaContext::new(0).unwrap();
    // SAFETY: as in `Card::of`, which does it too late here: creating the first stream of a tracking context waits for the
    // device, which invalidates the recordings of other tests.
    unsafe { context.disable_event_tracking() };
    let card = Card::of(&context.new_stream().unwrap()).unwrap();
    let taken = |keep: bool| {
        card.record(|| {
            let memory = card.alloc(10, Number::F32)?;
            let _ = card.synchronize();
            Result::Ok(keep.then_some(memory))
        })
    };
    for keep in [false, true] {
        let why = taken(keep).map(drop).unwrap_err().to_string();
        assert!(why.contains("record a CUDA graph"), "{keep}: {why}");
        card.alloc(10, Number::F32).map(drop).unwrap();
        card.synchronize().unwrap();
    }
    let fails = card.record(|| {
        let _memory = card.alloc(10, Number::F32)?;
        card.synchronize()
    });
    let why = fails.unwrap_err().to_string();
    assert!(why.contains("finish what was queued on the device"), "{why}");
    card.alloc(10, Number::F32).map(drop).unwrap();
}

#[test]
#[ignore = "needs a card"]
fn what_may_not_be_inside_is_refused_with_a_reason() {
    let card = card();
    let mut memory = card.alloc(10, Number::F32).unwrap();
    let x = put(&card, &noise(10, 1));
    let (graph, ()) = card
        .record(|| {
            let inner = card.record(|| -> Result<()> { panic!("it was recorded") });
            let inner = inner.unwrap_err().to_string();
            assert!(inner.contains("cannot record another inside of it"), "{inner}");
            assert!(card.is_recording(), "the refusal ended it");
            scale(&card, Value::Host(3.0), x.input(), memory.output())
        })
        .unwrap();
    let (_, ()) = card
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
    assert_eq!(bits(&card, &memory), expected);

    // The first convolution of the GPU, for which cuDNN has not even started.
    let mut layer = Layer::new(&card, Precision::F32);
    let new = card.record(|| layer.forward()).err().map(|e| e.to_string()).unwrap();
    assert!(
        new.contains("it is new, and cannot be timed while a CUDA graph is recorded: run it once before"),
        "{new}"
    );
    layer.forward().map(drop).unwrap();
    card.synchronize().unwrap();
}
