//! `backgrounds`: one image for each video, without what moves.

use super::footage::to_rgb;
use super::input::video_without_frames;
use super::ppm;
use crate::contract::*;
use anyhow::Result;
use glad_video::{BackgroundOptions, EvenMedian};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The backgrounds of all videos of a list: the median over time of every pixel and channel (background debiasing, the
/// b of eq. 6).
///
/// They are made before the phase, once, and kept in the run's cache by what they are made from: the file (path, size,
/// time of its last change), the segment, what decodes it and these parameters. Other runs and other lists use them again. A video of
/// which none can be made is reported and left out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Backgrounds {
    /// Frames of a video that are looked at: all, or of a longer one so many (65,535 at most), spread evenly.
    #[serde(default = "thousand")]
    pub max_frames: usize,
    /// MiB that a video may take. Where its frames together take more, it is counted how often each value comes, which
    /// takes the memory of 544 frames however many there are and gives the same median; where that is more, too, fewer
    /// frames are looked at, spread evenly. As many videos are worked on at once as there are threads.
    #[serde(default = "mebibytes")]
    pub max_mib: usize,
    /// What the median of an even number of frames is.
    #[serde(default)]
    pub even: EvenMedian,
}

fn thousand() -> usize {
    1024
}

fn mebibytes() -> usize {
    256
}

impl Kind for Backgrounds {
    const NAME: &'static str = "backgrounds";
    const GROUP: Group = Group::Data;

    fn validate(&self) -> Vec<ParamProblem> {
        let mut problems = vec![];
        for (param, n) in [("max_frames", self.max_frames), ("max_mib", self.max_mib)] {
            if n == 0 {
                problems.push(ParamProblem::new(param, format!("`{param}` must be at least 1")));
            }
        }
        problems
    }

    fn contract(&self, _: &Wiring) -> Contract {
        Contract::on(Side::Host)
            .input("video", "Video[B]", "the videos of a list")
            .whole_list()
            .output("images", "Images[]", "an image for each video")
    }

    fn build(&self, _: &BuildCx<'_>) -> Result<Body, Vec<ParamProblem>> {
        Ok(Body::Resource(Box::new(Medians { params: self.clone() })))
    }
}

/// Goes up whenever the same video and parameters give another image.
const VERSION: u32 = 3;

pub(super) struct Medians {
    pub params: Backgrounds,
}

impl Medians {
    /// Where the background of a video is kept; `None` where its content is unknown.
    fn place(&self, cache: &Path, video: &Video) -> Option<PathBuf> {
        let Backgrounds {
            max_frames,
            max_mib,
            even,
        } = &self.params;
        let stamp = video.footage.stamp()?;
        // Of damaged files, decoders and their versions may deliver different frames.
        let decoder = format!("{} {}", video.footage.backend(), glad_video::decoders());
        let made = format!("background {VERSION}\n{max_frames} {max_mib} {even:?}\n{decoder}\n{stamp}");
        let name = blake3::hash(made.as_bytes()).to_hex();
        Some(cache.join("backgrounds").join(format!("{}.ppm", &name[..32])))
    }

    fn median(&self, video: &Video) -> Result<Frame, DataError> {
        let count = video.footage.frame_count()?;
        if count == 0 {
            return Err(video_without_frames(video));
        }
        let first = video.footage.frames(&[0])?.remove(0);
        let options = BackgroundOptions {
            even: self.params.even,
            max_frames: self.params.max_frames,
            max_bytes: self.params.max_mib.saturating_mul(1 << 20),
        };
        let (wanted, mut median) = options.plan(count, first.data.len());
        video
            .footage
            .visit(&wanted, &mut |_, frame| Ok(median.push(to_rgb(frame)?)?))?;
        Ok(super::footage::to_frame(median.finish(options.even)?))
    }

    /// The background of a video, from the cache or made.
    ///
    /// # Errors
    /// As [`Footage::frames`], or the video has no frames.
    pub(super) fn image(&self, cx: &PrepareCx<'_>, video: &Video) -> Result<Image, DataError> {
        let place = cx.cache.and_then(|cache| self.place(cache, video));
        if let Some(place) = place.as_ref().filter(|place| place.exists()) {
            match ppm::read(place) {
                Ok(_) => return Ok(Image::Kept(place.clone())),
                Err(e) => (cx.warn)(&format!("{e:#}; it is made again")),
            }
        }
        let frame = self.median(video)?;
        match place {
            Some(place) => match ppm::write(&place, &frame) {
                Ok(()) => Ok(Image::Kept(place)),
                Err(e) => {
                    (cx.uncached)(&e);
                    Ok(Image::Held(frame))
                }
            },
            None => Ok(Image::Held(frame)),
        }
    }
}

