//! The properties that the data set is built for, measured on videos before encoding.

use glad_mini::{MiniConfig, Range, Scene, Split};

/// Value below which the share `q` of `values` lies.
fn quantile(values: &mut [usize], q: f64) -> usize {
    values.sort_unstable();
    values[(q * (values.len() - 1) as f64).round() as usize]
}

fn lengths(config: &MiniConfig, split: Split) -> Vec<usize> {
    (0..config.videos(split))
        .map(|index| Scene::new(config, split, index).unwrap().frame_count())
        .collect()
}

#[test]
fn target_videos_are_short_and_uneven() {
    let config = MiniConfig {
        target_train: 1500,
        ..MiniConfig::default()
    };
    let mut lengths = lengths(&config, Split::TargetTrain);
    let [low, median, high] = [0.05, 0.5, 0.95].map(|q| quantile(&mut lengths, q));
    assert!((16..=20).contains(&low), "5th percentile {low}");
    assert!((45..=52).contains(&median), "median {median}");
    assert!((128..=148).contains(&high), "95th percentile {high}");
    // Too short for three ordered local clips of 16 frames: about a quarter.
    let short = lengths.iter().filter(|&&frames| frames < 32).count() as f64 / lengths.len() as f64;
    assert!((0.18..0.28).contains(&short), "{short}");
}

#[test]
fn source_and_auxiliary_videos_keep_their_lengths() {
    let config = MiniConfig {
        source_train: 240,
        auxiliary_train: 240,
        ..MiniConfig::default()
    };
    let (source, auxiliary) = (
        lengths(&config, Split::SourceTrain),
        lengths(&config, Split::AuxiliaryTrain),
    );
    assert!(source.iter().all(|frames| (180..=204).contains(frames)));
    assert!(source.contains(&183) && source.contains(&200));
    assert!(auxiliary.iter().all(|frames| (48..=108).contains(frames)));
}

#[test]
fn classes_are_balanced_in_every_split() {
    let config = MiniConfig::default();
    for split in Split::ALL {
        let mut counts = [0; 12];
        (0..config.videos(split)).for_each(|index| counts[split.label(index)] += 1);
        assert!(
            counts.iter().all(|&count| count == counts[0]),
            "{}: {counts:?}",
            split.name()
        );
    }
}

/// Whether the temporal median of every sixth frame keeps a ghost of the person: more than one
/// pixel in a hundred off the true background by more than 30 of 255 levels in some channel.
fn has_ghost(scene: &Scene) -> bool {
    let background = scene.background();
    let frames: Vec<Vec<u8>> = (0..scene.frame_count())
        .step_by(6)
        .map(|index| {
            let mut rgb = Vec::new();
            scene.frame(index, &mut rgb);
            rgb
        })
        .collect();
    let off = |value: usize| {
        let mut values: Vec<u8> = frames.iter().map(|frame| frame[value]).collect();
        values.sort_unstable();
        values[values.len() / 2].abs_diff(background[value]) > 30
    };
    let pixels = background.len() / 3;
    let wrong = (0..pixels)
        .filter(|pixel| (0..3).any(|channel| off(3 * pixel + channel)))
        .count();
    wrong * 100 > pixels
}

#[test]
fn wandering_frees_the_median_background_of_ghosts() {
    let ghosts = |wander| {
        let config = MiniConfig {
            wander: Range(wander),
            ..MiniConfig::default()
        };
        let count = (0..120)
            .filter(|&index| has_ghost(&Scene::new(&config, Split::SourceTrain, index).unwrap()))
            .count();
        count as f64 / 120.0
    };
    let (wandering, standing) = (ghosts([0.5, 0.8]), ghosts([0.0, 0.0]));
    assert!(wandering < 0.2, "ghosts in {wandering} of the videos");
    assert!(standing > 0.75, "without wandering in {standing}");
}

/// The hue of the upper third of a background, as an angle in the plane of equal brightness.
fn wall_hue(scene: &Scene) -> f64 {
    let background = scene.background();
    let third = background.len() / 9 * 3;
    let mean = |channel: usize| {
        background[channel..third]
            .iter()
            .step_by(3)
            .map(|&v| f64::from(v))
            .sum::<f64>()
    };
    let (r, g, b) = (mean(0), mean(1), mean(2));
    (3f64.sqrt() * (g - b)).atan2(2.0 * r - g - b)
}

#[test]
fn source_backgrounds_go_with_the_class_as_often_as_rho_says() {
    let share = |rho| {
        let config = MiniConfig {
            rho,
            ..MiniConfig::default()
        };
        let hits = (0..240).filter(|&index| {
            let scene = Scene::new(&config, Split::SourceTrain, index).unwrap();
            let family = std::f64::consts::TAU * (index % 12) as f64 / 12.0;
            let apart = (wall_hue(&scene) - family).rem_euclid(std::f64::consts::TAU);
            // Neighbouring families are 30 degrees apart.
            apart.min(std::f64::consts::TAU - apart).to_degrees() < 22.0
        });
        hits.count() as f64 / 240.0
    };
    let (always, mostly, chance) = (share(1.0), share(0.9), share(0.0));
    assert!(always > 0.95, "{always}");
    assert!((0.84..0.96).contains(&mostly), "{mostly}");
    assert!(chance < 0.25, "{chance}");
}

#[test]
fn target_videos_are_grey_and_source_videos_are_not() {
    let config = MiniConfig::default();
    let colourful = |split| {
        let mut rgb = Vec::new();
        Scene::new(&config, split, 5).unwrap().frame(3, &mut rgb);
        rgb.chunks_exact(3)
            .map(|p| p.iter().max().unwrap() - p.iter().min().unwrap())
            .max()
            .unwrap()
    };
    assert!(colourful(Split::TargetTrain) < 14);
    assert!(colourful(Split::SourceTrain) > 30);
}

#[test]
fn figures_move_and_stay_in_sight() {
    let config = MiniConfig::default();
    for split in Split::ALL {
        for index in 0..24 {
            let scene = Scene::new(&config, split, index).unwrap();
            let background = scene.background();
            let (mut rgb, mut last, mut seen, mut moved) = (Vec::new(), Vec::new(), 0, 0);
            for frame in 0..scene.frame_count() {
                scene.frame(frame, &mut rgb);
                let body = rgb
                    .iter()
                    .zip(&background)
                    .filter(|(a, b)| a.abs_diff(**b) > 12)
                    .count();
                seen += usize::from(body > 60);
                moved += usize::from(rgb != last);
                last.clone_from(&rgb);
            }
            let count = scene.frame_count();
            assert!(
                seen * 4 > count * 3,
                "{} {index}: seen in {seen} of {count} frames",
                split.name()
            );
            assert!(
                moved * 10 > count * 9,
                "{} {index}: moved in {moved} of {count} frames",
                split.name()
            );
        }
    }
}

#[test]
fn size_and_rate_change_the_sampling_and_not_the_story() {
    let small = MiniConfig::default();
    let large = MiniConfig {
        size: 96,
        ..small.clone()
    };
    for split in [Split::SourceTrain, Split::TargetTrain, Split::AuxiliaryTrain] {
        let [a, b] = [&small, &large].map(|config| Scene::new(config, split, 2).unwrap());
        assert_eq!(a.frame_count(), b.frame_count());
        assert_eq!((a.size(), b.size()), (48, 96));
    }
    let slow = MiniConfig {
        fps: 12.0,
        ..small.clone()
    };
    let frames = |config| Scene::new(config, Split::SourceTrain, 2).unwrap().frame_count();
    assert!((frames(&small) as i64 - 2 * frames(&slow) as i64).abs() <= 1);
}
