//! Small H.264 files of every shape, made in memory.
//!
//! The coded pictures come from a real encoder, and the expected frames come directly
//! from a decoder fed the whole stream: neither containers nor seeking are involved. The boxes are
//! written here, so that a test can bend any of them.
#![allow(dead_code)]

use std::fs;
use std::path::PathBuf;

use glad_video::{OpenOptions, RgbFrame, Video, VideoError};
use rusty_h264_common::YuvFrame;
use rusty_h264_common::nal::split_annex_b;
use rusty_h264_decoder::Decoder;
use rusty_h264_encoder::{Encoder, EncoderConfig};
use tempfile::TempDir;

/// One coded picture.
#[derive(Clone)]
pub(crate) struct Unit {
    /// NAL units with 32-bit lengths.
    pub bytes: Vec<u8>,
    pub sync: bool,
    /// Position in display order.
    pub rank: usize,
}

/// A coded video and its decoded frames.
#[derive(Clone)]
pub(crate) struct Coded {
    pub width: usize,
    pub height: usize,
    pub sps: Vec<u8>,
    pub pps: Vec<u8>,
    /// In decoding order.
    pub units: Vec<Unit>,
    /// In display order.
    pub frames: Vec<RgbFrame>,
}

/// A moving texture, so that every frame differs and motion is worth predicting.
fn picture(width: usize, height: usize, t: usize) -> YuvFrame {
    let mut f = YuvFrame::black(width, height);
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (x + 2 * t, y + t / 2);
            f.y[y * width + x] = (40 + (u * 7 + v * 3) % 90 + 40 * ((u / 8 + v / 8) % 2)) as u8;
        }
    }
    for y in 0..height / 2 {
        for x in 0..width / 2 {
            f.u[y * width / 2 + x] = (90 + (x + t) % 60) as u8;
            f.v[y * width / 2 + x] = (100 + (y + 2 * t) % 50) as u8;
        }
    }
    f
}

/// Encodes `n` pictures, a key frame every `gop`, with `b` B-pictures in a row.
pub(crate) fn encode(width: usize, height: usize, n: usize, gop: u32, b: u32) -> Coded {
    let mut config = if b == 0 {
        EncoderConfig::baseline(width, height)
    } else {
        EncoderConfig::new(width, height)
    };
    config.gop_size = gop;
    config.min_keyint = gop;
    config.scenecut = 0;
    config.mbtree = false;
    config.bframes = b;
    config.qp = 26;
    let pictures: Vec<YuvFrame> = (0..n).map(|t| picture(width, height, t)).collect();
    let stream: Vec<u8> = Encoder::new(config).unwrap().encode_all(&pictures).unwrap().concat();
    coded(width, height, &stream)
}

fn coded(width: usize, height: usize, stream: &[u8]) -> Coded {
    let (mut sps, mut pps) = (Vec::new(), Vec::new());
    let mut units = Vec::new();
    let mut order: Vec<(usize, i32)> = Vec::new();
    let (mut gop, mut decoder) = (0, Decoder::new());
    for unit in rusty_h264_decoder::split_access_units(stream) {
        let (mut bytes, mut sync) = (Vec::new(), false);
        for nal in split_annex_b(unit) {
            match nal[0] & 0x1f {
                7 => sps = nal.to_vec(),
                8 => pps = nal.to_vec(),
                kind => {
                    sync |= kind == 5;
                    bytes.extend_from_slice(&(nal.len() as u32).to_be_bytes());
                    bytes.extend_from_slice(nal);
                }
            }
        }
        gop += usize::from(sync);
        assert!(decoder.decode(unit).unwrap().is_some(), "one slice a picture");
        order.push((gop, decoder.last_poc()));
        units.push(Unit { bytes, sync, rank: 0 });
    }
    let mut sorted = order.clone();
    sorted.sort_unstable();
    for (unit, key) in units.iter_mut().zip(&order) {
        unit.rank = sorted.binary_search(key).unwrap();
    }
    let frames = Decoder::new()
        .decode_stream(stream)
        .unwrap()
        .iter()
        .map(|p| rgb(p, width, height))
        .collect();
    Coded {
        width,
        height,
        sps,
        pps,
        units,
        frames,
    }
}

