//! Encoder options.

use rusty_h264_encoder::{EncoderConfig, Preset};

/// How much work the encoder puts into a frame. Quality hardly differs, because it depends on the
/// quantiser. The numbers are for pictures of 48x48 on one core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// Motion to whole pixels: about 40,000 frames/s, and files a tenth larger than `Balanced`.
    Fast,
    /// Motion to quarter pixels, Constrained Baseline profile: about 20,000 frames/s.
    #[default]
    Balanced,
    /// High profile with CABAC and the 8x8 transform: about 7,500 frames/s, and half as slow
    /// again to decode. Saves nothing on small pictures, more on large ones.
    Small,
}

/// How a video is coded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WriteOptions {
    /// Quantiser of the P-frames, 0 (best) to 51; key frames are coded 3 steps finer. 20 gives
    /// 36 to 37 dB in RGB on small pictures, where halving the colour planes costs the most.
    pub qp: u8,
    /// Frames from one key frame to the next: the maximum that a reader has to decode to reach a frame.
    pub gop: u32,
    /// Work put into a frame.
    pub effort: Effort,
    /// Whether to sync the data to disk before the file gets its name, so that not even a power failure leaves a partial
    /// file. Costs some milliseconds per file.
    pub durable: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            qp: 20,
            gop: 12,
            effort: Effort::Balanced,
            durable: false,
        }
    }
}

/// The encoder's settings: all lookahead is off, so that one frame in gives one
/// access unit out, and key frames fall every `gop` frames.
pub(super) fn encoder_config(width: usize, height: usize, fps: f64, options: WriteOptions) -> EncoderConfig {
    let mut config = match options.effort {
        Effort::Fast | Effort::Balanced => EncoderConfig::baseline(width, height),
        Effort::Small => EncoderConfig::new(width, height),
    };
    config.preset = match options.effort {
        Effort::Fast => Preset::Fast,
        Effort::Balanced | Effort::Small => Preset::Balanced,
    };
    config.qp = options.qp;
    config.gop_size = options.gop;
    config.min_keyint = options.gop;
    config.scenecut = 0;
    config.mbtree = false;
    config.num_ref_frames = 1;
    config.framerate = fps as f32;
    config.level_idc = level(config.mb_width() * config.mb_height(), fps);
    config
}

/// The lowest level (as `level_idc`) that admits `macroblocks` a picture at `fps` pictures a
/// second: H.264, table A-1, columns MaxFS and MaxMBPS.
fn level(macroblocks: usize, fps: f64) -> u8 {
    const LEVELS: [(u8, usize, f64); 14] = [
        (10, 99, 1_485.0),
        (11, 396, 3_000.0),
        (12, 396, 6_000.0),
        (13, 396, 11_880.0),
        (21, 792, 19_800.0),
        (22, 1_620, 20_250.0),
        (30, 1_620, 40_500.0),
        (31, 3_600, 108_000.0),
        (32, 5_120, 216_000.0),
        (40, 8_192, 245_760.0),
        (42, 8_704, 522_240.0),
        (50, 22_080, 589_824.0),
        (51, 36_864, 983_040.0),
        (52, 36_864, 2_073_600.0),
    ];
    let rate = macroblocks as f64 * fps;
    LEVELS
        .iter()
        .find(|&&(_, picture, second)| macroblocks <= picture && rate <= second)
        .map_or(62, |&(level, ..)| level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_admit_the_picture() {
        assert_eq!(level(9, 24.0), 10);
        assert_eq!(level(340 * 256 / 256, 30.0), 13);
        assert_eq!(level(8160, 30.0), 40);
        assert_eq!(level(260_000, 30.0), 62);
    }
}
