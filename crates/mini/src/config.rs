//! Settings of the data set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::MiniError;
use crate::split::Split;

/// Bounds of a uniform draw, lower first: `[low, high]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Range(pub [f32; 2]);

/// The settings of the data set, with their tuned defaults. The same settings give
/// the same files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MiniConfig {
    /// Seed of everything random. Choose settings on one seed, report on others.
    pub seed: u64,

    /// Source videos to train on. A multiple of 12 makes the classes exactly balanced, here and
    /// in the other counts.
    pub source_train: usize,
    /// Source videos held out.
    pub source_test: usize,
    /// Target videos to train on without labels.
    pub target_train: usize,
    /// Target videos to choose settings on.
    pub target_val: usize,
    /// Target videos to report on.
    pub target_test: usize,
    /// Auxiliary videos to train on beforehand.
    pub auxiliary_train: usize,
    /// Auxiliary videos held out.
    pub auxiliary_test: usize,

    /// Height and width of the videos, in pixels: even.
    pub size: usize,
    /// Frames a second.
    pub fps: f32,
    /// Quantiser of the H.264 files, 0 (best) to 51.
    pub qp: u8,
    /// Frames from one key frame of the H.264 files to the next.
    pub gop: u32,

    /// Whether the optical flow of every video is written, too. `modalities` of `video_list` asks for it, so it need not be
    /// given.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub flow: bool,

    /// Probability that a source background comes from the family of the video's class; else it
    /// comes from any of the twelve. At 0 the background says nothing about the class, at 1 it determines it.
    pub rho: f32,
    /// Contrast and saturation of the source and auxiliary backgrounds about mid grey, 0 to 1.
    pub contrast: f32,
    /// Strength of pattern, noise and furniture in those backgrounds, 0 to 1.
    pub texture: f32,
    /// How far the person drifts sideways during a source video, in body heights (not where the
    /// class travels by itself: run, crawl). Without drift the temporal median of a video keeps a
    /// ghost of the person, and mixing backgrounds fails.
    pub wander: Range,

    /// Height of the figure over the height of the frame, in source and auxiliary videos.
    pub source_body: Range,
    /// The same in target videos.
    pub target_body: Range,
    /// Factor on how far the joints swing, drawn for every video.
    pub amplitude: Range,
    /// Largest deviation of the logarithm of the cycle time from the class's own.
    pub tempo: f32,
    /// Standard deviation of the constant offset of every joint, in degrees.
    pub joint_offset: f32,
    /// Standard deviation of the smooth noise on every joint, in degrees.
    pub joint_noise: f32,

    /// Length of a source video, in seconds.
    pub source_seconds: Range,
    /// Share of a source video before the action: run-up, walk or idle.
    pub lead_share: Range,
    /// Share of a source video that is the action; the remainder is rest or walking off.
    pub action_share: Range,
    /// Probability that the lead-in is the one typical of the class.
    pub typical_lead: f32,
    /// Length of a target video of a cyclic class, in seconds; uniform in the logarithm.
    pub target_seconds: Range,
    /// Probability that a target video of a one-shot class shows the action twice.
    pub twice: f32,
    /// Longest rest before and after a one-shot action in a target video, in seconds.
    pub rest_seconds: f32,
    /// Length of an auxiliary video, in seconds.
    pub auxiliary_seconds: Range,
}

impl Default for MiniConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            source_train: 720,
            source_test: 240,
            target_train: 480,
            target_val: 480,
            target_test: 600,
            auxiliary_train: 720,
            auxiliary_test: 120,
            size: 48,
            fps: 24.0,
            qp: 20,
            gop: 12,
            flow: false,
            rho: 0.9,
            contrast: 0.3,
            texture: 0.4,
            wander: Range([0.5, 0.8]),
            source_body: Range([0.65, 0.85]),
            target_body: Range([0.69, 0.85]),
            amplitude: Range([0.75, 1.2]),
            tempo: 0.35,
            joint_offset: 5.0,
            joint_noise: 3.5,
            source_seconds: Range([7.5, 8.5]),
            lead_share: Range([0.08, 0.20]),
            action_share: Range([0.55, 0.75]),
            typical_lead: 0.7,
            target_seconds: Range([0.6, 7.0]),
            twice: 0.25,
            rest_seconds: 0.25,
            auxiliary_seconds: Range([2.0, 4.5]),
        }
    }
}

impl MiniConfig {
    /// A data set with every split and every class, but few and short source videos: it is generated
    /// in two seconds and tests that a pipeline runs, not that a method works.
    pub fn smoke() -> Self {
        Self {
            source_train: 24,
            source_test: 12,
            target_train: 24,
            target_val: 12,
            target_test: 12,
            auxiliary_train: 24,
            auxiliary_test: 12,
            ..Self::default()
        }
    }