/// BT.601 of limited range, as in swscale's x86 code: products of eighths, truncated.
fn rgb(p: &YuvFrame, width: usize, height: usize) -> RgbFrame {
    assert_eq!((p.width, p.height), (width, height));
    let mut data = Vec::with_capacity(width * height * 3);
    for i in 0..width * height {
        let chroma = i / width / 2 * (width / 2) + i % width / 2;
        let eighths = |v: u8, zero: i32| 8 * (i32::from(v) - zero);
        let (y, u, v) = (
            eighths(p.y[i], 16),
            eighths(p.u[chroma], 128),
            eighths(p.v[chroma], 128),
        );
        let product = |a: i32, b: i32| (a * b) >> 16;
        let y = product(y, 9539);
        let rgb = [
            y + product(v, 13075),
            y + product(u, -3209) + product(v, -6660),
            y + product(u, 16525),
        ];
        data.extend(rgb.map(|v| v.clamp(0, 255) as u8));
    }
    RgbFrame::new(width, height, data).unwrap()
}

/// How the container is written.
#[derive(Clone)]
pub(crate) struct Container {
    /// Ticks from one frame to the next, by display order; the last repeats.
    pub durations: Vec<u32>,
    /// Display matrix, `a b u c d v x y w`.
    pub matrix: [i32; 9],
    /// `(segment duration in ms, media time in ticks)`.
    pub edits: Vec<(u32, i32)>,
    /// Samples a fragment; 0 is one table for all.
    pub fragment: usize,
    /// Type of the sample entry.
    pub codec: [u8; 4],
    /// Samples a chunk.
    pub chunk: usize,
    pub co64: bool,
    /// Whether the tables come before the data.
    pub moov_first: bool,
    /// Boxes to put in front of the track, inside `moov`.
    pub before_track: Vec<u8>,
    pub track_id: u32,
}

/// Ticks a second.
pub(crate) const TIMESCALE: u32 = 12_800;

/// Ticks a frame, by default.
pub(crate) const TICK: u32 = 512;

impl Default for Container {
    fn default() -> Self {
        Self {
            durations: vec![TICK],
            matrix: [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000],
            edits: Vec::new(),
            fragment: 0,
            codec: *b"avc1",
            chunk: 5,
            co64: false,
            moov_first: false,
            before_track: Vec::new(),
            track_id: 1,
        }
    }
}

/// A box.
pub(crate) fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let payload = parts.concat();
    let mut out = ((payload.len() + 8) as u32).to_be_bytes().to_vec();
    out.extend_from_slice(kind);
    out.extend_from_slice(&payload);
    out
}

/// 32-bit numbers, big-endian.
pub(crate) fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

/// A table: version and flags, count, entries.
fn table(kind: &[u8; 4], flags: u32, rows: usize, values: &[u32]) -> Vec<u8> {
    boxed(kind, &[&words(&[flags, rows as u32]), &words(values)])
}

impl Container {
    /// Display time of each rank.
    fn times(&self, n: usize) -> Vec<u32> {
        let mut t = 0;
        (0..n)
            .map(|i| {
                let now = t;
                t += self.durations.get(i).or(self.durations.last()).unwrap();
                now
            })
            .collect()
    }

    /// The whole file.
    pub(crate) fn write(&self, coded: &Coded) -> Vec<u8> {
        let ftyp = boxed(b"ftyp", &[b"isom", &words(&[512]), b"isomavc1"]);
        if self.fragment > 0 {
            return self.write_fragments(coded, ftyp);
        }
        let data: Vec<&[u8]> = coded.units.iter().map(|u| &u.bytes[..]).collect();
        let mdat = boxed(b"mdat", &data);
        let moov = |at: usize| self.moov(coded, &self.stbl(coded, at), &[]);
        if self.moov_first {
            let start = ftyp.len() + moov(0).len() + 8;
            [ftyp, moov(start), mdat].concat()
        } else {
            let start = ftyp.len() + 8;
            [ftyp, mdat, moov(start)].concat()
        }
    }

