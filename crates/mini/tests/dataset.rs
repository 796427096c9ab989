//! The data set on disk: what is written, and that it is written completely or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use glad_mini::{MiniConfig, MiniError, Progress, Scene, Split, folder, generate, is_complete};
use glad_video::{OpenOptions, Video};

/// A data set of a few short videos.
fn tiny() -> MiniConfig {
    let toml = "source_train = 12\nsource_test = 1\ntarget_train = 12\ntarget_val = 1\ntarget_test = 2\n\
                auxiliary_train = 12\nauxiliary_test = 1\nsource_seconds = [1.0, 1.5]\ntarget_seconds = [0.6, 1.0]\n\
                auxiliary_seconds = [0.5, 0.7]";
    toml::from_str(toml).unwrap()
}

/// Every file under `folder`, by its path inside.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// The entries of `dir` other than lock files.
fn entries(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.ends_with(".lock")).collect()
}

fn on_threads(threads: usize, dir: &Path, config: &MiniConfig) -> BTreeMap<String, Vec<u8>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    contents(&pool.install(|| generate(dir, config, &|_| ()).unwrap()))
}

#[test]
fn threads_do_not_matter_and_seeds_do() {
    let dirs = [0; 4].map(|_| tempfile::tempdir().unwrap());
    let one = on_threads(1, dirs[0].path(), &tiny());
    let two = on_threads(2, dirs[1].path(), &tiny());
    let five = on_threads(5, dirs[2].path(), &tiny());
    assert!(one == two && one == five);
    let other = on_threads(2, dirs[3].path(), &MiniConfig { seed: 1, ..tiny() });
    let same = one
        .iter()
        .filter(|(name, bytes)| other.get(*name) == Some(bytes))
        .map(|(name, _)| name);
    assert_eq!(same.collect::<Vec<_>>(), ["auxiliary_classes.txt", "classes.txt"]);
}

/// With flow, everything else is as without, and the files have what the scenes say.
#[test]
fn flow_is_next_to_the_same_videos() {
    let dirs = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let flow = MiniConfig { flow: true, ..tiny() };
    let plain = on_threads(2, dirs[0].path(), &tiny());
    let both = on_threads(2, dirs[1].path(), &flow);
    let same = plain
        .iter()
        .filter(|(name, _)| !["b3sums.txt", "mini.json"].contains(&name.as_str()));
    for (name, bytes) in same {
        assert_eq!(both.get(name), Some(bytes), "{name}");
    }
    let files = both.keys().filter(|name| name.starts_with("flow/")).count();
    assert_eq!(files, 2 * flow.total_videos());
    assert_ne!(folder(dirs[0].path(), &flow), folder(dirs[0].path(), &tiny()));
    assert!(
        glad_mini::identity(&flow).starts_with("1 flow 1 {"),
        "{}",
        glad_mini::identity(&flow)
    );
    let made = folder(dirs[1].path(), &flow);
    assert!(is_complete(&made, &flow) && !is_complete(&made, &tiny()));
    let scene = Scene::new(&flow, Split::SourceTrain, 3).unwrap();
    let of = made
        .join("flow/source/train")
        .read_dir()
        .unwrap()
        .map(|e| e.unwrap().path());
    let of = of
        .into_iter()
        .find(|p| p.file_name().unwrap().to_string_lossy().starts_with("00003_"))
        .unwrap();
    for (c, name) in glad_mini::FLOW_FILES.into_iter().enumerate() {
        let video = Video::open(&of.join(name), &OpenOptions::default()).unwrap();
        assert_eq!(video.frame_count(), scene.flow_count());
        let mut off = 0.0;
        for i in [0, 5, 11] {
            let frame = video.frames(&[i]).unwrap().remove(0);
            for (pixel, want) in frame.data().chunks(3).zip(&scene.flow(i)[c]) {
                assert!(pixel[0] == pixel[1] && pixel[1] == pixel[2], "flow is grey");
                assert!(pixel[0].abs_diff(*want) <= 12, "{} {want}", pixel[0]);
                off += f64::from(pixel[0].abs_diff(*want));
            }
        }
        assert!(off / (3.0 * 48.0 * 48.0) < 1.0, "{off}");
    }
    fs::remove_dir_all(of).unwrap();
    assert!(!is_complete(&made, &flow));
}

