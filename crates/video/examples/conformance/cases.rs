//! The test files for the backends, made by the program `ffmpeg`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The expected result of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Every frame equals ffmpeg's, byte for byte.
    Exact,
    /// The backend reports that it does not read the file.
    Refused,
}

use Expect::{Exact, Refused};

/// A test file.
pub(crate) struct Case {
    /// Codec.
    pub codec: &'static str,
    /// Its special feature.
    pub what: &'static str,
    /// Name of the file, whose ending is the container's.
    pub file: &'static str,
    /// The source's size, in pixels.
    pub size: &'static str,
    /// The arguments of `ffmpeg` between source and file; `IN:name` instead of the source is an
    /// earlier file.
    pub arguments: &'static str,
    /// The expected result of the pure-Rust backend.
    pub rust: Expect,
}

const fn case(
    codec: &'static str,
    what: &'static str,
    file: &'static str,
    size: &'static str,
    arguments: &'static str,
    rust: Expect,
) -> Case {
    Case {
        codec,
        what,
        file,
        size,
        arguments,
        rust,
    }
}

/// All of them.
#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    case("H.264", "B-frames, pyramid", "plain.mp4", "96x64", "-c:v libx264 -pix_fmt yuv420p", Exact),
    case("H.264", "a key frame every 12", "gop.mp4", "96x64", "-c:v libx264 -pix_fmt yuv420p -g 12", Exact),
    case("H.264", "Baseline", "baseline.mp4", "96x64", "-c:v libx264 -pix_fmt yuv420p -profile:v baseline -g 20", Exact),
    case("H.264", "key frames only", "intra.mp4", "96x64", "-c:v libx264 -pix_fmt yuv420p -g 1", Exact),
    case("H.264", "open GOP", "open.mp4", "96x64", "-c:v libx264 -pix_fmt yuv420p -x264-params open-gop=1:keyint=10:bframes=3:scenecut=0", Exact),
    case("H.264", "CAVLC, four slices, five references", "slices.mp4", "96x64", "-c:v libx264 -pix_fmt yuv420p -x264-params slices=4:ref=5:cabac=0", Exact),
    case("H.264", "cropped: 86x54 of 96x64", "crop.mp4", "86x54", "-c:v libx264 -pix_fmt yuv420p", Exact),
    case("H.264", "cropped on the left and at the top", "left.mp4", "96x64", "IN:plain.mp4 -c copy -bsf:v h264_metadata=crop_left=6:crop_top=4", Exact),
    case("H.264", "pixels twice as wide as high", "aspect.mp4", "96x64", "-vf setsar=2 -c:v libx264 -pix_fmt yuv420p", Exact),
    case("H.264", "full range", "full.mp4", "96x64", "-vf scale=out_range=pc -c:v libx264 -pix_fmt yuvj420p -color_range pc", Exact),
    case("H.264", "BT.709", "bt709.mp4", "96x64", "-vf scale=out_color_matrix=bt709 -c:v libx264 -pix_fmt yuv420p -colorspace bt709 -color_primaries bt709 -color_trc bt709", Exact),
    case("H.264", "BT.601, said", "bt601.mp4", "96x64", "-c:v libx264 -pix_fmt yuv420p -colorspace smpte170m", Exact),
    case("H.264", "variable frame rate", "vfr.mp4", "96x64", "-vf select='not(mod(n\\,3))+not(mod(n\\,7))' -vsync vfr -c:v libx264 -pix_fmt yuv420p", Exact),
    case("H.264", "fragments", "fragments.mp4", "96x64", "-c:v libx264 -pix_fmt yuv420p -g 12 -movflags frag_keyframe+empty_moov", Exact),
    case("H.264", "an edit list that begins in a GOP", "edit.mp4", "96x64", "-ss 0.73 IN:gop.mp4 -c copy", Exact),
    case("H.264", "turned by 90 degrees", "turned.mp4", "96x64", "IN:plain.mp4 -c copy -metadata:s:v rotate=90", Exact),
    case("H.264", "turned by 180 degrees", "upside.mov", "96x64", "IN:plain.mp4 -c copy -metadata:s:v rotate=180", Exact),
    case("H.264", "two video tracks", "two.mp4", "96x64", "-filter_complex [0:v]split[a][b];[b]hflip[c] -map [a] -map [c] -c:v libx264 -pix_fmt yuv420p", Exact),
    case("H.264", "a small video track before the large one", "sizes.mp4", "96x64", "-filter_complex [0:v]split[a][b];[b]scale=48:32[c] -map [c] -map [a] -c:v libx264 -pix_fmt yuv420p", Exact),
    case("H.264", "intra refresh", "refresh.mp4", "96x64", "-c:v libx264 -pix_fmt yuv420p -x264-params intra-refresh=1:keyint=12:bframes=0", Exact),
    case("H.264", "interlaced", "interlaced.mp4", "96x64", "-c:v libx264 -pix_fmt yuv420p -x264-params tff=1:bframes=2", Refused),
    case("H.264", "10-bit", "ten.mp4", "96x64", "-c:v libx264 -pix_fmt yuv420p10le", Refused),
    case("H.264", "4:2:2", "422.mp4", "96x64", "-c:v libx264 -pix_fmt yuv422p", Refused),
    case("H.264", "4:4:4", "444.mp4", "96x64", "-c:v libx264 -pix_fmt yuv444p", Refused),
    case("H.264", "", "h264.mov", "96x64", "-c:v libx264 -pix_fmt yuv420p -g 12", Exact),
    case("H.264", "", "h264.mkv", "96x64", "-c:v libx264 -pix_fmt yuv420p -g 12", Refused),
    case("H.264", "open GOP", "open.mkv", "96x64", "-c:v libx264 -pix_fmt yuv420p -x264-params open-gop=1:keyint=10:bframes=3:scenecut=0", Refused),
    case("H.264", "", "h264.ts", "96x64", "-c:v libx264 -pix_fmt yuv420p -g 12", Refused),
    case("H.264", "no time stamps of display", "h264.avi", "96x64", "-c:v libx264 -pix_fmt yuv420p -g 12", Refused),
    case("H.264", "", "h264.flv", "96x64", "-c:v libx264 -pix_fmt yuv420p -g 12", Refused),
    case("HEVC", "open GOP (x265's default)", "hevc.mp4", "96x64", "-c:v libx265 -pix_fmt yuv420p -x265-params log-level=none:keyint=12:min-keyint=12", Refused),
    case("HEVC", "temporal layers", "layers.mp4", "96x64", "-c:v libx265 -pix_fmt yuv420p -x265-params log-level=none:keyint=16:temporal-layers=3", Refused),
    case("HEVC", "10-bit, BT.2020", "hevc10.mkv", "96x64", "-c:v libx265 -pix_fmt yuv420p10le -colorspace bt2020nc -x265-params log-level=none:keyint=12", Refused),
    case("HEVC", "", "hevc.ts", "96x64", "-c:v libx265 -pix_fmt yuv420p -x265-params log-level=none:keyint=12", Refused),
    case("HEVC", "cropped", "hevc.mov", "90x54", "-c:v libx265 -tag:v hvc1 -pix_fmt yuv420p -x265-params log-level=none:keyint=12", Refused),
    case("VP8", "hidden frames", "vp8.webm", "96x64", "-c:v libvpx -b:v 300k -auto-alt-ref 1 -lag-in-frames 16 -g 20", Refused),
    case("VP9", "odd size: 97x63", "vp9.webm", "97x63", "-c:v libvpx-vp9 -b:v 200k -g 20 -pix_fmt yuv420p", Refused),
    case("VP9", "10-bit", "vp9ten.webm", "96x64", "-c:v libvpx-vp9 -b:v 200k -g 20 -pix_fmt yuv420p10le", Refused),
    case("VP9", "", "vp9.mp4", "96x64", "-c:v libvpx-vp9 -b:v 200k -g 20 -pix_fmt yuv420p", Refused),
    case("AV1", "", "av1.mp4", "96x64", "-c:v libaom-av1 -cpu-used 8 -b:v 200k -g 20 -pix_fmt yuv420p", Refused),
    case("AV1", "odd size: 97x63", "av1.webm", "97x63", "-c:v libaom-av1 -cpu-used 8 -b:v 200k -g 20 -pix_fmt yuv420p", Refused),
    case("MPEG-4", "no B-frames", "mpeg4.avi", "96x64", "-c:v mpeg4 -g 12 -q:v 4", Refused),
    case("MPEG-4", "B-frames, no time stamps of display", "mpeg4b.avi", "96x64", "-c:v mpeg4 -bf 2 -g 15 -q:v 4", Refused),
    case("MPEG-4", "Xvid, B-frames", "xvid.avi", "96x64", "-c:v libxvid -bf 2 -g 15 -q:v 4", Refused),
    case("MPEG-4", "B-frames", "mpeg4.mp4", "96x64", "-c:v mpeg4 -bf 2 -g 15 -q:v 4", Refused),
    case("MPEG-4", "odd size: 97x63", "mpeg4.mkv", "97x63", "-c:v mpeg4 -bf 1 -g 15 -q:v 4", Refused),
    case("MPEG-4", "interlaced", "mpeg4i.avi", "96x64", "-c:v mpeg4 -flags +ildct+ilme -g 12 -q:v 4", Refused),
    case("MPEG-2", "B-frames", "mpeg2.ts", "96x64", "-c:v mpeg2video -bf 2 -g 12 -q:v 4", Refused),
    case("MPEG-2", "interlaced", "mpeg2.mpg", "96x64", "-f vob -c:v mpeg2video -flags +ildct+ilme -bf 2 -g 12 -q:v 4", Refused),
    case("MPEG-2", "4:2:2", "mpeg2.mkv", "96x64", "-c:v mpeg2video -pix_fmt yuv422p -bf 2 -g 12 -q:v 4", Refused),
    case("MPEG-1", "", "mpeg1.mpg", "96x64", "-c:v mpeg1video -bf 2 -g 12 -q:v 4", Refused),
    case("MJPEG", "", "mjpeg.avi", "96x64", "-c:v mjpeg -q:v 3 -pix_fmt yuvj420p", Refused),
    case("MJPEG", "4:2:2", "mjpeg.mov", "96x64", "-c:v mjpeg -q:v 3 -pix_fmt yuvj422p", Refused),
    case("WMV2", "", "wmv2.wmv", "96x64", "-c:v wmv2 -g 12 -q:v 4", Refused),
    case("FLV1", "", "flv1.flv", "96x64", "-c:v flv1 -g 12 -q:v 4", Refused),
    case("Theora", "", "theora.ogv", "96x64", "-c:v libtheora -g 12 -q:v 6", Refused),
    case("H.263", "", "h263.3gp", "128x96", "-c:v h263 -g 12 -q:v 4", Refused),
    case("ProRes", "10-bit 4:2:2", "prores.mov", "96x64", "-c:v prores_ks", Refused),
    case("FFV1", "", "ffv1.mkv", "96x64", "-c:v ffv1 -pix_fmt yuv420p", Refused),
    case("HuffYUV", "", "huffyuv.avi", "96x64", "-c:v huffyuv -pix_fmt yuv422p", Refused),
    case("raw", "RGB, rows upwards", "raw.avi", "96x64", "-c:v rawvideo -pix_fmt bgr24", Refused),
];

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.file, self.codec, self.what)
    }
}