    /// Only the sample table, of samples from byte `start` on.
    pub(crate) fn stbl(&self, coded: &Coded, start: usize) -> Vec<u8> {
        let n = coded.units.len();
        let times = self.times(n);
        // Decoding times are display times in order; offsets map them to the right picture.
        let delta = |i: usize| match times.get(i + 1) {
            Some(next) => next - times[i],
            None => *self.durations.last().unwrap(),
        };
        let stts: Vec<u32> = (0..n).flat_map(|i| [1, delta(i)]).collect();
        let ctts: Vec<u32> = (0..n)
            .flat_map(|i| [1, times[coded.units[i].rank].wrapping_sub(times[i])])
            .collect();
        let sync: Vec<u32> = (0..n).filter(|&i| coded.units[i].sync).map(|i| i as u32 + 1).collect();
        let sizes: Vec<u32> = coded.units.iter().map(|u| u.bytes.len() as u32).collect();
        let mut at = start as u32;
        let mut chunks = Vec::new();
        for group in sizes.chunks(self.chunk) {
            chunks.push(at);
            at += group.iter().sum::<u32>();
        }
        // The last chunk is a run of its own if it is shorter.
        let (full, rest) = (n / self.chunk, n % self.chunk);
        let mut runs = Vec::new();
        if full > 0 {
            runs.extend([1, self.chunk as u32, 1]);
        }
        if rest > 0 {
            runs.extend([full as u32 + 1, rest as u32, 1]);
        }
        let offsets = if self.co64 {
            let wide: Vec<u32> = chunks.iter().flat_map(|&c| [0, c]).collect();
            table(b"co64", 0, chunks.len(), &wide)
        } else {
            table(b"stco", 0, chunks.len(), &chunks)
        };
        [
            table(b"stts", 0, n, &stts),
            table(b"ctts", 1 << 24, n, &ctts),
            table(b"stss", 0, sync.len(), &sync),
            boxed(b"stsz", &[&words(&[0, 0, n as u32]), &words(&sizes)]),
            table(b"stsc", 0, runs.len() / 3, &runs),
            offsets,
        ]
        .concat()
    }

    fn moov(&self, coded: &Coded, tables: &[u8], mvex: &[u8]) -> Vec<u8> {
        let matrix = words(&self.matrix.map(|v| v as u32));
        let mvhd = boxed(
            b"mvhd",
            &[
                &words(&[0, 0, 0, 1000, 0, 0x10000]),
                &[1, 0],
                &[0; 10],
                &matrix,
                &[0; 24],
                &words(&[2]),
            ],
        );
        [boxed(
            b"moov",
            &[&mvhd, &self.before_track, &self.trak(coded, tables), mvex],
        )]
        .concat()
    }

