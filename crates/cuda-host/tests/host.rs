//! The device in this process is strict: it reports what a GPU would not.
#![cfg(not(feature = "gpu"))]

mod common;
use common::F32;
use glad_cuda::{Arg, Gpu, Launch};
use glad_cuda_host::Host;

fn launch(host: &Host, kernel: &'static str, block: [u32; 3], args: &[Arg<'_>]) -> Result<(), String> {
    let launch = Launch {
        module: "faults",
        kernel,
        grid: [1, 1, 1],
        block,
    };
    // SAFETY: the device must report what is wrong with these launches before it does any harm; a write that misses its memory
    // by a few bytes lands in the zone around it.
    unsafe { host.launch(&launch, args) }.map_err(|e| e.to_string())
}

#[test]
fn arguments_arrive() {
    let host = Host::new();
    let mut to = F32.room(&host, 1);
    let words = [16, 32f32.to_bits()];
    let args = [
        Arg::Address(to.write().address()),
        Arg::U32(1),
        Arg::I32(-2),
        Arg::U64(4 << 32),
        Arg::F32(8.5),
        Arg::Words(&words),
    ];
    launch(&host, "fault_none", [1, 1, 1], &args).unwrap();
    assert_eq!(to.get(), [59.5]);
}

#[test]
fn arguments_of_another_kind_are_reported() {
    let host = Host::new();
    let printed = |kernel, args: &[Arg<'_>]| launch(&host, kernel, [32, 1, 1], args).unwrap_err();
    assert_eq!(
        printed("fault_barrier", &[]),
        "faults/fault_barrier: it takes 1 arguments, not 0"
    );
    assert_eq!(
        printed("fault_barrier", &[Arg::F32(1.0)]),
        "faults/fault_barrier: argument 0 is F32(1.0) of 4 bytes, and the parameter of kind `u` has 4"
    );
    // A kernel of another module is not found.
    for kernel in ["fault_barriers", "sgd_clip"] {
        assert_eq!(
            printed(kernel, &[]),
            format!("faults/{kernel}: there is no such kernel")
        );
    }
}

#[test]
fn sizes_beyond_cudas_are_reported() {
    let host = Host::new();
    let printed = |block| launch(&host, "fault_barrier", block, &[Arg::U32(0)]).unwrap_err();
    assert!(printed([2048, 1, 1]).contains("a block of [2048, 1, 1] threads has to be 1 to [1024, 1024, 64]"));
    assert!(printed([64, 64, 1]).contains("holds 4096 threads; 1024 is the most"));
    assert!(printed([0, 1, 1]).contains("a block of [0, 1, 1]"));
    let launch = Launch {
        module: "faults",
        kernel: "fault_barrier",
        grid: [1, 65_536, 1],
        block: [1, 1, 1],
    };
    // SAFETY: as above.
    let e = unsafe { host.launch(&launch, &[Arg::U32(0)]) }.unwrap_err().to_string();
    assert!(e.contains("a grid of [1, 65536, 1] blocks"), "{e}");
}

#[test]
fn barriers_that_some_threads_miss_are_reported() {
    for host in [Host::new(), Host::reversed()] {
        let with = |threads| launch(&host, "fault_barrier", [64, 1, 1], &[Arg::U32(threads)]);
        with(64).unwrap();
        with(0).unwrap();
        let e = with(40).unwrap_err();
        assert_eq!(
            e,
            "faults/fault_barrier: block [0, 0, 0]: 40 of 64 threads come to a barrier"
        );
    }
}

#[test]
fn shuffles_that_some_lanes_miss_are_reported() {
    let host = Host::new();
    let mut to = F32.room(&host, 1);
    let mut with = |threads, block| {
        let args = [Arg::U32(threads), Arg::Address(to.write().address())];
        launch(&host, "fault_shuffle", [block, 1, 1], &args)
    };
    with(64, 64).unwrap();
    assert!(
        with(33, 64)
            .unwrap_err()
            .contains("1 threads of warp 1 come to a shuffle, not 32")
    );
    assert!(
        with(48, 48)
            .unwrap_err()
            .contains("16 threads of warp 1 come to a shuffle")
    );
}

/// With the address sanitizer, they end the process.
#[cfg(not(feature = "sanitizer"))]
#[test]
fn writes_that_miss_are_reported() {
    for (at, printed) in [
        (4, "it wrote 0 bytes behind the end of memory of 16"),
        (9, "it wrote 20 bytes behind the end of memory of 16"),
        (-1, "it wrote 1 bytes before the beginning of memory of 16"),
    ] {
        let host = Host::new();
        let mut to = F32.room(&host, 4);
        let args = [Arg::Address(to.write().address()), Arg::I32(at)];
        let e = launch(&host, "fault_write", [1, 1, 1], &args).unwrap_err();
        assert_eq!(e, format!("faults/fault_write: {printed}"));
    }
}

#[test]
fn races_show_in_the_opposite_order() {
    let [a, b] = [Host::new(), Host::reversed()].map(|host| {
        let mut to = F32.room(&host, 1);
        launch(&host, "fault_race", [64, 1, 1], &[Arg::Address(to.write().address())]).unwrap();
        to.get()[0]
    });
    assert_eq!([a, b], [63.0, 0.0]);
}
