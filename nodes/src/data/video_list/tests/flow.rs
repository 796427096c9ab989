//! Optical flow next to the videos of a list.

use super::folders::grey_png;
use super::*;

/// Images 1 to `count` of a folder, each of one pixel, which is `first` more than ten times its number.
fn images(folder: &Path, name: impl Fn(usize) -> String, count: usize, first: u8) {
    fs::create_dir_all(folder).unwrap();
    for i in 1..=count {
        fs::write(folder.join(name(i)), grey_png(first + 10 * i as u8)).unwrap();
    }
}

/// Both components of an image of flow.
fn pixel(footage: &dyn Footage, i: usize) -> [u8; 2] {
    let frame = footage.frames(&[i]).unwrap().remove(0);
    assert_eq!((frame.width, frame.height), (1, 1));
    [frame.data[0], frame.data[1]]
}

/// `v` of 6 frames, with the flow between them in the same folder.
fn beside() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let v = dir.path().join("v");
    images(&v, |i| format!("img_{i:05}.jpg"), 6, 0);
    images(&v, |i| format!("flow_x_{i:05}.jpg"), 5, 1);
    images(&v, |i| format!("flow_y_{i:05}.jpg"), 5, 2);
    fs::write(dir.path().join("l.txt"), "v 3\n").unwrap();
    dir
}

const BOTH: [&str; 2] = ["rgb", "flow"];

fn outputs(params: Value) -> Vec<String> {
    let mut params = params;
    params["list"] = json!("l.txt");
    let list: VideoList = serde_json::from_value(params).unwrap();
    let contract = Kind::contract(&list, &Wiring::default());
    contract
        .outputs
        .iter()
        .map(|o| format!("{} {}", o.name, o.ty))
        .collect()
}

#[test]
fn ports_are_those_of_the_modalities() {
    let [video, label, flow] = ["video Video[B]", "label Label[B]", "flow Flow[B]"];
    assert_eq!(outputs(json!({})), [video, label]);
    assert_eq!(outputs(json!({"modalities": BOTH})), [video, label, flow]);
    assert_eq!(outputs(json!({"modalities": ["flow"]})), [label, flow]);
}

#[test]
fn flow_is_next_to_the_images_of_a_folder() {
    let dir = beside();
    let source = source(
        dir.path(),
        json!({"list": "l.txt", "start_index": 1, "modalities": BOTH}),
    );
    let video = source.videos("train").unwrap().remove(0);
    let values = source.values(&video).unwrap();
    let [HostValue::Video(rgb), HostValue::Label(3), HostValue::Video(flow)] = &values[..] else {
        panic!("{values:?}")
    };
    assert_eq!(
        (rgb.footage.frame_count().unwrap(), flow.footage.frame_count().unwrap()),
        (6, 5)
    );
    for i in 0..5 {
        let n = 10 * (i as u8 + 1);
        assert_eq!(pixel(&*flow.footage, i), [n + 1, n + 2]);
    }
    assert_eq!(rgb.footage.frames(&[2]).unwrap()[0].data[..], [30; 3]);
    // Images of each other are no reason for a remark.
    for footage in [&rgb.footage, &flow.footage] {
        assert!(matches!(footage.inspect(), Ok(5 | 6)) && footage.remark().is_none());
    }
    // The file is identified with its flow.
    let (images, stamp) = (flow.footage.images().unwrap(), flow.footage.stamp());
    fs::write(dir.path().join("v/flow_y_00004.jpg"), "another one").unwrap();
    assert_ne!(flow.footage.images().unwrap().sizes, images.sizes);
    assert_ne!(flow.footage.stamp(), stamp);
    let e = flow.footage.frames(&[3]).unwrap_err();
    assert!(
        matches!(e, DataError::Sample(_)) && format!("{e:#}").contains("flow_y_00004.jpg"),
        "{e:#}"
    );
}

