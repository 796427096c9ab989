//! Checks of lists and graph together, before anything runs: classes and labels against scores, videos that the method
//! may not train on, lists and phases that are too short.
//!
//! A list is read once, and only what the checks need of it is kept.

mod classes;
mod digest;
mod leak;
mod length;
mod order;
mod place;
mod torn;

pub(super) use digest::Lists;
pub(super) use place::{dim, list_place, param};

use super::sink::Sink;
use crate::diag::Place;
use crate::graph::Graph;
use crate::program::{Program, ProgramKind};
use std::collections::HashSet;

/// The context of these checks.
struct Cx<'a> {
    graph: &'a Graph,
    lists: &'a Lists,
    sink: &'a mut Sink,
    about: About,
    /// Class names already reported as more or fewer than a classifier's outputs: where they are, and the classifier.
    named: HashSet<(Place, String)>,
    /// Pairs of lists whose common videos were reported.
    shared: HashSet<[String; 3]>,
}

/// Which checks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// All.
    All,
    /// Only lists against each other and the graph, without checks of the lines of one list.
    Lists,
}

/// Checks the programs of a run against the lists that they read, as far as these exist and are valid.
pub(super) fn check(graph: &Graph, programs: &[&Program], lists: &Lists, about: About, sink: &mut Sink) {
    let mut cx = Cx {
        graph,
        lists,
        sink,
        about,
        named: HashSet::new(),
        shared: HashSet::new(),
    };
    for program in programs {
        classes::check(&mut cx, program);
        if program.kind == ProgramKind::Phase {
            if about == About::All {
                length::check(&mut cx, program);
            }
            order::check(&mut cx, program);
        }
    }
    if about == About::All {
        torn::check(&mut cx, programs);
    }
    leak::check(&mut cx, programs);
}

/// `phase main`, `view infer`.
fn title(program: &Program) -> String {
    match program.kind {
        ProgramKind::Phase => format!("phase {}", program.name),
        ProgramKind::View => format!("view {}", program.name),
    }
}

