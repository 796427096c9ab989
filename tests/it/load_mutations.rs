//! Randomly damaged graphs: loading them never panics, and either succeeds or reports where the mistake is.

use glad::diag::{Severity, render};
use glad::load::{LoadOptions, effective, explain, load, load_text};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

/// A mutation of a file.
#[derive(Clone, Debug)]
enum Damage {
    DeleteLine(usize),
    DuplicateLine(usize),
    SwapTokens(usize, usize),
    ChangeName(usize, String),
    Truncate(usize),
    Bytes(usize, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<usize>().prop_map(Damage::DeleteLine),
        any::<usize>().prop_map(Damage::DuplicateLine),
        any::<(usize, usize)>().prop_map(|(a, b)| Damage::SwapTokens(a, b)),
        (any::<usize>(), "[a-zA-Z_.$@ ]{0,6}").prop_map(|(a, s)| Damage::ChangeName(a, s)),
        any::<usize>().prop_map(Damage::Truncate),
        (any::<usize>(), prop::collection::vec(any::<u8>(), 1..4)).prop_map(|(a, b)| Damage::Bytes(a, b)),
    ]
}

/// Ranges of words and of single characters between them.
fn tokens(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut found: Vec<std::ops::Range<usize>> = vec![];
    for (i, c) in text.char_indices() {
        let word = c.is_alphanumeric() || c == '_';
        match found.last_mut() {
            Some(r) if word && r.end == i && text[r.clone()].chars().all(|c| c.is_alphanumeric() || c == '_') => {
                r.end = i + c.len_utf8();
            }
            _ if c.is_whitespace() => {}
            _ => found.push(i..i + c.len_utf8()),
        }
    }
    found
}

fn damaged(text: &str, damage: &Damage) -> Vec<u8> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let words = tokens(text);
    let pick = |n: usize, of: usize| if of == 0 { 0 } else { n % of };
    match damage {
        Damage::DeleteLine(n) => {
            let n = pick(*n, lines.len());
            lines
                .iter()
                .enumerate()
                .filter(|(i, _)| *i != n)
                .map(|(_, l)| *l)
                .collect::<String>()
                .into()
        }
        Damage::DuplicateLine(n) => {
            let n = pick(*n, lines.len());
            lines
                .iter()
                .enumerate()
                .map(|(i, l)| l.repeat(1 + usize::from(i == n)))
                .collect::<String>()
                .into()
        }
        Damage::SwapTokens(a, b) if words.len() > 1 => {
            let (a, b) = (pick(*a, words.len()), pick(*b, words.len()));
            let (a, b) = (&words[a.min(b)], &words[a.max(b)]);
            if a == b {
                return text.into();
            }
            let parts = [
                &text[..a.start],
                &text[b.clone()],
                &text[a.end..b.start],
                &text[a.clone()],
                &text[b.end..],
            ];
            parts.concat().into()
        }
        Damage::ChangeName(n, to) if !words.is_empty() => {
            let r = &words[pick(*n, words.len())];
            format!("{}{to}{}", &text[..r.start], &text[r.end..]).into()
        }
        Damage::Truncate(n) => text.as_bytes()[..pick(*n, text.len())].into(),
        Damage::Bytes(n, bytes) => {
            let mut all = text.as_bytes().to_vec();
            let n = pick(*n, all.len());
            let end = (n + bytes.len()).min(all.len());
            all.splice(n..end, bytes.iter().copied());
            all
        }
        _ => text.into(),
    }
}

/// Copies graphs/; returns the relative paths of its files.
fn copy(from: &Path, to: &Path, under: &Path, files: &mut Vec<PathBuf>) {
    std::fs::create_dir_all(to.join(under)).unwrap();
    for entry in std::fs::read_dir(from.join(under)).unwrap() {
        let path = under.join(entry.unwrap().file_name());
        if from.join(&path).is_dir() {
            copy(from, to, &path, files);
        } else if path.extension().is_some_and(|e| e == "toml") {
            std::fs::copy(from.join(&path), to.join(&path)).unwrap();
            files.push(path);
        }
    }
}

#[test]
fn damaged_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = vec![];
    copy(Path::new("graphs"), folder.path(), Path::new(""), &mut files);
    files.sort();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(400, |n| n.parse().expect("a number of cases")),
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    // Two of three mutations go into the graph, the composites and the setting that everything is made of.
    let often: Vec<PathBuf> = [
        "full.toml",
        "settings/mini.toml",
        "lib/order.toml",
        "lib/adversary.toml",
    ]
    .map(PathBuf::from)
    .into();
    let which = prop_oneof![2 => prop::sample::select(often), 1 => prop::sample::select(files)];
    let strategy = (which, prop::collection::vec(damage(), 1..3));
    let run = runner.run(&strategy, |(file, damages)| {
        let path = folder.path().join(&file);
        let good = std::fs::read_to_string(&path).unwrap();
        let mut bytes = good.clone().into_bytes();
        for d in &damages {
            bytes = damaged(&String::from_utf8_lossy(&bytes), d);
        }
        std::fs::write(&path, &bytes).unwrap();
        let inner = file.starts_with("lib") || file.starts_with("settings");
        let graph = folder.path().join(if inner { Path::new("full.toml") } else { &file });
        let options = LoadOptions {
            setting: file.starts_with("settings").then(|| path.clone()),
            ..LoadOptions::of(graph)
        };
        let loaded = load(&options);
        std::fs::write(&path, &good).unwrap();
        match loaded {
            Ok(g) => {
                let text = effective(&g);
                let again = load_text("again.toml", &text, folder.path());
                prop_assert!(again.is_ok(), "{}\n{text}", again.unwrap_err());
                prop_assert_eq!(glad::load::diff(&g, &again.unwrap()), "");
                prop_assert!(explain(&g, "").is_ok());
            }
            Err(p) => {
                prop_assert!(p.has_errors());
                let text = render(&p, false);
                for e in p.list.iter().filter(|e| e.severity == Severity::Error) {
                    prop_assert!(!e.labels.is_empty(), "no place: {text}");
                }
            }
        }
        Ok(())
    });
    run.unwrap_or_else(|e| panic!("{e}"));
}