impl Case {
    /// Makes the file in a folder; `None` if this ffmpeg cannot make it, as one without an encoder.
    pub(crate) fn make(&self, folder: &Path) -> Option<PathBuf> {
        let path = folder.join(self.file);
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-y"]);
        let source = format!("testsrc2=size={}:rate=25:duration=2,noise=alls=8:all_seed=3", self.size);
        if !self.arguments.contains("IN:") {
            command.args(["-f", "lavfi", "-i", &source]);
        }
        for argument in self.arguments.split(' ') {
            match argument.strip_prefix("IN:") {
                Some(earlier) => command.arg("-i").arg(folder.join(earlier)),
                None => command.arg(argument),
            };
        }
        let made = command.arg(&path).stderr(Stdio::null()).status().ok()?;
        made.success().then_some(path)
    }
}

/// All frames of a file as decoded by ffmpeg, RGB, concatenated.
pub(crate) fn frames_of_ffmpeg(path: &Path) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-flags", "unaligned", "-i"])
        .arg(path)
        .args([
            "-vsync",
            "passthrough",
            "-sws_flags",
            "bilinear",
            "-pix_fmt",
            "rgb24",
            "-f",
            "rawvideo",
            "-",
        ])
        .stderr(Stdio::null())
        .output();
    output.map(|o| o.stdout).unwrap_or_default()
}
