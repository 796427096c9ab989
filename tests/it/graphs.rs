//! Every graph of this repository is valid, with every setting that it can run in.

use crate::common::*;
use glad::load::{LoadOptions, load};
use std::path::PathBuf;

fn graphs_in(folder: &str) -> Vec<PathBuf> {
    let dir = repository().join("graphs").join(folder);
    let mut v: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect();
    v.sort();
    v
}

#[test]
fn all_graphs_are_valid() {
    let printed = ok(&["check", "graphs"]);
    assert!(printed.contains(" 0 wrong"), "{printed}");
    for g in [
        "graphs/full.toml",
        "graphs/released.toml",
        "graphs/ablations/2b_g0_l3.toml",
        "graphs/methods/cdan.toml",
    ] {
        assert!(
            printed.contains(&format!("ok    {g}")),
            "{g} was not checked:\n{printed}"
        );
    }
}

#[test]
fn methods_and_settings_combine() {
    for setting in [
        "mini",
        "smoke",
        "kinetics_babel_tsm",
        "kinetics_babel_i3d",
        "kinetics_babel_inception",
        "own_videos",
        "ucf_hmdb",
        "hmdb_ucf",
        "epic_kitchens",
        "mixamo_kinetics",
        "mini_flow",
        "epic_kitchens_flow",
    ] {
        let has_flow = setting.ends_with("_flow");
        let setting = repository()
            .join(format!("graphs/settings/{setting}.toml"))
            .display()
            .to_string();
        let mut args = vec!["check".to_string()];
        for folder in ["", "ablations", "methods"] {
            args.extend(
                graphs_in(folder)
                    .iter()
                    // These bring their own data.
                    .filter(|p| {
                        ![
                            "released.toml",
                            "gap.toml",
                            "dann_features.toml",
                            "ta3n.toml",
                            "transvae.toml",
                        ]
                        .iter()
                        .any(|own| p.ends_with(own))
                    })
                    // Nodes of the flow's network read those of the method.
                    .filter(|p| WITH_FLOW.iter().any(|m| p.ends_with(format!("{m}.toml"))) == has_flow)
                    .map(|p| p.display().to_string()),
            );
        }
        args.extend(["--setting".into(), setting]);
        ok(&args);
    }
}

/// Each pair of kitchens has its own lists, and all else alike.
#[test]
fn settings_of_pairs_swap_lists_alone() {
    let lists = |setting: &str| -> [String; 2] {
        let options = LoadOptions {
            setting: Some(setting.into()),
            ..LoadOptions::of("full")
        };
        let graph = load(&options).unwrap_or_else(|p| panic!("{setting}: {p}"));
        let videos = &graph.nodes["videos"];
        assert_eq!(
            videos.params["classes"].items().map(<[_]>::len),
            Some(graph.dims["K"].value),
            "{setting}"
        );
        ["source", "target"].map(|s| {
            let train = videos.per_stream[s]["list"].entries().unwrap()["train"].text().unwrap();
            let name = train.rsplit('/').next().unwrap();
            name.split('_').next().unwrap().to_string()
        })
    };
    assert_eq!(lists("ucf_hmdb"), ["ucf", "hmdb"]);
    assert_eq!(lists("hmdb_ucf"), ["hmdb", "ucf"]);
    assert_eq!(lists("epic_kitchens"), ["D1", "D2"]);
    for (s, t) in [(1, 3), (2, 1), (2, 3), (3, 1), (3, 2)] {
        let name = format!("epic_kitchens_d{s}_d{t}");
        assert_eq!(lists(&name), [format!("D{s}"), format!("D{t}")], "{name}");
    }
}

#[test]
fn the_papers_scale_is_planned_without_its_data() {
    for (setting, parameters) in [("kinetics_babel_tsm", "23,508,032"), ("kinetics_babel_i3d", "")] {
        let setting = repository()
            .join(format!("graphs/settings/{setting}.toml"))
            .display()
            .to_string();
        let printed = ok(&["plan", &graph("full.toml"), "--setting", &setting]);
        assert!(printed.contains(parameters), "{printed}");
        assert!(printed.contains("Clip[B,3,8,224,224,3]"), "{printed}");
        assert!(
            printed.contains("in flight"),
            "the queue's memory has a bound:\n{printed}"
        );
    }
}

/// The numbers of the paper are in the graphs of their rows, each under the setting of its table only: those of Table 2
/// are of TSM, those of Table 3 of I3D.
#[test]
fn rows_of_the_paper_expect_its_numbers() {
    let expect = |row: &str, setting: &str| {
        let options = LoadOptions {
            setting: Some(setting.into()),
            ..LoadOptions::of(repository().join("graphs").join(row))
        };
        let graph = load(&options).unwrap_or_else(|p| panic!("{row}: {p}"));
        graph.expect.map(|e| e.value)
    };
    let (tsm, i3d) = ("kinetics_babel_tsm", "kinetics_babel_i3d");
    for (row, number) in [
        ("ablations/2a_source_only.toml", "18.5 ± 1.5"),
        ("ablations/2a_cross.toml", "26.7 ± 1.6"),
        ("ablations/2b_g2_l1.toml", "30.1 ± 4.4"),
        ("ablations/2c_tol.toml", "33.4 ± 1.7"),
        ("ablations/2d_debias.toml", "36.7 ± 3.6"),
        ("full.toml", "37.7 ± 2.5"),
    ] {
        assert_eq!(expect(row, tsm).as_deref(), Some(number), "{row}");
        assert_eq!(expect(row, "smoke"), None, "{row}");
    }
    for (row, number) in [
        ("full.toml", "33.7 ± 1.8"),
        ("dann.toml", "29.3 ± 1.5"),
        ("supervised_target.toml", "76.7 ± 2.1"),
    ] {
        assert_eq!(expect(row, i3d).as_deref(), Some(number), "{row}");
    }
    assert_eq!(expect("dann.toml", tsm), None);
    assert_eq!(expect("ablations/2a_all.toml", i3d), None);
    assert_eq!(graphs_in("ablations").len(), 6 + 6 + 4 + 4);
}

/// Editors' tools read TOML 1.0: no newlines or trailing commas in inline tables.
#[test]
fn shipped_files_are_toml_1_0() {
    for folder in ["", "lib", "settings", "ablations", "methods"] {
        for g in graphs_in(folder) {
            let text = std::fs::read_to_string(&g).unwrap();
            toml_edit::ImDocument::parse(text.as_str()).unwrap_or_else(|e| panic!("{}: {e}", g.display()));
        }
    }
}

/// The training from files of `tools/gpu/measure.py`.
#[test]
fn the_setting_that_feeds_a_gpu_is_valid() {
    let full = graph("full.toml");
    let fed = repository().join("tools/gpu/fed.toml").display().to_string();
    let sets = [
        "run=[\"main\"]",
        "precision=bf16",
        "phases.main.batch=24",
        "phases.main.epochs=100000",
    ];
    let mut args = vec!["plan", &full, "--setting", &fed];
    args.extend(sets.iter().flat_map(|s| ["--set", s]));
    let printed = ok(&args);
    assert!(printed.contains("main: 100000 epochs; 24 videos of each"), "{printed}");
    assert!(printed.contains("clips Clip[B,3,8,224,224,3]"), "{printed}");
}