    /// Only the track.
    pub(crate) fn trak(&self, coded: &Coded, tables: &[u8]) -> Vec<u8> {
        let matrix = words(&self.matrix.map(|v| v as u32));
        let (w, h) = (coded.width as u32, coded.height as u32);
        let tkhd = boxed(
            b"tkhd",
            &[
                &words(&[7, 0, 0, self.track_id, 0, 0, 0, 0, 0, 0]),
                &matrix,
                &words(&[w << 16, h << 16]),
            ],
        );
        let edits: Vec<u32> = self
            .edits
            .iter()
            .flat_map(|&(duration, time)| [duration, time as u32, 0x10000])
            .collect();
        let edts = if edits.is_empty() {
            Vec::new()
        } else {
            boxed(b"edts", &[&table(b"elst", 0, self.edits.len(), &edits)])
        };
        let avcc = boxed(
            b"avcC",
            &[
                &[1, coded.sps[1], coded.sps[2], coded.sps[3], 0xff, 0xe1],
                &(coded.sps.len() as u16).to_be_bytes(),
                &coded.sps,
                &[1],
                &(coded.pps.len() as u16).to_be_bytes(),
                &coded.pps,
            ],
        );
        let entry = boxed(
            &self.codec,
            &[
                &[0, 0, 0, 0, 0, 0, 0, 1],
                &[0; 16],
                &(w as u16).to_be_bytes(),
                &(h as u16).to_be_bytes(),
                &[0; 50],
                &avcc,
            ],
        );
        let stsd = boxed(b"stsd", &[&words(&[0, 1]), &entry]);
        let mdhd = boxed(b"mdhd", &[&words(&[0, 0, 0, TIMESCALE, 0, 0x55c4_0000])]);
        let hdlr = boxed(b"hdlr", &[&words(&[0, 0]), b"vide", &[0; 13]]);
        let minf = boxed(b"minf", &[&boxed(b"stbl", &[&stsd, tables])]);
        let mdia = boxed(b"mdia", &[&mdhd, &hdlr, &minf]);
        boxed(b"trak", &[&tkhd, &edts, &mdia])
    }

    fn write_fragments(&self, coded: &Coded, ftyp: Vec<u8>) -> Vec<u8> {
        let empty = [
            table(b"stts", 0, 0, &[]),
            boxed(b"stsz", &[&words(&[0, 0, 0])]),
            table(b"stsc", 0, 0, &[]),
            table(b"stco", 0, 0, &[]),
        ]
        .concat();
        let trex = boxed(b"trex", &[&words(&[0, self.track_id, 1, TICK, 0, 0x1_0000])]);
        let mut out = [ftyp, self.moov(coded, &empty, &boxed(b"mvex", &[&trex]))].concat();
        for (k, group) in coded.units.chunks(self.fragment).enumerate() {
            let first = k * self.fragment;
            let rows: Vec<u32> = group
                .iter()
                .enumerate()
                .flat_map(|(i, u)| {
                    let shift = (u.rank as i64 - (first + i) as i64) * i64::from(TICK);
                    [
                        u.bytes.len() as u32,
                        if u.sync { 0x0200_0000 } else { 0x0101_0000 },
                        shift as i32 as u32,
                    ]
                })
                .collect();
            // Offset, size, flags and composition time for each; version 1 for negative ones.
            let moof = |data_offset: u32| {
                let trun = boxed(
                    b"trun",
                    &[
                        &words(&[1 << 24 | 0xe01, group.len() as u32, data_offset]),
                        &words(&rows),
                    ],
                );
                let tfhd = boxed(b"tfhd", &[&words(&[0x2_0000, self.track_id])]);
                let tfdt = boxed(b"tfdt", &[&words(&[0, first as u32 * TICK])]);
                let traf = boxed(b"traf", &[&tfhd, &tfdt, &trun]);
                boxed(b"moof", &[&boxed(b"mfhd", &[&words(&[0, k as u32 + 1])]), &traf])
            };
            let size = moof(0).len() as u32;
            out.extend(moof(size + 8));
            let data: Vec<&[u8]> = group.iter().map(|u| &u.bytes[..]).collect();
            out.extend(boxed(b"mdat", &data));
        }
        out
    }
}

/// A file in a temporary folder.
pub(crate) struct TestFile {
    pub folder: TempDir,
    pub path: PathBuf,
}

/// Writes bytes as `video.mp4`.
pub(crate) fn file(bytes: &[u8]) -> TestFile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.mp4");
    fs::write(&path, bytes).unwrap();
    TestFile { folder, path }
}

/// Writes bytes and opens them.
pub(crate) fn open(bytes: &[u8]) -> (TestFile, Result<Video, VideoError>) {
    let file = file(bytes);
    let video = Video::open(&file.path, &OpenOptions::default());
    (file, video)
}

/// All frames' numbers.
pub(crate) fn all(video: &Video) -> Vec<usize> {
    (0..video.frame_count()).collect()
}