#[test]
fn more_videos_leave_the_first_ones_as_they_are() {
    let dirs = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let few = on_threads(2, dirs[0].path(), &tiny());
    let more = on_threads(
        2,
        dirs[1].path(),
        &MiniConfig {
            target_train: 15,
            source_train: 0,
            ..tiny()
        },
    );
    for index in 0..12 {
        let prefix = format!("target/train/{index:05}_");
        let find = |files: &BTreeMap<String, Vec<u8>>| {
            files
                .iter()
                .find(|(name, _)| name.starts_with(&prefix))
                .map(|(name, bytes)| (name.clone(), bytes.clone()))
        };
        assert!(find(&few).is_some() && find(&few) == find(&more), "video {index}");
    }
    assert!(more["source_train.txt"].is_empty());
}

#[test]
fn lists_name_every_video_with_its_length_and_label() {
    let dir = tempfile::tempdir().unwrap();
    let config = tiny();
    let folder = generate(dir.path(), &config, &|_| ()).unwrap();
    let classes = fs::read_to_string(folder.join("classes.txt")).unwrap();
    let classes: Vec<&str> = classes.lines().collect();
    assert_eq!(classes.len(), 12);
    assert_eq!(
        (classes[3], classes[6], classes[11]),
        ("kick", "clean_something", "pick_up")
    );
    for split in Split::ALL {
        let list = fs::read_to_string(folder.join(format!("{}.txt", split.name()))).unwrap();
        assert_eq!(list.lines().count(), config.videos(split));
        for (index, line) in list.lines().enumerate() {
            let [path, frames, label] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let scene = Scene::new(&config, split, index).unwrap();
            assert_eq!(frames.parse::<usize>().unwrap(), scene.frame_count(), "{line}");
            assert_eq!(label.parse::<usize>().unwrap(), index % 12, "{line}");
            assert!(
                path.starts_with(&split.folder()) && folder.join(path).is_file(),
                "{line}"
            );
        }
    }
    assert!(folder.join("source/train/00003_kick.mp4").is_file());
    assert!(folder.join("auxiliary/train/00003_motion_03.mp4").is_file());
}

#[test]
fn videos_show_the_scene_at_34_db_or_better() {
    let dir = tempfile::tempdir().unwrap();
    let config = tiny();
    let folder = generate(dir.path(), &config, &|_| ()).unwrap();
    for split in [Split::SourceTrain, Split::TargetTrain, Split::AuxiliaryTrain] {
        let list = fs::read_to_string(folder.join(format!("{}.txt", split.name()))).unwrap();
        let (mut squares, mut values, mut rgb) = (0.0, 0, Vec::new());
        for (index, line) in list.lines().enumerate() {
            let path = folder.join(line.split(' ').next().unwrap());
            let scene = Scene::new(&config, split, index).unwrap();
            let video = Video::open(&path, &OpenOptions::default()).unwrap();
            assert_eq!(
                (video.frame_count(), video.width(), video.height()),
                (scene.frame_count(), 48, 48)
            );
            let all: Vec<usize> = (0..scene.frame_count()).collect();
            for (frame, read) in video.frames(&all).unwrap().into_iter().enumerate() {
                scene.frame(frame, &mut rgb);
                let differences = rgb
                    .iter()
                    .zip(read.data().iter())
                    .map(|(&a, &b)| f64::from(a) - f64::from(b));
                squares += differences.map(|d| d * d).sum::<f64>();
                values += rgb.len();
            }
        }
        let psnr = 10.0 * (255.0 * 255.0 * values as f64 / squares).log10();
        assert!(psnr >= 34.0, "{}: {psnr:.1} dB", split.name());
    }
}

