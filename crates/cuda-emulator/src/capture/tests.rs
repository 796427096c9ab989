//! What launches do to memory, on separate GPUs.

use crate::driver::{INVALID_VALUE, SUCCESS};
use crate::queue::Gpu;

const LEN: usize = 8;

/// A GPU with a stream, and a value in memory of the pool.
fn gpu(late: bool) -> (Gpu, u64, usize) {
    let mut gpu = Gpu::new(late);
    let stream = gpu.new_stream();
    let at = gpu.memory.alloc(LEN).unwrap();
    (gpu, stream, at)
}

/// Queues work on the values at two addresses.
fn with(gpu: &mut Gpu, stream: u64, [a, b]: [usize; 2], act: impl Fn(&mut u64, &mut u64) + Send + Sync + 'static) {
    gpu.work(stream, "a test".into(), move |memory| {
        memory.check(a as u64, LEN)?;
        memory.check(b as u64, LEN)?;
        // SAFETY: checked, and different.
        act(unsafe { &mut *(a as *mut u64) }, unsafe { &mut *(b as *mut u64) });
        Ok(())
    });
}

fn set(gpu: &mut Gpu, at: usize, value: u64) {
    gpu.memory.check(at as u64, LEN).unwrap();
    // SAFETY: checked.
    unsafe { *(at as *mut u64) = value };
}

fn get(gpu: &Gpu, at: usize) -> u64 {
    gpu.memory.check(at as u64, LEN).unwrap();
    // SAFETY: checked.
    unsafe { *(at as *const u64) }
}

/// Records the work of `body`, and returns the graph and its executable.
fn record<R>(gpu: &mut Gpu, stream: u64, auto: bool, body: impl FnOnce(&mut Gpu) -> R) -> (u64, u64, R) {
    assert_eq!(gpu.begin_recording(stream), SUCCESS);
    let gave = body(gpu);
    let graph = gpu.end_recording(stream).unwrap();
    let ready = gpu.instantiate(graph, auto).unwrap();
    (graph, ready, gave)
}

/// A graph that stores ten times a value in memory that it allocates, and another that adds this to a sum and frees it.
fn two(gpu: &mut Gpu, stream: u64, [from, sum]: [usize; 2], auto: bool) -> (u64, u64, usize) {
    let (_, forward, kept) = record(gpu, stream, auto, |gpu| {
        let kept = gpu.record_take(stream, LEN).unwrap();
        with(gpu, stream, [from, kept], |from, kept| *kept = 10 * *from);
        kept
    });
    let (_, backward, ()) = record(gpu, stream, auto, |gpu| {
        with(gpu, stream, [kept, sum], |kept, sum| *sum += *kept);
        assert_eq!(gpu.record_free(stream, kept), SUCCESS);
    });
    (forward, backward, kept)
}

#[test]
fn what_is_recorded_is_done_by_each_launch_and_not_before() {
    for late in [false, true] {
        let (mut gpu, stream, at) = gpu(late);
        let other = gpu.memory.alloc(LEN).unwrap();
        set(&mut gpu, at, 1);
        let (_, ready, ()) = record(&mut gpu, stream, true, |gpu| {
            with(gpu, stream, [at, other], |at, _| *at *= 3);
        });
        gpu.finish(stream);
        assert_eq!(get(&gpu, at), 1, "it was done while it was recorded");
        for expected in [3, 9] {
            let before = get(&gpu, at);
            assert_eq!(gpu.launch(ready, stream), SUCCESS);
            if late {
                assert_eq!(get(&gpu, at), before, "it was done before it had to be");
            }
            gpu.finish(stream);
            assert_eq!(get(&gpu, at), expected);
        }
        assert_eq!(gpu.fault, None);
    }
}

