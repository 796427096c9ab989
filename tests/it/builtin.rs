//! The program alone, in a folder without a checkout.

use crate::common::*;
use glad::load::{Use, built_ins};
use std::path::Path;
use std::process::Output;

/// Runs `glad-run` in a folder.
fn there(dir: &Path, args: &[&str]) -> Output {
    command(args).current_dir(dir).output().expect("the program starts")
}

fn printed(out: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    )
}

#[test]
fn graphs_and_settings_need_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let graphs: Vec<&str> = built_ins()
        .filter(|b| b.used_as() == Use::Graph)
        .map(|b| b.name)
        .collect();
    let mut args = vec!["check"];
    args.extend(&graphs);
    let out = there(dir.path(), &args);
    assert_eq!(out.status.code(), Some(0), "{}", printed(&out));
    assert!(
        printed(&out).contains(&format!("{} graphs, 0 wrong", graphs.len())),
        "{}",
        printed(&out)
    );
    for line in [
        &["check", "full", "--setting", "own_videos", "--with", "ablations/2c_bg"][..],
        &["check", "glad:methods/cdan", "--set", "setting=smoke"],
        &["diff", "full", "dann"],
        &["draw", "gap"],
        &["list"],
    ] {
        let out = there(dir.path(), line);
        assert_eq!(out.status.code(), Some(0), "{line:?} {}", printed(&out));
    }
    let explained = printed(&there(dir.path(), &["explain", "full", "phases.main.steps"]));
    assert!(explained.contains("glad:settings/mini:"), "{explained}");
    assert!(
        std::fs::read_dir(dir.path()).unwrap().next().is_none(),
        "nothing was written"
    );
}

/// A mistake in an overlay of a built-in graph is shown at both of its ends.
#[test]
fn messages_show_built_in_files() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("mine.toml"),
        "extends = \"glad:full\"\n\n[nodes.ce]\nkind = \"cross_entropy\"\n",
    )
    .unwrap();
    let text = printed(&there(dir.path(), &["check", "mine.toml"]));
    assert!(text.contains("[mine.toml:4:") && text.contains("[glad:full:"), "{text}");
    assert!(
        text.contains("[nodes.ce]\n"),
        "the built-in file's lines are shown\n{text}"
    );
}

#[test]
fn a_file_of_the_name_wins() {
    let dir = tempfile::tempdir().unwrap();
    let explained = |args: &[&str]| printed(&there(dir.path(), args));
    std::fs::write(
        dir.path().join("full"),
        "extends = \"glad:full\"\nset.phases.main.steps = 7\n",
    )
    .unwrap();
    let own = explained(&["explain", "full", "phases.main.steps"]);
    assert!(own.starts_with("phases.main.steps = 7"), "{own}");
    let built_in = explained(&["explain", "glad:full", "phases.main.steps"]);
    assert!(built_in.starts_with("phases.main.steps = 300"), "{built_in}");
    // A folder is not a file.
    std::fs::create_dir(dir.path().join("dann")).unwrap();
    let text = explained(&["explain", "dann", "title"]);
    assert!(text.contains("\"DANN\""), "{text}");
}

/// Data of built-in files are in the current folder; an overlay's own are next to it.
#[test]
fn data_are_meant_from_where_they_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = printed(&there(
        dir.path(),
        &[
            "full",
            "--setting",
            "kinetics_babel_tsm",
            "--set",
            "nodes.backbone.init=random",
        ],
    ));
    assert!(text.contains(" data/k400_train.txt"), "{text}");
    std::fs::create_dir(dir.path().join("own")).unwrap();
    std::fs::write(
        dir.path().join("own/mine.toml"),
        "extends = \"glad:settings/own_videos\"\nset.nodes.videos.source.list.train = \"lists/a.txt\"\n\
         set.nodes.videos.source.list.val = \"~/no such folder/b.txt\"\n",
    )
    .unwrap();
    let text = printed(&there(dir.path(), &["full", "--setting", "own/mine.toml"]));
    assert!(
        text.contains("own/lists/a.txt") && text.contains(" data/target_train.txt"),
        "{text}"
    );
    let home = std::env::home_dir().unwrap().join("no such folder/b.txt");
    assert!(text.contains(&home.display().to_string()), "{text}");
}

#[test]
fn names_that_are_nearly_right() {
    let dir = tempfile::tempdir().unwrap();
    for (line, code, help) in [
        (&["ful"][..], 1, "did you mean `full`?"),
        (&["full", "--setting", "smok"], 1, "did you mean `smoke`?"),
        (
            &["smoke"],
            1,
            "`smoke` is a setting: write `--setting smoke` behind a graph",
        ),
        (&["nodess"], 2, "no such command: did you mean `nodes`?"),
        (&["chekc", "full"], 2, "did you mean `check`?"),
        (
            &["nodes", "i3d"],
            2,
            "there is no node kind `i3d`: did you mean `i3d_r50` or `i3d_inception`?",
        ),
        (&["new", "own_video"], 2, "did you mean `own_videos`?"),
        (&["draw", "full", "-o", "x.png"], 2, "write x.svg"),
    ] {
        let out = there(dir.path(), line);
        assert_eq!(out.status.code(), Some(code), "{line:?} {}", printed(&out));
        assert!(printed(&out).contains(help), "{line:?} {}", printed(&out));
    }
    assert!(!dir.path().join("x.png").exists());
}