impl Resource for Medians {
    fn prepare(&self, cx: &PrepareCx<'_>) -> Result<Vec<HostValue>, DataError> {
        let (done, of) = (AtomicUsize::new(0), cx.videos.len());
        let made: Vec<Result<Image, DataError>> = (cx.videos.par_iter())
            .with_max_len(1)
            .map(|video| {
                let image = self.image(cx, video);
                (cx.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, of);
                image
            })
            .collect();
        let mut bank = Bank { images: vec![] };
        let mut failed = vec![];
        for image in made {
            match image {
                Ok(image) => bank.images.push(image),
                Err(e @ DataError::Fatal(_)) => return Err(e),
                Err(e) => failed.push(format!("{e:#}")),
            }
        }
        if bank.images.is_empty() {
            return Err(DataError::sample(match failed.first() {
                Some(first) => format!("none of {of} videos has a background; the first: {first}"),
                None => "there are no videos to take backgrounds of".into(),
            }));
        }
        for e in failed {
            (cx.warn)(&format!("no background: {e}"));
        }
        Ok(vec![HostValue::Images(Arc::new(bank))])
    }
}

/// Backgrounds, in the order of their videos.
#[derive(Debug)]
struct Bank {
    images: Vec<Image>,
}

#[derive(Debug)]
pub(super) enum Image {
    Kept(PathBuf),
    Held(Frame),
}

impl Image {
    /// The image itself.
    ///
    /// # Errors
    /// Its file in the cache cannot be read, or was altered.
    pub(super) fn read(&self) -> Result<Frame> {
        match self {
            Image::Kept(path) => ppm::read(path),
            Image::Held(frame) => Ok(frame.clone()),
        }
    }
}

impl ImageBank for Bank {
    fn count(&self) -> usize {
        self.images.len()
    }