#[test]
fn memory_of_one_graph_is_freed_by_another() {
    for late in [false, true] {
        let (mut gpu, stream, from) = gpu(late);
        let sum = gpu.memory.alloc(LEN).unwrap();
        set(&mut gpu, sum, 0);
        let (forward, backward, kept) = two(&mut gpu, stream, [from, sum], false);
        assert!(!gpu.memory.is_live(kept));
        for (value, expected) in [(1, 10), (2, 30), (3, 60)] {
            set(&mut gpu, from, value);
            assert_eq!(gpu.launch(forward, stream), SUCCESS);
            assert_eq!(gpu.launch(backward, stream), SUCCESS);
            gpu.finish(stream);
            assert_eq!(gpu.fault, None);
            assert_eq!(get(&gpu, sum), expected);
            assert!(!gpu.memory.is_live(kept));
        }
        assert_eq!((gpu.memory.graphs.used, gpu.memory.graphs.used_high), (0, LEN));
        assert_eq!(gpu.memory.pool.used, 2 * LEN);

        // And by an ordinary free.
        set(&mut gpu, from, 4);
        assert_eq!(gpu.launch(forward, stream), SUCCESS);
        gpu.finish(stream);
        assert_eq!(get(&gpu, kept), 40);
        gpu.work(stream, "free".into(), move |memory| memory.free(kept));
        assert_eq!(gpu.launch(forward, stream), SUCCESS);
        gpu.finish(stream);
        assert_eq!(gpu.fault, None);
    }
}

#[test]
fn a_second_launch_frees_what_the_first_left_or_fails() {
    let (mut gpu, stream, from) = gpu(true);
    let sum = gpu.memory.alloc(LEN).unwrap();
    let (forward, _, kept) = two(&mut gpu, stream, [from, sum], true);
    for value in [1, 2] {
        set(&mut gpu, from, value);
        assert_eq!(gpu.launch(forward, stream), SUCCESS);
        gpu.finish(stream);
        assert_eq!(gpu.fault, None);
        assert_eq!(get(&gpu, kept), 10 * value);
    }
    assert_eq!((gpu.memory.graphs.used, gpu.memory.graphs.used_high), (LEN, LEN));

    let (forward, _, _) = two(&mut gpu, stream, [from, sum], false);
    for _ in 0..2 {
        gpu.launch(forward, stream);
    }
    gpu.finish(stream);
    let fault = gpu.fault.unwrap();
    assert!(
        fault.contains("a graph's memory") && fault.contains("still there"),
        "{fault}"
    );
}

#[test]
fn what_frees_memory_that_is_not_there_fails() {
    let (mut gpu, stream, from) = gpu(false);
    let sum = gpu.memory.alloc(LEN).unwrap();
    let (_, _, kept) = two(&mut gpu, stream, [from, sum], true);
    let (_, frees, ()) = record(&mut gpu, stream, true, |gpu| {
        assert_eq!(gpu.record_free(stream, kept), SUCCESS);
    });
    gpu.launch(frees, stream);
    assert!(gpu.fault.is_some_and(|fault| fault.contains("freed before")));
}

#[test]
fn a_graph_that_is_gone_leaves_its_memory() {
    let (mut gpu, stream, from) = gpu(false);
    set(&mut gpu, from, 7);
    let mut keeping = || {
        record(&mut gpu, stream, true, |gpu| {
            let kept = gpu.record_take(stream, LEN).unwrap();
            with(gpu, stream, [from, kept], |from, kept| *kept = *from);
            kept
        })
    };
    let ((graph, ready, kept), (unused, unused_ready, never)) = (keeping(), keeping());
    assert_eq!(gpu.instantiate(graph, true), Err(INVALID_VALUE), "it has memory");
    assert_eq!(gpu.launch(ready, stream), SUCCESS);
    assert_eq!(gpu.destroy_ready(ready), SUCCESS);
    assert_eq!(gpu.destroy_recorded(graph), SUCCESS);
    assert_eq!(get(&gpu, kept), 7);
    gpu.memory.free(kept).unwrap();
    assert_eq!(gpu.memory.graphs.used, 0);

    assert_eq!(gpu.destroy_ready(unused_ready), SUCCESS);
    assert!(!gpu.memory.is_given_up(never));
    assert_eq!(gpu.destroy_recorded(unused), SUCCESS);
    assert!(gpu.memory.is_given_up(never));
    assert_eq!(gpu.launch(ready, stream), INVALID_VALUE);
    assert_eq!(gpu.destroy_ready(ready), INVALID_VALUE);
}