#[test]
fn a_complete_data_set_is_left_alone_and_a_damaged_one_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = tiny();
    let calls = Mutex::new(Vec::new());
    let record = |progress| calls.lock().unwrap().push(progress);
    let first = generate(dir.path(), &config, &record).unwrap();
    assert_eq!(first, folder(dir.path(), &config));
    let total = config.total_videos();
    {
        let calls = calls.lock().unwrap();
        assert_eq!(calls.len(), total);
        assert!(calls.contains(&Progress::Videos { done: total, total }));
    }
    let before = contents(&first);
    calls.lock().unwrap().clear();
    assert_eq!(generate(dir.path(), &config, &record).unwrap(), first);
    assert!(calls.lock().unwrap().is_empty());

    for damage in ["target_val.txt", "mini.json", "target/test/00000_jump.mp4"] {
        fs::remove_file(first.join(damage)).unwrap();
        assert!(!is_complete(&first, &config), "without {damage}");
        generate(dir.path(), &config, &|_| ()).unwrap();
        assert!(contents(&first) == before, "after the loss of {damage}");
    }
    fs::write(first.join("mini.json"), "{}").unwrap();
    assert!(!is_complete(&first, &config));
    assert_eq!(entries(dir.path()).len(), 1);
}

#[test]
fn an_altered_data_set_is_noticed_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let config = tiny();
    let set = generate(dir.path(), &config, &|_| ()).unwrap();
    let before = contents(&set);
    // A process does not read again what it found intact, so a copy stands for what a later process finds.
    for (number, file) in ["source_train.txt", "target/test/00000_jump.mp4", "b3sums.txt"]
        .iter()
        .enumerate()
    {
        let later = tempfile::tempdir().unwrap();
        let copy = later.path().join(set.file_name().unwrap());
        for (name, bytes) in &before {
            let path = copy.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut bytes = bytes.clone();
            if name == file {
                // Of the same length, so that only reading the bytes shows it.
                *bytes.last_mut().unwrap() ^= 3;
            }
            fs::write(path, bytes).unwrap();
        }
        let printed = Mutex::new(vec![]);
        let record = |p| printed.lock().unwrap().push(p);
        assert_eq!(generate(later.path(), &config, &record).unwrap(), copy);
        assert!(contents(&copy) == before, "{file}");
        let printed = printed.into_inner().unwrap();
        let altered: Vec<_> = printed
            .iter()
            .filter(|p| !matches!(p, Progress::Videos { .. }))
            .collect();
        let [Progress::Altered { file: named, kept }] = altered[..] else {
            panic!("{altered:?}")
        };
        assert!(named == file || number == 2, "{named}");
        assert!(contents(kept) != before, "{file}: it is not kept");
    }
}

#[test]
fn other_settings_lie_beside() {
    let dir = tempfile::tempdir().unwrap();
    let a = generate(dir.path(), &tiny(), &|_| ()).unwrap();
    let b = generate(dir.path(), &MiniConfig { rho: 0.5, ..tiny() }, &|_| ()).unwrap();
    assert_ne!(a, b);
    assert_eq!(entries(dir.path()).len(), 2);
}

#[test]
fn several_at_once_give_one_data_set() {
    let dir = tempfile::tempdir().unwrap();
    let config = tiny();
    let made = Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let count = |progress| *made.lock().unwrap() += usize::from(progress != Progress::Waiting);
                let folder = generate(dir.path(), &config, &count).unwrap();
                assert!(is_complete(&folder, &config));
            });
        }
    });
    assert_eq!(*made.lock().unwrap(), config.total_videos());
    assert_eq!(entries(dir.path()).len(), 1);
}

#[test]
fn what_a_killed_process_left_goes_with_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let name = folder(dir.path(), &tiny())
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    fs::create_dir_all(dir.path().join(format!(".{name}.tmp-abc/new/source"))).unwrap();
    fs::create_dir_all(dir.path().join(".mini-0000000000000000.tmp-abc")).unwrap();
    generate(dir.path(), &tiny(), &|_| ()).unwrap();
    let mut left = entries(dir.path());
    left.sort();
    assert_eq!(left, [".mini-0000000000000000.tmp-abc".to_owned(), name]);
}

#[test]
fn nothing_is_left_after_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = generate(dir.path(), &MiniConfig { size: 9, ..tiny() }, &|_| ()).unwrap_err();
    assert!(
        matches!(error, MiniError::Config(_)) && error.to_string().contains("size is 9"),
        "{error}"
    );
    assert!(entries(dir.path()).is_empty());
    let file = dir.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let error = generate(&file.join("cache"), &tiny(), &|_| ()).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
}
