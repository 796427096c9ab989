//! The commands other than a run: what they print, and their exit codes.

use crate::common::*;

#[test]
fn explain_names_the_file_that_set_a_value() {
    let printed = ok(&["explain", "graphs/full.toml", "phases.main.steps"]);
    assert!(
        printed.contains("300") && printed.contains("graphs/settings/mini.toml:"),
        "{printed}"
    );
    let printed = ok(&[
        "explain",
        "graphs/full.toml",
        "params.bg_prob",
        "--set",
        "params.bg_prob=0.3",
    ]);
    assert!(printed.contains("0.3") && printed.contains("0.5"), "{printed}");
    let out = glad(&["explain", "graphs/full.toml", "phases.main.stepz"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("steps"));
}

#[test]
fn diff_is_structural() {
    let printed = ok(&["diff", "graphs/full.toml", "graphs/dann.toml"]);
    for line in ["- nodes.tol", "+ nodes.dann", "- phases.warmup", "bg_mix"] {
        assert!(printed.contains(line), "{line}:\n{printed}");
    }
    assert!(ok(&["diff", "graphs/full.toml", "graphs/full.toml"]).lines().count() <= 1);
}

#[test]
fn nodes_document_themselves() {
    let printed = ok(&["nodes"]);
    for kind in [
        "video_list",
        "bg_mix",
        "tsm",
        "grl",
        "order_head",
        "cross_entropy",
        "classification",
    ] {
        assert!(printed.contains(kind), "{kind}");
        let page = ok(&["nodes", kind]);
        assert!(page.contains("parameters") || page.contains("inputs"), "{page}");
    }
    let out = glad(&["nodes", "bg_mxi"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("bg_mix"));
}

#[test]
fn the_schema_and_the_picture_in_the_repository_are_up_to_date() {
    let schema = std::fs::read_to_string(repository().join("graphs/graph.schema.json")).unwrap();
    assert_eq!(ok(&["schema"]), schema, "glad-run schema > graphs/graph.schema.json");
    let picture = std::fs::read_to_string(repository().join("graphs/full.svg")).unwrap();
    assert_eq!(
        ok(&["draw", "graphs/full.toml"]),
        picture,
        "glad-run draw graphs/full.toml -o graphs/full.svg"
    );
}

#[test]
fn exit_codes_mean_something() {
    let code = |args: &[&str]| glad(args).status.code();
    assert_eq!(code(&["check", "graphs/full.toml"]), Some(0));
    assert_eq!(code(&["check", "tests/bad_graphs/check_label_leak.toml"]), Some(1));
    assert_eq!(code(&["tests/bad_graphs/check_label_leak.toml"]), Some(1));
    assert_eq!(code(&["--no-such-flag"]), Some(2));
    assert_eq!(
        code(&[
            "check",
            "graphs/full.toml",
            "--setting",
            "graphs/settings/kinetics_babel_tsm.toml",
            "--files"
        ]),
        Some(1)
    );
    assert_eq!(code(&["predict", "--run", "no/such/run", "x.mp4"]), Some(1));
    assert_eq!(code(&["eval", "--run", "no/such/run"]), Some(1));
    // paper-scale settings do not state what weights start from: nothing is read before that is reported
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("r").display().to_string();
    let setting = [
        "graphs/full.toml",
        "--setting",
        "graphs/settings/kinetics_babel_tsm.toml",
    ];
    let failed = glad(&[&setting[..], &["--out", &out]].concat());
    assert_eq!(failed.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&failed.stderr);
    assert!(
        printed.contains("`backbone` starts from: not given") && !printed.contains("k400"),
        "{printed}"
    );
    // then missing data is an error before anything runs, by name
    let failed = glad(&[&setting[..], &["--out", &out, "--set", "nodes.backbone.init=random"]].concat());
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("k400_train.txt"));
    assert!(!dir.path().join("r").exists());
}

/// A target label in a training loss is refused; the message shows the loss and the reference.
#[test]
fn a_label_leak_is_shown_at_both_ends() {
    let dir = tempfile::tempdir().unwrap();
    let overlay = dir.path().join("leak.toml");
    std::fs::write(
        &overlay,
        "[nodes.leak]\nkind = \"cross_entropy\"\ninputs = { logits = \"classify.logits@target\", label = \"batch.label@target\" }\n\n[phases.main.losses]\nleak = 1.0\n",
    )
    .unwrap();
    let out = glad(&["check", "graphs/full.toml", "--with", &overlay.display().to_string()]);
    assert_eq!(out.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(printed.contains("leak.toml:6") && printed.contains("held"), "{printed}");
    // both places: the loss term, and where the label enters
    assert!(printed.contains("leak = 1.0") && printed.contains("label"), "{printed}");
}

/// Two clips against a head of 3! orders need `reset`.
#[test]
fn another_number_of_orders_needs_reset() {
    let out = glad(&["check", "graphs/full.toml", "--set", "phases.main.reset=[]"]);
    assert_eq!(out.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(printed.contains("reset") && printed.contains("tol"), "{printed}");
}

#[test]
fn recording_work_of_a_gpu_needs_one() {
    let dir = tempfile::tempdir().unwrap();
    let (out, smoke) = (dir.path().join("run"), smoke());
    let args = [
        "graphs/full.toml",
        "--setting",
        &smoke,
        "--cuda-graphs",
        "--out",
        out.to_str().unwrap(),
    ];
    let printed = glad(&args);
    assert_eq!(printed.status.code(), Some(2));
    let printed = String::from_utf8_lossy(&printed.stderr).into_owned();
    assert!(
        printed.starts_with("error: --cuda-graphs records work of a GPU, and --device is cpu"),
        "{printed}"
    );
    assert!(!out.exists());
}

#[test]
fn a_plan_may_be_measured() {
    let smoke = smoke();
    let printed = ok(&[
        "plan",
        "graphs/full.toml",
        "--setting",
        &smoke,
        "--measure",
        "2",
        "--workers",
        "1",
        "--threads",
        "1",
    ]);
    let (plan, measured) = printed
        .split_once("\nmeasured: 2 steps of each phase on cpu, 1 worker, 1 thread\n")
        .expect(&printed);
    assert!(plan.contains("phase main:"), "{plan}");
    for phase in ["pretrain", "warmup", "main"] {
        let row = measured
            .lines()
            .find(|l| l.trim_start().starts_with(phase) && l.contains(" ms "))
            .expect(measured);
        assert!(row.contains("% ") && row.contains("about "), "{row}");
        assert!(measured.contains(&format!("  {phase}: ")), "{measured}");
    }
    let refused = glad(&["plan", "graphs/full.toml", "--threads", "2"]);
    assert_eq!(refused.status.code(), Some(2), "threads of a plan that is not measured");
}

#[test]
fn paths_may_begin_with_the_home_folder() {
    let home = tempfile::tempdir().unwrap();
    let here = tempfile::tempdir().unwrap();
    let at_home = |args: &[&str]| {
        let mut c = command(args);
        let done = c
            .current_dir(here.path())
            .env("HOME", home.path())
            .env("GLAD_CACHE", "~/gc")
            .output()
            .unwrap();
        (
            done.status.code(),
            String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned(),
        )
    };
    assert_eq!(at_home(&["new", "own_videos", "--out=~/mine.toml"]).0, Some(0));
    assert!(home.path().join("mine.toml").exists());
    let video = home.path().join("v.mp4");
    own::square(&video, 0, 0, Default::default());
    let (code, printed) = at_home(&["frames", "~/v.mp4", "--index=0", "--out=~/look"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(home.path().join("look/v_00000.png").exists());
    let (code, printed) = at_home(&["frames", "~anna/v.mp4", "--out=look"]);
    assert!(code == Some(2) && printed.contains("write the path out"), "{printed}");
    let (_, printed) = at_home(&["cache"]);
    assert!(
        printed.contains(&home.path().join("gc").display().to_string()),
        "{printed}"
    );
    assert_eq!(
        std::fs::read_dir(here.path()).unwrap().count(),
        0,
        "something was made here"
    );
}

#[test]
fn words_of_the_command_line_that_mean_something_else() {
    for (args, why) in [
        (&["run", "full"][..], "glad-run full\n"),
        (&["train", "full", "--seed", "2"], "glad-run full\n"),
        (&["run"], "glad-run GRAPH"),
        (&["check", "full", "--set", "dims.K"], "expected PATH=VALUE"),
        (
            &["full", "--out", "f.txt"],
            "--out is a folder, and f.txt ends in `.txt`: write f",
        ),
        (&["frames", "v.mp4", "--sheet", "--out", "look.png"], "write look"),
        (&["new", "full", "-o", "x.json"], "a graph file is written as `.toml`"),
    ] {
        let done = glad(args);
        let printed = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{args:?}: {printed}");
        assert!(printed.contains(why), "{args:?}: {printed}");
    }
}
