//! The threads of a block: coroutines, each of which runs up to a barrier, a shuffle or its end.

use crate::shim::{self, Kernel};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use glad_cuda::Launch;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;

/// The order in which threads run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Forward,
    Backward,
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Block,
    Warp,
}

type Thread = Coroutine<(), Wait, (), DefaultStack>;

/// Threads of a warp.
const WARP: usize = 32;
/// Bytes of a thread's stack.
const STACK: usize = 1 << 17;

thread_local! {
    /// The yielder of the running thread.
    static YIELDER: Cell<*const Yielder<(), Wait>> = const { Cell::new(std::ptr::null()) };
    /// Unused stacks.
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

/// Called by the kernels.
#[unsafe(no_mangle)]
extern "C" fn glad_host_wait(wait: u32) {
    let wait = if wait == 1 { Wait::Warp } else { Wait::Block };
    let yielder = YIELDER.get();
    // SAFETY: kernels run only in coroutines; resuming one sets its yielder, which lives as long as it runs.
    unsafe { &*yielder }.suspend(wait);
}

enum State {
    New,
    Waiting {
        thread: Thread,
        yielder: *const Yielder<(), Wait>,
        wait: Option<Wait>,
    },
    Done,
}

impl State {
    fn waits_for(&self, what: Wait) -> bool {
        matches!(self, State::Waiting { wait: Some(w), .. } if *w == what)
    }

    fn go_on(&mut self) {
        if let State::Waiting { wait, .. } = self {
            *wait = None;
        }
    }
}

/// Threads that still wait when an error occurs are dropped without unwinding.
struct Threads(Vec<State>);

impl Drop for Threads {
    fn drop(&mut self) {
        for state in &mut self.0 {
            if let State::Waiting { thread, .. } = state {
                // SAFETY: its stack only holds kernel variables, which own nothing.
                unsafe { thread.force_reset() };
            }
        }
    }
}

/// Runs block `at` of a launch.
///
/// # Safety
/// As [`Kernel::call`].
pub(crate) unsafe fn run(
    kernel: &'static Kernel,
    arguments: &[*const c_void],
    launch: &Launch,
    at: [u32; 3],
    order: Order,
) -> Result<(), String> {
    shim::begin_block(launch.grid, launch.block, at);
    let [bx, by, bz] = launch.block.map(|n| n as usize);
    let mut threads = Threads((0..bx * by * bz).map(|_| State::New).collect());
    let arguments: *const [*const c_void] = arguments;
    loop {
        let warps = threads.0.len().div_ceil(WARP);
        for warp in in_order(warps, order) {
            let first = warp * WARP;
            let end = threads.0.len().min(first + WARP);
            loop {
                for lane in in_order(end - first, order) {
                    let i = first + lane;
                    shim::become_thread([i % bx, i / bx % by, i / bx / by].map(|n| n as u32));
                    // SAFETY: the caller's promise; the arguments outlive the block's threads.
                    unsafe { step(&mut threads.0[i], kernel, arguments) };
                }
                let lanes = &mut threads.0[first..end];
                match lanes.iter().filter(|t| t.waits_for(Wait::Warp)).count() {
                    0 => break,
                    WARP => lanes.iter_mut().for_each(State::go_on),
                    some => return Err(format!("{some} threads of warp {warp} come to a shuffle, not {WARP}")),
                }
            }
        }
        let waiting = threads.0.iter().filter(|t| t.waits_for(Wait::Block)).count();
        match waiting {
            0 => return Ok(()),
            all if all == threads.0.len() => threads.0.iter_mut().for_each(State::go_on),
            some => return Err(format!("{some} of {} threads come to a barrier", threads.0.len())),
        }
    }
}

fn in_order(n: usize, order: Order) -> impl Iterator<Item = usize> {
    (0..n).map(move |i| if order == Order::Forward { i } else { n - 1 - i })
}

/// Runs a thread up to its next wait or its end.
///
/// # Safety
/// As [`Kernel::call`], and the arguments outlive the thread.
unsafe fn step(state: &mut State, kernel: &'static Kernel, arguments: *const [*const c_void]) {
    let (mut thread, yielder) = match std::mem::replace(state, State::Done) {
        State::Done => return,
        waiting @ State::Waiting { wait: Some(_), .. } => return *state = waiting,
        State::Waiting { thread, yielder, .. } => (thread, yielder),
        State::New => {
            let spare = STACKS.with_borrow_mut(Vec::pop);
            let stack = spare.unwrap_or_else(|| DefaultStack::new(STACK).expect("memory for a stack"));
            let thread = Coroutine::with_stack(stack, move |yielder: &Yielder<(), Wait>, ()| {
                YIELDER.set(yielder);
                // SAFETY: the caller's promise.
                unsafe { kernel.call(&*arguments) };
            });
            (thread, std::ptr::null())
        }
    };
    YIELDER.set(yielder);
    match thread.resume(()) {
        CoroutineResult::Yield(wait) => {
            *state = State::Waiting {
                thread,
                // The thread set its yielder when it began, and has yielded to this function since.
                yielder: YIELDER.get(),
                wait: Some(wait),
            };
        }
        CoroutineResult::Return(()) => STACKS.with_borrow_mut(|stacks| stacks.push(thread.into_stack())),
    }
}
