//! What launches do to memory, on separate GPUs.

use crate::driver::{INVALID_VALUE, SUCCESS};
use crate::queue::Card;

const LEN: usize = 8;

/// A GPU with a stream, and a value in memory of the pool.
fn card(late: bool) -> (Card, u64, usize) {
    let mut card = Card::new(late);
    let stream = card.new_stream();
    let at = card.memory.alloc(LEN).unwrap();
    (card, stream, at)
}

/// Queues work on the values at two addresses.
fn with(card: &mut Card, stream: u64, [a, b]: [usize; 2], act: impl Fn(&mut u64, &mut u64) + Send + Sync + 'static) {
    card.work(stream, "a test".into(), move |memory| {
        memory.check(a as u64, LEN)?;
        memory.check(b as u64, LEN)?;
        // SAFETY: checked, and different.
        act(unsafe { &mut *(a as *mut u64) }, unsafe { &mut *(b as *mut u64) });
        Ok(())
    });
}

fn set(card: &mut Card, at: usize, value: u64) {
    card.memory.check(at as u64, LEN).unwrap();
    // SAFETY: checked.
    unsafe { *(at as *mut u64) = value };
}

fn get(card: &Card, at: usize) -> u64 {
    card.memory.check(at as u64, LEN).unwrap();
    // SAFETY: checked.
    unsafe { *(at as *const u64) }
}

/// Records the work of `body`, and returns the graph and its executable.
fn record<R>(card: &mut Card, stream: u64, auto: bool, body: impl FnOnce(&mut Card) -> R) -> (u64, u64, R) {
    assert_eq!(card.begin_recording(stream), SUCCESS);
    let gave = body(card);
    let graph = card.end_recording(stream).unwrap();
    let ready = card.instantiate(graph, auto).unwrap();
    (graph, ready, gave)
}

/// A graph that stores ten times a value in memory that it allocates, and another that adds this to a sum and frees it.
fn two(card: &mut Card, stream: u64, [from, sum]: [usize; 2], auto: bool) -> (u64, u64, usize) {
    let (_, forward, kept) = record(card, stream, auto, |card| {
        let kept = card.record_take(stream, LEN).unwrap();
        with(card, stream, [from, kept], |from, kept| *kept = 10 * *from);
        kept
    });
    let (_, backward, ()) = record(card, stream, auto, |card| {
        with(card, stream, [kept, sum], |kept, sum| *sum += *kept);
        assert_eq!(card.record_free(stream, kept), SUCCESS);
    });
    (forward, backward, kept)
}

#[test]
fn what_is_recorded_is_done_by_each_launch_and_not_before() {
    for late in [false, true] {
        let (mut card, stream, at) = card(late);
        let other = card.memory.alloc(LEN).unwrap();
        set(&mut card, at, 1);
        let (_, ready, ()) = record(&mut card, stream, true, |card| {
            with(card, stream, [at, other], |at, _| *at *= 3);
        });
        card.finish(stream);
        assert_eq!(get(&card, at), 1, "it was done while it was recorded");
        for expected in [3, 9] {
            let before = get(&card, at);
            assert_eq!(card.launch(ready, stream), SUCCESS);
            if late {
                assert_eq!(get(&card, at), before, "it was done before it had to be");
            }
            card.finish(stream);
            assert_eq!(get(&card, at), expected);
        }
        assert_eq!(card.fault, None);
    }
}

#[test]
fn memory_of_one_graph_is_freed_by_another() {
    for late in [false, true] {
        let (mut card, stream, from) = card(late);
        let sum = card.memory.alloc(LEN).unwrap();
        set(&mut card, sum, 0);
        let (forward, backward, kept) = two(&mut card, stream, [from, sum], false);
        assert!(!card.memory.is_live(kept));
        for (value, expected) in [(1, 10), (2, 30), (3, 60)] {
            set(&mut card, from, value);
            assert_eq!(card.launch(forward, stream), SUCCESS);
            assert_eq!(card.launch(backward, stream), SUCCESS);
            card.finish(stream);
            assert_eq!(card.fault, None);
            assert_eq!(get(&card, sum), expected);
            assert!(!card.memory.is_live(kept));
        }
        assert_eq!((card.memory.graphs.used, card.memory.graphs.used_high), (0, LEN));
        assert_eq!(card.memory.pool.used, 2 * LEN);

        // And by an ordinary free.
        set(&mut card, from, 4);
        assert_eq!(card.launch(forward, stream), SUCCESS);
        card.finish(stream);
        assert_eq!(get(&card, kept), 40);
        card.work(stream, "free".into(), move |memory| memory.free(kept));
        assert_eq!(card.launch(forward, stream), SUCCESS);
        card.finish(stream);
        assert_eq!(card.fault, None);
    }
}

#[test]
fn a_second_launch_frees_what_the_first_left_or_fails() {
    let (mut card, stream, from) = card(true);
    let sum = card.memory.alloc(LEN).unwrap();
    let (forward, _, kept) = two(&mut card, stream, [from, sum], true);
    for value in [1, 2] {
        set(&mut card, from, value);
        assert_eq!(card.launch(forward, stream), SUCCESS);
        card.finish(stream);
        assert_eq!(card.fault, None);
        assert_eq!(get(&card, kept), 10 * value);
    }
    assert_eq!((card.memory.graphs.used, card.memory.graphs.used_high), (LEN, LEN));

    let (forward, _, _) = two(&mut card, stream, [from, sum], false);
    for _ in 0..2 {
        card.launch(forward, stream);
    }
    card.finish(stream);
    let fault = card.fault.unwrap();
    assert!(
        fault.contains("a graph's memory") && fault.contains("still there"),
        "{fault}"
    );
}

#[test]
fn what_frees_memory_that_is_not_there_fails() {
    let (mut card, stream, from) = card(false);
    let sum = card.memory.alloc(LEN).unwrap();
    let (_, _, kept) = two(&mut card, stream, [from, sum], true);
    let (_, frees, ()) = record(&mut card, stream, true, |card| {
        assert_eq!(card.record_free(stream, kept), SUCCESS);
    });
    card.launch(frees, stream);
    assert!(card.fault.is_some_and(|fault| fault.contains("freed before")));
}

#[test]
fn a_graph_that_is_gone_leaves_its_memory() {
    let (mut card, stream, from) = card(false);
    set(&mut card, from, 7);
    let mut keeping = || {
        record(&mut card, stream, true, |card| {
            let kept = card.record_take(stream, LEN).unwrap();
            with(card, stream, [from, kept], |from, kept| *kept = *from);
            kept
        })
    };
    let ((graph, ready, kept), (unused, unused_ready, never)) = (keeping(), keeping());
    assert_eq!(card.instantiate(graph, true), Err(INVALID_VALUE), "it has memory");
    assert_eq!(card.launch(ready, stream), SUCCESS);
    assert_eq!(card.destroy_ready(ready), SUCCESS);
    assert_eq!(card.destroy_recorded(graph), SUCCESS);
    assert_eq!(get(&card, kept), 7);
    card.memory.free(kept).unwrap();
    assert_eq!(card.memory.graphs.used, 0);

    assert_eq!(card.destroy_ready(unused_ready), SUCCESS);
    assert!(!card.memory.is_given_up(never));
    assert_eq!(card.destroy_recorded(unused), SUCCESS);
    assert!(card.memory.is_given_up(never));
    assert_eq!(card.launch(ready, stream), INVALID_VALUE);
    assert_eq!(card.destroy_ready(ready), INVALID_VALUE);
}