/// `1 video`, `3 videos`.
fn videos(n: usize) -> String {
    format!("{n} video{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use crate::check::testing::{features, list, list_errors, list_warnings, lists};

    #[test]
    fn sound_lists_are_accepted() {
        assert!(list_warnings(&[], "").is_empty(), "{:?}", list_warnings(&[], ""));
        assert!(list_warnings(&[], "classes = [\"a\", \"b\"]").is_empty());
    }

    #[test]
    fn labels_beyond_the_scores_are_refused() {
        let source = list("source", 8, &["1", "2"]);
        let found = lists(&[("source_train", &source)], "");
        assert_eq!(
            found.list[0].message,
            "label 2 of stream source is beyond the 2 classes of `classify` (0 to 1) (in phase main)"
        );
        let text = found.to_string();
        for part in [
            "source_train.txt:2: label 2; 4 of 8 videos",
            "K = 2",
            "`ce` compares labels",
            "labels begin with 1",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        // In the list of a view alone.
        let test = list("target_test", 8, &["0", "1", "4"]);
        let found = lists(&[("target_test", &test)], "");
        assert_eq!(found.list.len(), 1, "{found}");
        assert!(found.list[0].message.ends_with("(0 to 1) (in view infer)"), "{found}");
        assert!(found.to_string().contains("`dims.K = 5`"), "{found}");
        let overlay = "[set.dims]\nK = 3";
        assert!(list_errors(&[("source_train", &source)], overlay).is_empty());
        // Classes by name.
        let found = lists(&[("source_train", &source)], "classes = [\"a\", \"b\"]");
        let help = found.list[0].help.as_deref().unwrap_or_default();
        assert!(
            found.list[0].message.ends_with("source_train.txt are malformed") && help.lines().count() == 4,
            "{found}"
        );
        let line = "source_train.txt:2: label 2 is beyond the 2 classes (0 to 1); the labels begin with 1, and classes are \
                    numbered from 0: make each label 1 less\n";
        assert!(help.contains(line), "{help}");
    }

    #[test]
    fn names_of_classes_are_as_many_as_scores() {
        let three = "classes = [\"a\", \"b\", \"c\"]";
        let errors = list_errors(&[], three);
        let what = "has 3 classes by name, and `classify` tells 2 apart";
        assert_eq!(errors, [format!("stream source {what} (in phase main)")]);
        let own = "source.classes = [\"a\", \"b\", \"c\"]\ntarget.classes = [\"a\", \"b\", \"d\"]";
        let errors = list_errors(&[], own);
        assert!(
            errors.contains(&format!("stream target {what} (in view infer)")),
            "{errors:?}"
        );
        // A class without a name may be intended.
        let fewer = list_warnings(&[], "classes = [\"a\", \"b\"]\n[set.dims]\nK = 3");
        assert_eq!(
            fewer,
            ["stream source has 2 classes by name, and `classify` tells 3 apart (in phase main)"]
        );
    }

    #[test]
    fn a_loss_needs_a_label_of_every_video() {
        let some = list("source", 8, &["0", "-", "1", "-"]);
        let what = "4 of 8 videos of stream source have no label, and loss `ce` is trained on them (in phase main)";
        assert_eq!(list_errors(&[("source_train", &some)], ""), [what]);
        let none = list("source", 8, &["-"]);
        let what = "no video of stream source has a label, and loss `ce` is trained on them (in phase main)";
        assert_eq!(list_errors(&[("source_train", &none)], ""), [what]);
        // Scoring skips them, and needs at least one with a label.
        assert!(list_warnings(&[("source_test", &some.replace("source/", "test/"))], "").is_empty());
        let none = list("test", 8, &["-"]);
        let what = "no video of stream source has a label, so it cannot be scored (in view infer)";
        assert_eq!(list_warnings(&[("source_test", &none)], ""), [what]);
    }

    #[test]
    fn a_video_has_one_label() {
        // Lines 9 to 12: two of another label, one of the same, one without.
        let again = "source/1.mp4 0\n./source/2.mp4 1\nsource/3.mp4 1\nsource/4.mp4 -\n";
        let source = list("source", 8, &["0", "1"]) + again;
        let test = source.replace("source/", "test/");
        let found = lists(&[("source_test", &test)], "");
        let what = "2 videos of stream source have several labels (in view infer)";
        let torn = found.list.iter().filter(|p| p.message.contains("several labels"));
        assert_eq!(torn.map(|p| p.message.as_str()).collect::<Vec<_>>(), [what], "{found}");
        let text = found.to_string();
        for part in [
            "source_test.txt:2 has 1, and ",
            "source_test.txt:9 has 0; one of 2",
            "keep the right line",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        // In training, too, and by the names of the classes.
        let text = lists(&[("source_train", &source)], "classes = [\"a\", \"b\"]").to_string();
        assert!(text.contains("have several labels (in phase "), "{text}");
        assert!(
            text.contains("has `b`, and ") && text.contains("has `a`; one of 2"),
            "{text}"
        );
        // Segments of one file are several videos.
        let segments: String = (0..8)
            .map(|i| format!("source/0.mp4 {} 10 {}\n", 10 * i, i % 2))
            .collect();
        let others =
            ["source_test", "target_train", "target_test"].map(|n| (n, segments.replace("source/", &format!("{n}/"))));
        let target = others[1].1.replace(" 0\n", " -\n").replace(" 1\n", " -\n");
        let given = [
            ("source_train", segments.as_str()),
            ("source_test", others[0].1.as_str()),
            ("target_train", target.as_str()),
            ("target_test", others[2].1.as_str()),
        ];
        let found = lists(&given, "columns = \"path offset frames label\"");
        assert!(!found.to_string().contains("several labels"), "{found}");
    }

    #[test]
    fn the_best_is_chosen_by_labels_and_by_other_videos() {
        let overlay = "select = \"best\"\n[phases.main]\nvalidate = \"validate\"\n[set.views.validate]\nroots = \
                       [\"scores.mean_class_accuracy@source\"]";
        let none = list("val", 8, &["-"]);
        let what =
            "no video of stream source has a label, and `select = \"best\"` depends on their scores (in view validate)";
        assert_eq!(list_errors(&[("source_test", &none)], overlay), [what]);
        let what =
            "the best state is chosen by 8 of the 8 videos of stream source that it is scored on (in view infer)";
        assert_eq!(list_warnings(&[], overlay), [what]);
    }

    #[test]
    fn a_class_that_is_never_seen_is_reported() {
        let source = list("source", 8, &["0", "2"]);
        let k = "[set.dims]\nK = 3";
        let found = lists(&[("source_train", &source)], k);
        assert_eq!(found.warnings().len(), 1, "{found}");
        assert!(
            found.warnings()[0]
                .ends_with("1 of 3 classes has no video in the training list of stream source (in phase main)")
        );
        // A class without a number 0, where there are no names.
        let source = list("source", 8, &["1", "2"]);
        let text = lists(&[("source_train", &source)], k).to_string();
        assert!(text.contains("do the labels begin with 1?"), "{text}");
        // Classes by name, labels by number and by name.
        let named = format!("classes = [\"class\", \"walk\", \"run\"]\n{k}");
        let text = lists(&[("source_train", &source)], &named).to_string();
        assert!(text.contains("do the labels begin with 1?"), "{text}");
        let source = list("source", 8, &["walk", "run"]);
        let text = lists(&[("source_train", &source)], &named).to_string();
        assert!(
            !text.contains("begin with 1") && text.contains("take `class` out of the names, if it is the heading"),
            "{text}"
        );
        let text = lists(&[("source_train", &source)], &named.replace("K = 3", "K = 2")).to_string();
        assert!(
            !text.contains("begin with 1") && text.contains("take the first name, `class`, out"),
            "{text}"
        );
    }

    #[test]
    fn streams_of_one_classifier_have_the_same_classes() {
        let names = |target: &str| format!("source.classes = [\"a\", \"b\"]\ntarget.classes = {target}");
        assert!(list_warnings(&[], &names("[\"a\", \"b\"]")).is_empty());
        let what = "streams source and target have other classes, and `classify` for both (in view infer)";
        assert_eq!(list_errors(&[], &names("[\"b\", \"a\"]")), [what]);
    }

    #[test]
    fn held_out_videos_are_not_trained_on_with_labels() {
        let source = format!(
            "{}target/3.mp4 1\n./target/../target/5.mp4 0\n",
            list("source", 8, &["0", "1"])
        );
        let what =
            "2 videos of `target`, which is held out, are trained on with labels by stream source (in phase main)";
        assert_eq!(list_errors(&[("source_train", &source)], ""), [what]);
        let text = lists(&[("source_train", &source)], "").to_string();
        for part in [
            "source_train.txt:9 of stream source",
            "target_train.txt:4 of stream target (train)",
            "held out here",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        // The list of its test split as well; without labels there is no leak.
        let source = format!("{}target_test/0.mp4 1\n", list("source", 8, &["0", "1"]));
        let what = "1 video of `target`, which is held out, is trained on with labels by stream source (in phase main)";
        assert_eq!(list_errors(&[("source_train", &source)], ""), [what]);
    }

    /// By another path to the same file, too.
    #[test]
    #[cfg(unix)]
    fn a_link_to_a_held_out_video_is_that_video() {
        let files = tempfile::tempdir().unwrap();
        let at = |name: &str| files.path().join(name);
        std::fs::write(at("held_out.mp4"), "").unwrap();
        std::os::unix::fs::symlink("held_out.mp4", at("link.mp4")).unwrap();
        let source = format!("{}{} 1\n", list("source", 8, &["0", "1"]), at("link.mp4").display());
        let target = format!("{}{} -\n", list("target", 8, &["-"]), at("held_out.mp4").display());
        let what = "1 video of `target`, which is held out, is trained on with labels by stream source (in phase main)";
        assert_eq!(
            list_errors(&[("source_train", &source), ("target_train", &target)], ""),
            [what]
        );
    }

    /// Features are of the videos that they were computed from, wherever they are.
    #[test]
    fn features_of_held_out_videos_are_not_trained_on_with_labels() {
        let head = "video,label,file,shape,offset,frames\n";
        let source = |rows: &str| format!("{head}/videos/source_train/0.mp4,0,0.npy,3x64,,\n{rows}");
        let target = format!("{head}/videos/t/a.mp4,,0.npy,3x64,,\n/videos/t/b.mp4,,1.npy,3x64,0,100\n");
        let leaks = |rows: &str| {
            let given = [("source_train", source(rows)), ("target_train", target.clone())];
            let given = given.each_ref().map(|(n, t)| (*n, t.as_str()));
            let found = features(&given, &[], "");
            let leaks = found.list.iter().filter(|p| p.message.contains("held out"));
            leaks.map(|p| p.message.clone()).collect::<Vec<_>>()
        };
        let what = "1 video of `target`, which is held out, is trained on with labels by stream source (in phase main)";
        assert_eq!(leaks("/videos/t/a.mp4,3,copied.npy,3x64,,\n"), [what]);
        assert_eq!(leaks("/videos/other/../t/a.mp4,3,copied.npy,3x64,,\n"), [what]);
        assert_eq!(leaks("/videos/t/b.mp4,3,copied.npy,3x64,50,100\n"), [what]);
        // Another segment, no label, another video of that name.
        for fine in [
            "/videos/t/b.mp4,3,copied.npy,3x64,100,100\n",
            "/videos/t/a.mp4,,copied.npy,3x64,,\n",
            "/videos/s/a.mp4,3,a.npy,3x64,,\n",
            ",3,a.npy,3x64,,\n",
        ] {
            assert!(leaks(fine).is_empty(), "{fine}: {:?}", leaks(fine));
        }
    }

    #[test]
    fn what_is_scored_was_not_trained_on() {
        let test = format!("{}source/0.mp4 0\n", list("source_test", 7, &["0", "1"]));
        let what = "1 of 8 videos of stream source are scored, and trained on, too (in view infer)";
        assert_eq!(list_warnings(&[("source_test", &test)], ""), [what]);
        // The target is trained on without labels: a transductive protocol.
        let test = list("target", 8, &["0", "1"]);
        assert!(list_warnings(&[("target_test", &test)], "").is_empty());
    }

    #[test]
    fn lists_fill_batches_and_phases() {
        let few = list("target", 7, &["-"]);
        let what = |phase: &str| format!("stream target has fewer videos than a batch (in phase {phase})");
        assert_eq!(
            list_warnings(&[("target_train", &few)], ""),
            [what("warmup"), what("main")]
        );
        // Twenty epochs of a step each.
        let warm = |steps: usize| list_warnings(&[], &format!("[phases.main.optimizer]\nwarmup_steps = {steps}"));
        assert!(warm(19).is_empty());
        assert_eq!(warm(20), ["the warm-up of phase main takes all of it (in phase main)"]);
        // The longest list has two steps.
        let long = list("target", 9, &["-"]);
        let keys = "[phases.main]\nepoch = \"longest\"\n[phases.main.optimizer]\nwarmup_steps = 39";
        assert!(list_warnings(&[("target_train", &long)], keys).is_empty());
    }

    #[test]
    fn a_reversal_has_to_grow_within_the_phase() {
        let of = |schedule: &str, steps: usize| {
            let length = format!("drop = [\"phases.main.epochs\"]\n[phases.main]\nsteps = {steps}");
            list_warnings(&[], &format!("{length}\n[set.params]\ngrl = \"{schedule}\""))
        };
        let weak = |strength: &str| {
            let of =
                |l: &str| format!("λ of `align_{l}.grl` is at most {strength} in all of the phase (in phase main)");
            ["g", "l", "x"].map(of)
        };
        // tanh(i/2000) after i steps.
        assert_eq!(of("warm_start", 13), weak("0.006"));
        assert!(of("warm_start", 300).is_empty());
        assert_eq!(of("ganin", 1), weak("0.000"));
        assert!(of("ganin", 2).is_empty() && of("constant", 1).is_empty());
    }

    #[test]
    fn an_order_needs_videos_that_are_long_enough() {
        // `path offset frames label`: segments of stated lengths.
        let of = |stream: &str, frames: usize, label: &str| -> String {
            (0..8)
                .map(|i| format!("{stream}/{i}.mp4 0 {frames} {label}\n"))
                .collect()
        };
        let (s, t) = (of("source", 1, "0").replacen(" 0\n", " 1\n", 1), of("target", 1, "-"));
        let columns = "columns = \"path offset frames label\"";
        let given = [("source_train", s.as_str()), ("target_train", t.as_str())];
        let test = ["source_test", "target_test"].map(|n| (n, of(n, 90, "0")));
        let all: Vec<(&str, &str)> = given
            .into_iter()
            .chain(test.iter().map(|(n, t)| (*n, t.as_str())))
            .collect();
        let found = list_warnings(&all, columns);
        let short = |stream: &str| {
            let of = format!("no video of stream {stream} counts in loss `tol`: all are too short");
            ["warmup", "main"].map(|phase| format!("{of} (in phase {phase})"))
        };
        for expected in [short("source"), short("target")].concat() {
            assert!(found.contains(&expected), "{expected}\n{found:?}");
        }
        let long: Vec<(&str, String)> = all.iter().map(|(n, t)| (*n, t.replace(" 0 1 ", " 0 90 "))).collect();
        let long: Vec<(&str, &str)> = long.iter().map(|(n, t)| (*n, t.as_str())).collect();
        assert!(
            list_warnings(&long, columns).is_empty(),
            "{:?}",
            list_warnings(&long, columns)
        );
    }
}