#[test]
fn flow_alone_is_the_video() {
    let dir = beside();
    let source = source(
        dir.path(),
        json!({"list": "l.txt", "start_index": 1, "modalities": ["flow"]}),
    );
    let video = source.videos("train").unwrap().remove(0);
    let values = source.values(&video).unwrap();
    let [HostValue::Label(3), HostValue::Video(flow)] = &values[..] else {
        panic!("{values:?}")
    };
    assert_eq!(
        (flow.footage.frame_count().unwrap(), flow.path.clone()),
        (5, dir.path().join("v"))
    );
    // A file of a command has its flow where the lists' have it.
    let named = source.of_files(&[dir.path().join("v")]).unwrap();
    assert_eq!(pixel(&*named[0].footage, 4), [51, 52]);
}

/// EPIC-KITCHENS: folders u and v, and an image of flow for every second frame.
#[test]
fn segments_have_the_flow_between_their_frames() {
    let dir = tempfile::tempdir().unwrap();
    let name = |i: usize| format!("frame_{i:010}.jpg");
    images(&dir.path().join("rgb/P01/P01_01"), name, 24, 0);
    images(&dir.path().join("flow/P01/P01_01/u"), name, 12, 1);
    images(&dir.path().join("flow/P01/P01_01/v"), name, 12, 2);
    let rows = "participant_id,video_id,start_frame,stop_frame,verb_class\nP01,P01_01,3,9,2\nP01,P01_01,20,20,1\n";
    fs::write(dir.path().join("l.csv"), rows).unwrap();
    let params = json!({
        "list": "l.csv", "format": "epic_kitchens", "root": "rgb", "modalities": BOTH, "flow_root": "flow", "flow_stride": 2,
    });
    let source = source(dir.path(), params);
    let videos = source.videos("train").unwrap();
    let flow = videos[0].footage.other().unwrap();
    // Frames 2 to 8, from 0: the flow from 2, 4 and 6.
    assert_eq!(
        (
            videos[0].footage.frame_count().unwrap(),
            flow.footage.frame_count().unwrap()
        ),
        (7, 3)
    );
    assert_eq!(
        [pixel(&*flow.footage, 0), pixel(&*flow.footage, 2)],
        [[21, 22], [41, 42]]
    );
    // A single frame has the next image.
    let flow = videos[1].footage.other().unwrap();
    assert_eq!((flow.footage.inspect(), pixel(&*flow.footage, 0)), (Ok(1), [111, 112]));
}

#[test]
fn flow_of_a_segment() {
    let of = |offset, frames, stride| {
        let stated = crate::data::flow::segment(Stated { offset, frames }, stride);
        (stated.offset, stated.frames)
    };
    assert_eq!(of(None, Some(9), 2), (None, None));
    assert_eq!(of(Some(0), Some(10), 1), (Some(0), Some(9)));
    assert_eq!(of(Some(4), Some(1), 1), (Some(4), Some(1)));
    assert_eq!(of(Some(3), Some(6), 2), (Some(2), Some(2)));
    assert_eq!(of(Some(3), None, 2), (Some(2), None));
    assert_eq!(of(Some(usize::MAX), Some(usize::MAX), 1).0, Some(usize::MAX));
}

/// The flow of files has a folder by the file's name, and may be two videos.
#[test]
fn flow_of_files() {
    let dir = folder();
    let flow = dir.path().join("motion/a");
    fs::create_dir_all(&flow).unwrap();
    for (name, first) in [("x.mp4", 60), ("y.mp4", 90)] {
        let mut video = VideoWriter::create(flow.join(name), 16, 16, 24.0).unwrap();
        for i in 0..11 {
            video.push(&[first + 10 * i as u8; 16 * 16 * 3]).unwrap();
        }
        video.finish().unwrap();
    }
    fs::write(dir.path().join("l.txt"), "a.mp4 0\nb.mp4 1\n").unwrap();
    let params = json!({
        "list": "l.txt", "modalities": BOTH, "flow_root": "motion", "flow_template": ["x.mp4", "y.mp4"],
    });
    let videos = source(dir.path(), params).videos("train").unwrap();
    let flow = videos[0].footage.other().unwrap();
    let frame = flow.footage.frames(&[3]).unwrap().remove(0);
    assert_eq!((frame.width, frame.height, frame.data.len()), (16, 16, 512));
    for (found, want) in frame.data.iter().zip([90, 120].repeat(256)) {
        assert!(found.abs_diff(want) <= 2, "{found} {want}");
    }
    assert!(flow.footage.images().unwrap().bytes > 0);
    let missing = videos[1].footage.other().unwrap();
    assert_eq!(missing.footage.inspect(), Err(Defect::Missing));
    let e = format!("{:#}", missing.footage.frame_count().unwrap_err());
    assert!(e.contains("l.txt:2: ") && e.contains("motion/b/x.mp4"), "{e}");
}

