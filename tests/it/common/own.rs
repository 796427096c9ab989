//! A user's videos, lists and setting, made as the README says.

use super::repository;
use glad_video::write::{VideoWriter, WriteOptions};
use std::fmt::Write as _;
use std::path::Path;

/// The lists that the setting names.
pub(crate) const LISTS: [&str; 4] = ["source_train", "source_test", "target_train", "target_test"];

/// A bright square on a dark ground that moves right (class 0) or down (class 1), in files of several sizes.
pub(crate) fn square(path: &Path, class: usize, seed: usize, options: WriteOptions) {
    let (w, h) = [(96, 80), (80, 96), (128, 72)][seed % 3];
    let mut video = VideoWriter::create_with(path, w, h, 24.0, options).unwrap();
    for t in 0..20 + seed % 7 {
        let mut rgb = vec![40u8; w * h * 3];
        let at = 4 + 2 * t;
        let (x0, y0) = if class == 0 {
            (at, 20 + seed % 9)
        } else {
            (20 + seed % 9, at)
        };
        for y in y0..(y0 + 16).min(h) {
            for x in x0..(x0 + 16).min(w) {
                rgb[(y * w + x) * 3..][..3].copy_from_slice(&[220, 180, (20 * seed % 200) as u8]);
            }
        }
        video.push(&rgb).unwrap();
    }
    video.finish().unwrap();
}

/// A list `data/LIST.txt` of this many videos for each of [`LISTS`], half of them of each class, unlabelled for
/// `target_train`, and the class names. `make` writes a video of a class and seed into a folder and returns its name
/// there.
pub(crate) fn lists(dir: &Path, videos: usize, make: impl Fn(&Path, usize, usize) -> String) {
    let data = dir.join("data");
    for list in LISTS {
        std::fs::create_dir_all(data.join(list)).unwrap();
        let mut text = String::new();
        for i in 0..videos {
            let class = 2 * i / videos;
            let name = make(&data.join(list), class, i);
            let label = match list {
                "target_train" => "-",
                _ => ["right", "down"][class],
            };
            writeln!(text, "{list}/{name} {label}").unwrap();
        }
        std::fs::write(data.join(format!("{list}.txt")), text).unwrap();
    }
    std::fs::write(data.join("classes.txt"), "right\ndown\n").unwrap();
}

/// The setting for a user's videos next to `data`, `mine.toml`; its path.
pub(crate) fn setting(dir: &Path) -> String {
    let path = dir.join("mine.toml");
    std::fs::copy(repository().join("graphs/settings/own_videos.toml"), &path).unwrap();
    path.display().to_string()
}