    /// Number of videos in `split`.
    pub fn videos(&self, split: Split) -> usize {
        match split {
            Split::SourceTrain => self.source_train,
            Split::SourceTest => self.source_test,
            Split::TargetTrain => self.target_train,
            Split::TargetVal => self.target_val,
            Split::TargetTest => self.target_test,
            Split::AuxiliaryTrain => self.auxiliary_train,
            Split::AuxiliaryTest => self.auxiliary_test,
        }
    }

    /// Number of videos in all splits.
    pub fn total_videos(&self) -> usize {
        Split::ALL.iter().map(|&split| self.videos(split)).sum()
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`MiniError::Config`] with all values that are out of range.
    pub fn check(&self) -> Result<(), MiniError> {
        let mut problems = Vec::new();
        for split in Split::ALL {
            if self.videos(split) > 99_999 {
                problems.push(format!(
                    "{} is {}, but at most 99999 are possible",
                    split.name(),
                    self.videos(split)
                ));
            }
        }
        if !self.size.is_multiple_of(2) || !(16..=512).contains(&self.size) {
            problems.push(format!("size is {}, but must be even and from 16 to 512", self.size));
        }
        if self.qp > 51 {
            problems.push(format!("qp is {}, but must be 0 to 51", self.qp));
        }
        if self.gop == 0 {
            problems.push("gop is 0, but must be at least 1".into());
        }
        for (name, value, low, high) in [
            ("fps", self.fps, 1.0, 240.0),
            ("rho", self.rho, 0.0, 1.0),
            ("contrast", self.contrast, 0.0, 1.0),
            ("texture", self.texture, 0.0, 1.0),
            ("tempo", self.tempo, 0.0, 2.0),
            ("joint_offset", self.joint_offset, 0.0, 90.0),
            ("joint_noise", self.joint_noise, 0.0, 90.0),
            ("typical_lead", self.typical_lead, 0.0, 1.0),
            ("twice", self.twice, 0.0, 1.0),
            ("rest_seconds", self.rest_seconds, 0.0, 60.0),
        ] {
            if !(low..=high).contains(&value) {
                problems.push(format!("{name} is {value}, but must be {low} to {high}"));
            }
        }
        for (name, Range([from, to]), low, high) in [
            ("wander", self.wander, 0.0, 4.0),
            ("source_body", self.source_body, 0.1, 2.0),
            ("target_body", self.target_body, 0.1, 2.0),
            ("amplitude", self.amplitude, 0.0, 3.0),
            ("source_seconds", self.source_seconds, 0.5, 600.0),
            ("lead_share", self.lead_share, 0.0, 1.0),
            ("action_share", self.action_share, 0.0, 1.0),
            ("target_seconds", self.target_seconds, 0.05, 600.0),
            ("auxiliary_seconds", self.auxiliary_seconds, 0.05, 600.0),
        ] {
            if !(low <= from && from <= to && to <= high) {
                problems.push(format!(
                    "{name} is [{from}, {to}], but must be two values from {low} to {high}, the lower first"
                ));
            }
        }
        if self.lead_share.0[1] + self.action_share.0[1] > 1.0 {
            problems.push("lead_share and action_share together can exceed 1".into());
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(MiniError::Config(problems))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_in_range() {
        MiniConfig::default().check().unwrap();
        MiniConfig::smoke().check().unwrap();
        assert_eq!(MiniConfig::default().total_videos(), 3360);
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let config = MiniConfig {
            size: 47,
            rho: f32::NAN,
            wander: Range([0.8, 0.5]),
            gop: 0,
            ..MiniConfig::default()
        };
        let text = config.check().unwrap_err().to_string();
        for name in ["size is 47", "rho is NaN", "wander is [0.8, 0.5]", "gop is 0"] {
            assert!(text.contains(name), "{name} is missing in: {text}");
        }
    }

    #[test]
    fn reads_partial_toml_and_refuses_unknown_names() {
        let config: MiniConfig = toml::from_str("seed = 7\nwander = [0.0, 0.0]").unwrap();
        let expected = MiniConfig {
            seed: 7,
            wander: Range([0.0, 0.0]),
            ..MiniConfig::default()
        };
        assert_eq!(config, expected);
        let e = toml::from_str::<MiniConfig>("sede = 7").unwrap_err().to_string();
        assert!(e.contains("unknown field `sede`"), "{e}");
        let text = toml::to_string(&expected).unwrap();
        assert_eq!(toml::from_str::<MiniConfig>(&text).unwrap(), expected);
    }
}
