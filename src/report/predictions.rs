//! Predictions for each video, and the values of ports, as files.

use super::scores::{ClassRow, class_name};
use crate::run::{PortValue, Prediction, write_out};
use anyhow::{Context, Result};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::Path;

/// A row per video: stream, path, label, predicted class, whether it is right, its probability, then the probability of
/// every class in a column `p_CLASS`. `label` and `correct` are empty where the video has no label.
///
/// # Errors
/// The CSV cannot be written.
pub fn predictions_csv(classes: &[String], predictions: &[Prediction]) -> Result<String> {
    let columns = predictions.iter().map(|p| p.probabilities.len()).max().unwrap_or(0);
    let mut w = csv::Writer::from_writer(vec![]);
    let mut head: Vec<String> = ["stream", "video", "label", "predicted", "correct", "confidence"]
        .map(String::from)
        .to_vec();
    head.extend((0..columns).map(|i| format!("p_{}", class_name(classes, i))));
    w.write_record(&head)?;
    for p in predictions {
        let class = p.class();
        let mut row = vec![
            p.stream.clone(),
            p.video.path.display().to_string(),
            p.video.label.map_or(String::new(), |l| class_name(classes, l)),
            class_name(classes, class),
            p.video.label.map_or(String::new(), |l| (l == class).to_string()),
            p.probabilities.get(class).map_or(String::new(), f32::to_string),
        ];
        row.extend((0..columns).map(|i| p.probabilities.get(i).map_or(String::new(), f32::to_string)));
        w.write_record(&row)?;
    }
    Ok(String::from_utf8(w.into_inner()?)?)
}

/// An object per video: `video`, `predicted`, `confidence`, and `probabilities` by class.
pub fn predictions_json(classes: &[String], predictions: &[Prediction]) -> Value {
    let one = |p: &Prediction| {
        let named = p.probabilities.iter().enumerate();
        let probabilities: Map<String, Value> = named.map(|(i, v)| (class_name(classes, i), json!(v))).collect();
        json!({
            "video": p.video.path.display().to_string(),
            "predicted": class_name(classes, p.class()),
            "confidence": p.probabilities.get(p.class()),
            "probabilities": probabilities,
        })
    };
    predictions.iter().map(one).collect()
}

/// A row per class: view, stream, class, videos, recall, the class that it is most often confused with, and how often.
pub(super) fn per_class_csv(rows: &[(&str, &str, ClassRow)]) -> Result<String> {
    let mut w = csv::Writer::from_writer(vec![]);
    w.write_record(["view", "stream", "class", "videos", "recall", "taken_for", "times"])?;
    for (view, stream, c) in rows {
        let (other, times) = c
            .taken_for
            .clone()
            .map_or((String::new(), String::new()), |(o, n)| (o, n.to_string()));
        let recall = c.recall.map_or(String::new(), |r| r.to_string());
        w.write_record([
            view,
            stream,
            c.name.as_str(),
            &c.videos.to_string(),
            &recall,
            &other,
            &times,
        ])?;
    }
    Ok(String::from_utf8(w.into_inner()?)?)
}

/// Writes the values of ports as safetensors: a tensor `[videos, …]` per port, under the port's name, and the paths of
/// the videos, in their order, as JSON in the file's metadata under `videos`.
///
/// # Errors
/// The tensors do not fit their shapes, or the file cannot be written.
pub fn write_ports(path: &Path, values: &[PortValue]) -> Result<()> {
    let mut ports: Vec<&str> = vec![];
    for v in values {
        if !ports.contains(&v.port.as_str()) {
            ports.push(&v.port);
        }
    }
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = vec![];
    let mut videos = serde_json::Map::new();
    for port in ports {
        let of: Vec<&PortValue> = values.iter().filter(|v| v.port == port).collect();
        let bytes = of
            .iter()
            .flat_map(|v| v.value.iter().flat_map(|x| x.to_le_bytes()))
            .collect();
        let mut shape = vec![of.len()];
        shape.extend(&of[0].shape);
        let names: Vec<&str> = of.iter().map(|v| v.video.as_str()).collect();
        videos.insert(port.to_string(), serde_json::json!(names));
        tensors.push((port.to_string(), shape, bytes));
    }
    let views = tensors
        .iter()
        .map(|(n, shape, b)| Ok((n.as_str(), TensorView::new(Dtype::F32, shape.clone(), b)?)))
        .collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([("videos".to_string(), serde_json::Value::Object(videos).to_string())]);
    let bytes =
        safetensors::serialize(views, Some(metadata)).with_context(|| format!("cannot write {}", path.display()))?;
    write_out(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glad_nodes::{DataError, Footage, Frame, Video};
    use std::sync::Arc;

    struct NoFrames;
    impl Footage for NoFrames {
        fn frame_count(&self) -> Result<usize, DataError> {
            Ok(0)
        }
        fn frames(&self, _: &[usize]) -> Result<Vec<Frame>, DataError> {
            Ok(vec![])
        }
    }

    fn prediction(path: &str, label: Option<usize>, probabilities: &[f32]) -> Prediction {
        let video = Video {
            index: 0,
            path: path.into(),
            line: "l:1".into(),
            label,
            footage: Arc::new(NoFrames),
        };
        Prediction {
            stream: "target".into(),
            video: Arc::new(video),
            probabilities: probabilities.to_vec(),
        }
    }

    #[test]
    fn rows_read_back() {
        let classes = ["run, fast".to_string(), "say \"hi\"".to_string()];
        let all = [
            prediction("a,b.mp4", Some(1), &[0.25, 0.75]),
            prediction("c.mp4", None, &[0.5, 0.5]),
        ];
        let text = predictions_csv(&classes, &all).unwrap();
        let mut r = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(r.headers().unwrap().get(6), Some("p_run, fast"));
        let rows: Vec<csv::StringRecord> = r.records().collect::<Result<_, _>>().unwrap();
        let fields: Vec<&str> = rows[0].iter().collect();
        assert_eq!(
            fields,
            [
                "target",
                "a,b.mp4",
                "say \"hi\"",
                "say \"hi\"",
                "true",
                "0.75",
                "0.25",
                "0.75"
            ]
        );
        assert_eq!(&rows[1][2], "");
        assert_eq!(&rows[1][4], "");
        assert_eq!(&rows[1][3], "run, fast", "the first of equals");
    }

    #[test]
    fn ports_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.safetensors");
        let value = |video: &str, x: f32| PortValue {
            port: "consensus.y@target".into(),
            video: video.into(),
            segment: glad_nodes::Stated::default(),
            label: None,
            value: vec![x, x + 1.0],
            shape: vec![2],
        };
        write_ports(&path, &[value("a", 1.0), value("b", 3.0)]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let t = file.tensor("consensus.y@target").unwrap();
        assert_eq!(t.shape(), [2, 2]);
        assert_eq!(t.data()[8..12], 3f32.to_le_bytes());
        let (_, meta) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(
            meta.metadata().as_ref().unwrap()["videos"],
            r#"{"consensus.y@target":["a","b"]}"#
        );
    }
}