    fn image(&self, i: usize) -> Result<Frame, DataError> {
        let there = self.images.len();
        let asked = || DataError::sample(format!("image {i} was asked for, but there are {there}"));
        Ok(self.images.get(i).ok_or_else(asked)?.read()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{build_cx, dims, node};
    use super::*;
    use serde_json::{Value, json};
    use std::sync::Mutex;

    /// A grey wall with a white square that walks over it, 3 frames at each place; counts what is decoded.
    struct Walk {
        name: Option<&'static str>,
        frames: usize,
        decoded: Arc<AtomicUsize>,
    }

    impl Footage for Walk {
        fn frame_count(&self) -> Result<usize, DataError> {
            if self.frames == 0 {
                return Err(DataError::sample("list.txt:9: broken.mp4: cannot read"));
            }
            Ok(self.frames)
        }
        fn frames(&self, wanted: &[usize]) -> Result<Vec<Frame>, DataError> {
            self.decoded.fetch_add(wanted.len(), Ordering::Relaxed);
            let frame = |i: &usize| {
                let mut data = vec![90; 8 * 8 * 3];
                data[(i / 3 % 64) * 3..][..3].fill(255);
                Frame {
                    width: 8,
                    height: 8,
                    data: Arc::new(data),
                }
            };
            Ok(wanted.iter().map(frame).collect())
        }
        fn stamp(&self) -> Option<String> {
            self.name.map(String::from)
        }
    }

    fn video(index: usize, footage: Walk) -> Arc<Video> {
        Arc::new(Video {
            index,
            path: "a.mp4".into(),
            line: format!("list.txt:{}", index + 1),
            label: None,
            footage: Arc::new(footage),
        })
    }

    fn walk(name: Option<&'static str>, frames: usize) -> (Walk, Arc<AtomicUsize>) {
        let decoded = Arc::new(AtomicUsize::new(0));
        let count = decoded.clone();
        (Walk { name, frames, decoded }, count)
    }

    /// The bank, and what was warned of.
    fn prepare(
        params: Value,
        videos: Vec<Arc<Video>>,
        cache: &Path,
    ) -> Result<(Arc<dyn ImageBank>, Vec<String>), DataError> {
        let Ok(Body::Resource(node)) = node::<Backgrounds>(params).build(&build_cx(&dims(&[]))) else {
            panic!();
        };
        let (warnings, progress) = (Mutex::new(vec![]), Mutex::new(vec![]));
        let of = videos.len();
        let out = node.prepare(&PrepareCx {
            videos,
            cache: Some(cache),
            progress: &|done, of| progress.lock().unwrap().push((done, of)),
            warn: &|text| warnings.lock().unwrap().push(text.to_owned()),
            uncached: &|e| warnings.lock().unwrap().push(format!("not kept: {e:#}")),
        });
        let mut progress = progress.into_inner().unwrap();
        progress.sort();
        assert_eq!(progress, (1..=of).map(|i| (i, of)).collect::<Vec<_>>());
        match out?.remove(0) {
            HostValue::Images(bank) => Ok((bank, warnings.into_inner().unwrap())),
            v => panic!("{v:?}"),
        }
    }

    #[test]
    fn what_moves_is_gone_and_nothing_is_made_twice() {
        let cache = tempfile::tempdir().unwrap();
        for (pass, decoded_then) in [(1, true), (2, false)] {
            let (a, decoded) = walk(Some("a"), 48);
            let (bank, warnings) = prepare(json!({}), vec![video(0, a)], cache.path()).unwrap();
            assert_eq!((bank.count(), warnings), (1, vec![]));
            assert_eq!(*bank.image(0).unwrap().data, vec![90; 8 * 8 * 3]);
            let e = bank.image(1).unwrap_err().to_string();
            assert_eq!(e, "image 1 was asked for, but there are 1");
            assert_eq!(decoded.load(Ordering::Relaxed) > 0, decoded_then, "pass {pass}");
        }
        // another content, or other parameters: made anew
        for (name, params) in [
            ("b", json!({})),
            ("a", json!({"max_frames": 9})),
            ("a", json!({"even": "mean"})),
        ] {
            let (footage, decoded) = walk(Some(name), 48);
            prepare(params, vec![video(0, footage)], cache.path()).unwrap();
            assert!(decoded.load(Ordering::Relaxed) > 0);
        }
        assert_eq!(std::fs::read_dir(cache.path().join("backgrounds")).unwrap().count(), 4);
    }

    #[test]
    fn a_damaged_file_of_the_cache_is_made_anew() {
        let cache = tempfile::tempdir().unwrap();
        let run = || prepare(json!({}), vec![video(0, walk(Some("a"), 30).0)], cache.path()).unwrap();
        let image = run().0.image(0).unwrap();
        let file = std::fs::read_dir(cache.path().join("backgrounds"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        let mut altered = std::fs::read(file.path()).unwrap();
        *altered.last_mut().unwrap() ^= 1;
        for bytes in [&altered[..], &altered[..20]] {
            std::fs::write(file.path(), bytes).unwrap();
            let (bank, warnings) = run();
            assert_eq!(bank.image(0).unwrap(), image);
            assert!(
                warnings.len() == 1 && warnings[0].ends_with("it is made again"),
                "{warnings:?}"
            );
            assert_eq!(run().1, [""; 0]);
        }
    }

    #[test]
    fn what_cannot_be_named_is_held() {
        let cache = tempfile::tempdir().unwrap();
        let (bank, _) = prepare(json!({}), vec![video(0, walk(None, 30).0)], cache.path()).unwrap();
        assert_eq!(bank.image(0).unwrap().width, 8);
        assert!(!cache.path().join("backgrounds").exists());
    }

    #[test]
    fn a_broken_video_is_left_out_and_named() {
        let cache = tempfile::tempdir().unwrap();
        let videos = |lengths: &[usize]| -> Vec<Arc<Video>> {
            let footage = |(i, n): (usize, &usize)| video(i, walk(None, *n).0);
            lengths.iter().enumerate().map(footage).collect()
        };
        let (bank, warnings) = prepare(json!({}), videos(&[30, 0, 30]), cache.path()).unwrap();
        assert_eq!(bank.count(), 2);
        assert_eq!(warnings, ["no background: list.txt:9: broken.mp4: cannot read"]);
        let e = prepare(json!({}), videos(&[0, 0]), cache.path())
            .unwrap_err()
            .to_string();
        assert!(e.contains("none of 2 videos") && e.contains("broken.mp4"), "{e}");
    }

    /// A disk that hangs.
    struct Stuck;

    impl Footage for Stuck {
        fn frame_count(&self) -> Result<usize, DataError> {
            Err(DataError::fatal("a.mp4: nothing came of it"))
        }
        fn frames(&self, _: &[usize]) -> Result<Vec<Frame>, DataError> {
            unreachable!("its frames are not counted")
        }
    }

    #[test]
    fn what_is_no_fault_of_the_video_leaves_none_out() {
        let cache = tempfile::tempdir().unwrap();
        let stuck = Arc::new(Video {
            footage: Arc::new(Stuck),
            ..Video::clone(&video(1, walk(None, 30).0))
        });
        let e = prepare(json!({}), vec![video(0, walk(None, 30).0), stuck], cache.path()).unwrap_err();
        assert!(matches!(e, DataError::Fatal(_)), "{e:?}");
        assert_eq!(e.to_string(), "a.mp4: nothing came of it");
    }

    #[test]
    fn long_and_large_videos_are_looked_at_here_and_there() {
        let cache = tempfile::tempdir().unwrap();
        let (a, decoded) = walk(None, 5000);
        prepare(json!({"max_frames": 100}), vec![video(0, a)], cache.path()).unwrap();
        assert_eq!(decoded.load(Ordering::Relaxed), 101);
        // 192 bytes a frame: 5461 are held in a MiB, and more are counted; the first one tells the size
        for frames in [5461, 9000] {
            let (a, decoded) = walk(None, frames);
            let params = json!({"max_frames": 100_000, "max_mib": 1});
            let (bank, _) = prepare(params, vec![video(0, a)], cache.path()).unwrap();
            assert_eq!(*bank.image(0).unwrap().data, vec![90; 8 * 8 * 3]);
            assert_eq!(decoded.load(Ordering::Relaxed), frames + 1);
        }
    }
}
