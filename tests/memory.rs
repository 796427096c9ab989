//! The memory of a step that `plan` estimates, compared with what a step takes.

use candle_core::Device;
use glad::check::check;
use glad::load::{LoadOptions, load};
use glad::program::memory;
use glad::run::Rehearsal;
use glad_nodes::Precision;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts the bytes that are allocated.
struct Counting;

static NOW: AtomicU64 = AtomicU64::new(0);
static MOST: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size() as u64, Relaxed) + layout.size() as u64;
        MOST.fetch_max(now, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(p, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that the plan estimates, and bytes that two steps take.
fn estimated_and_taken(graph: &str, setting: Option<&str>, set: &[&str]) -> (u64, u64) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let options = LoadOptions {
        graph: root.join(graph),
        setting: setting.map(|s| root.join(s)),
        with: vec![],
        set: set.iter().map(|s| s.to_string()).collect(),
    };
    let graph = load(&options).unwrap_or_else(|e| panic!("{e}"));
    let checked = check(&graph, &glad::nodes::registry()).unwrap_or_else(|e| panic!("{e}"));
    let reported = memory(&checked.phases["main"], Precision::F32).total();
    let before = NOW.load(Relaxed);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        let mut rehearsal = Rehearsal::new(&graph, &checked, "main", &Device::Cpu).unwrap();
        rehearsal.step().unwrap();
        // The second step has momentum from the beginning.
        MOST.store(NOW.load(Relaxed), Relaxed);
        rehearsal.step().unwrap();
    });
    (reported, MOST.load(Relaxed) - before)
}

#[test]
fn the_plan_tells_a_steps_memory_within_15_percent() {
    let tsm = Some("graphs/settings/kinetics_babel_tsm.toml");
    let i3d = Some("graphs/settings/kinetics_babel_i3d.toml");
    let one = ["phases.main.batch=1", "dims.L=0"];
    let again = ["phases.main.batch=1", "dims.L=0", "nodes.backbone.recompute=true"];
    let mut ratios = vec![];
    for (name, graph, setting, set) in [
        ("the small network", "graphs/full.toml", None, &[][..]),
        ("TSM-R50", "graphs/source_only.toml", tsm, &one[..]),
        ("TSM-R50, computed again", "graphs/source_only.toml", tsm, &again[..]),
        ("I3D-R50", "graphs/source_only.toml", i3d, &one[..]),
        ("three rounds", "graphs/methods/mcd.toml", None, &[][..]),
        (
            "three rounds in parts",
            "graphs/methods/mcd.toml",
            None,
            &["phases.main.micro_batch=2"][..],
        ),
        (
            "batches that differ by stream",
            "graphs/dann.toml",
            None,
            &["phases.main.batch={ source = 9, target = 3 }"][..],
        ),
        ("I3D-R50, computed again", "graphs/source_only.toml", i3d, &again[..]),
    ] {
        let (reported, taken) = estimated_and_taken(graph, setting, set);
        let ratio = reported as f64 / taken as f64;
        println!(
            "{name}: {} MiB planned, {} MiB used, {ratio:.3}",
            reported >> 20,
            taken >> 20
        );
        ratios.push((name, ratio));
    }
    for (name, ratio) in ratios {
        assert!((0.85..=1.15).contains(&ratio), "{name}: {ratio:.3}");
    }
}