#[test]
fn what_is_no_flow_is_damage() {
    let dir = beside();
    let flow_of = |params: Value| {
        let mut all = json!({"list": "l.txt", "start_index": 1, "modalities": BOTH});
        all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
        let video = source(dir.path(), all).videos("train").unwrap().remove(0);
        video.footage.other().unwrap().clone()
    };
    let error = |video: &Arc<Video>| format!("{:#}", video.footage.frames(&[0]).unwrap_err());
    // Fewer images of one component.
    fs::remove_file(dir.path().join("v/flow_y_00005.jpg")).unwrap();
    let video = flow_of(json!({}));
    let why = "its flow has 5 images across and 4 down";
    assert!(error(&video).ends_with(why), "{}", error(&video));
    assert!(matches!(video.footage.inspect(), Err(Defect::Unreadable(text)) if text.ends_with(why)));
    // None at all; what to write names the parameters of flow.
    let e = error(&flow_of(json!({"flow_template": ["u_%d.jpg", "flow_y_%05d.jpg"]})));
    assert!(e.contains("no frame u_1.jpg") && e.contains("`flow_template = "), "{e}");
    let e = error(&flow_of(
        json!({"flow_start_index": 3, "flow_template": ["v/x_%d.png", "v/y_%d.png"]}),
    ));
    assert!(e.contains("v/v"), "{e}");
    // Pictures in its place.
    let folder = dir.path().join("c");
    fs::create_dir(&folder).unwrap();
    for name in ["img_00001.jpg", "flow_x_00001.jpg", "flow_y_00001.jpg"] {
        let green = glad_video::RgbFrame::new(2, 1, vec![9, 9, 9, 9, 12, 9]).unwrap();
        fs::write(folder.join(name), glad_video::png(&green).unwrap()).unwrap();
    }
    fs::write(dir.path().join("l.txt"), "c 3\n").unwrap();
    let e = error(&flow_of(json!({})));
    assert!(
        e.contains("image 0 of its flow has colours") && e.contains("`flow_template`"),
        "{e}"
    );
}

#[test]
fn wrong_parameters_of_flow() {
    let found = |mut p: Value| {
        p["list"] = json!("l.txt");
        problems::<VideoList>(p, &dims(&[]))
    };
    assert_eq!(
        found(json!({"modalities": []})),
        ["modalities: nothing is read of the videos"]
    );
    assert_eq!(
        found(json!({"modalities": ["flow", "flow"]})),
        ["modalities: names a modality twice"]
    );
    assert_eq!(
        found(json!({"flow_stride": 0})),
        ["flow_stride: every image of flow would be of the same frame"]
    );
    assert_eq!(
        found(json!({"flow_template": ["x_%d.jpg", "x_%d.jpg"]})),
        ["flow_template: both components of the flow are the same files"]
    );
    let e = found(json!({"flow_template": ["../x_%d.jpg", "y_%d.jpg"]}));
    assert_eq!(
        e,
        ["flow_template[0]: \"../x_%d.jpg\" names no file below the folder of a video"]
    );
    let e = found(json!({"flow_template": ["x_%d.jpg", "y_%d_%d.jpg"]}));
    assert!(e.len() == 1 && e[0].starts_with("flow_template[1]: "), "{e:?}");
}
