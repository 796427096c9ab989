use super::*;
use std::path::Path;

/// A box that moves one pixel a frame.
fn picture(t: usize) -> Vec<u8> {
    (0..48 * 32)
        .flat_map(|i| {
            let (x, y) = (i % 48, i / 48);
            let inside = (x + 48 - t % 48) % 48 < 9 && y > 10 && y < 25;
            if inside { [200, 140, 160] } else { [70, 100, 90] }
        })
        .collect()
}

fn write(path: &Path, frames: usize, options: WriteOptions) -> Result<usize, WriteError> {
    let mut video = VideoWriter::create_with(path, 48, 32, 24.0, options)?;
    for t in 0..frames {
        video.push(&picture(t))?;
    }
    video.finish()
}

#[test]
fn same_frames_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let options = WriteOptions::default();
    let paths = ["a.mp4", "b.mp4", "c.mp4", "d.mp4"].map(|name| dir.path().join(name));
    std::thread::scope(|scope| {
        for path in &paths {
            scope.spawn(move || write(path, 30, options).unwrap());
        }
    });
    let first = std::fs::read(&paths[0]).unwrap();
    for path in &paths[1..] {
        assert_eq!(first, std::fs::read(path).unwrap());
    }
    let finer = dir.path().join("finer.mp4");
    write(&finer, 30, WriteOptions { qp: 10, ..options }).unwrap();
    assert_ne!(first, std::fs::read(&finer).unwrap());
}

#[test]
fn what_is_written_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    for (effort, gop, frames) in [
        (Effort::Fast, 12, 30),
        (Effort::Balanced, 1, 5),
        (Effort::Small, 250, 30),
        (Effort::Small, 12, 1),
    ] {
        let path = dir.path().join(format!("{effort:?}-{gop}.mp4"));
        let options = WriteOptions {
            qp: 16,
            gop,
            effort,
            durable: true,
        };
        assert_eq!(write(&path, frames, options).unwrap(), frames);
        let video = crate::Video::open(&path, &crate::OpenOptions::default()).unwrap();
        assert_eq!((video.frame_count(), video.width(), video.height()), (frames, 48, 32));
        assert_eq!(video.fps(), Some(24.0));
        let wanted: Vec<usize> = (0..frames).collect();
        for (t, read) in video.frames(&wanted).unwrap().iter().enumerate() {
            let squares: f64 = picture(t)
                .iter()
                .zip(read.data())
                .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
                .sum();
            let psnr = 10.0 * (255.0 * 255.0 * read.data().len() as f64 / squares).log10();
            assert!(psnr > 28.0, "{effort:?}, frame {t}: {psnr:.1} dB");
        }
    }
}

#[test]
fn nothing_is_left_of_an_unfinished_video() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("never.mp4");
    let mut video = VideoWriter::create(&path, 32, 32, 24.0).unwrap();
    video.push(&[7; 32 * 32 * 3]).unwrap();
    drop(video);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let empty = VideoWriter::create(&path, 32, 32, 24.0).unwrap();
    assert!(matches!(empty.finish(), Err(WriteError::Empty { .. })));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn refuses_what_it_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.mp4");
    for (width, height) in [(47, 48), (48, 47), (0, 48), (48, 8194)] {
        let error = VideoWriter::create(&path, width, height, 24.0).err().unwrap();
        assert!(error.to_string().contains("must be even"), "{error}");
    }
    for fps in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = VideoWriter::create(&path, 48, 48, fps).err().unwrap();
        assert!(error.to_string().contains("fps is"), "{error}");
    }
    let options = WriteOptions {
        qp: 52,
        ..WriteOptions::default()
    };
    let error = VideoWriter::create_with(&path, 48, 48, 24.0, options).err().unwrap();
    assert!(error.to_string().contains("qp is 52"), "{error}");
    let options = WriteOptions {
        gop: 0,
        ..WriteOptions::default()
    };
    let error = VideoWriter::create_with(&path, 48, 48, 24.0, options).err().unwrap();
    assert!(error.to_string().contains("gop is 0"), "{error}");
    let missing = dir.path().join("no/such/folder/x.mp4");
    let error = VideoWriter::create(missing, 48, 48, 24.0).err().unwrap();
    assert!(matches!(error, WriteError::Io { .. }), "{error}");
}

#[test]
fn a_short_frame_is_refused_and_the_video_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.mp4");
    let mut video = VideoWriter::create(&path, 32, 32, 24.0).unwrap();
    video.push(&[7; 32 * 32 * 3]).unwrap();
    let error = video.push(&[7; 100]).unwrap_err();
    assert!(error.to_string().contains("frame 1 has 100 bytes"), "{error}");
    video.push(&[8; 32 * 32 * 3]).unwrap();
    assert_eq!(video.finish().unwrap(), 2);
}

#[test]
fn colours_come_back_at_every_size() {
    let dir = tempfile::tempdir().unwrap();
    // On both sides of the height from which readers without a description assume BT.709.
    for (width, height) in [(64, 48), (96, 718), (96, 720)] {
        for effort in [Effort::Balanced, Effort::Small] {
            let path = dir.path().join(format!("{height}-{effort:?}.mp4"));
            let options = WriteOptions {
                qp: 4,
                effort,
                ..WriteOptions::default()
            };
            let colours = [[200, 30, 40], [20, 180, 60], [40, 50, 210], [220, 200, 30]];
            let frame: Vec<u8> = (0..width * height)
                .flat_map(|i| colours[(i % width) / (width / 4) % 4])
                .collect();
            let mut video = VideoWriter::create_with(&path, width, height, 24.0, options).unwrap();
            video.push(&frame).unwrap();
            video.push(&frame).unwrap();
            video.finish().unwrap();
            let read = crate::Video::open(&path, &crate::OpenOptions::default()).unwrap();
            let frames = read.frames(&[0, 1]).unwrap();
            for (c, want) in colours.iter().enumerate() {
                let got = frames[1].pixel(c * width / 4 + width / 8, height / 2);
                let off = (0..3).map(|i| got[i].abs_diff(want[i])).max().unwrap();
                assert!(off <= 3, "{height} {effort:?}: {got:?} for {want:?}");
            }
        }
    }
}
