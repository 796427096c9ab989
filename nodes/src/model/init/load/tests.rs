use super::*;
use crate::{Init, Role};
use std::path::PathBuf;

fn spec(name: &str, shape: &[usize]) -> WeightSpec {
    WeightSpec::new(name, shape, Init::Constant(0.0), Role::Weight)
}

/// A safetensors file of these tensors, with values that count up.
fn file(folder: &Path, tensors: &[(&str, &[usize])]) -> PathBuf {
    let path = folder.join("w.safetensors");
    let all: HashMap<String, Tensor> = tensors
        .iter()
        .map(|(name, shape)| {
            let n: usize = shape.iter().product();
            let t = Tensor::arange(0f32, n as f32, &Device::Cpu)
                .unwrap()
                .reshape(*shape)
                .unwrap();
            (name.to_string(), t)
        })
        .collect();
    candle_core::safetensors::save(&all, &path).unwrap();
    path
}

fn names(all: &[(String, Tensor)]) -> Vec<&str> {
    all.iter().map(|(n, _)| n.as_str()).collect()
}

#[test]
fn what_is_there_is_loaded_and_the_rest_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(
        folder.path(),
        &[
            ("conv1.weight", &[2, 3, 1, 1]),
            ("layer1.0.conv1.weight", &[2, 2, 1, 1]),
            ("layer1.0.bn1.running_mean", &[2]),
            ("layer1.0.bn1.num_batches_tracked", &[]),
            ("fc.weight", &[5, 2]),
            ("bn1.weight", &[4]),
        ],
    );
    let specs = [
        spec("conv1.conv.weight", &[2, 3, 1, 1]),
        spec("conv1.bn.weight", &[2]),
        spec("layer1.0.conv1.conv.weight", &[2, 2, 3, 1, 1]),
        spec("layer1.0.conv1.bn.running_mean", &[2]),
        spec("layer1.0.conv1.bn.bias", &[2]),
    ];
    let loaded = load(&path, &specs, &Device::Cpu).unwrap();
    assert_eq!(
        names(&loaded.values),
        [
            "conv1.conv.weight",
            "layer1.0.conv1.conv.weight",
            "layer1.0.conv1.bn.running_mean"
        ]
    );
    assert_eq!(loaded.missing, ["layer1.0.conv1.bn.bias"]);
    assert_eq!(loaded.unexpected, ["fc.weight"]);
    assert_eq!(loaded.misshapen, [("conv1.bn.weight".to_string(), vec![4], vec![2])]);
    assert_eq!(loaded.inflated, 1);
    let inflated: Vec<f32> = loaded.values[1].1.flatten_all().unwrap().to_vec1().unwrap();
    let third = |v: f32| [v / 3.0; 3];
    assert_eq!(inflated, [third(0.), third(1.), third(2.), third(3.)].concat());
    assert_eq!(
        loaded.to_string(),
        "3 of 5 weights loaded (1 inflated from two dimensions); missing: layer1.0.conv1.bn.bias; of another shape: \
         conv1.bn.weight [4] for [2]; not used: fc.weight"
    );
}

#[test]
fn planes_are_repeated_along_time() {
    assert_eq!(inflate(&[2., 4., 6., 8.], 2, 2), [1., 2., 1., 2., 3., 4., 3., 4.]);
    assert_eq!(fit(&[4, 3, 1, 7, 7], &[4, 3, 7, 7]), Some(Fit::Same));
    assert_eq!(fit(&[4, 3, 7, 7], &[4, 3, 5, 7, 7]), Some(Fit::Inflated(5)));
    assert_eq!(fit(&[4, 3, 5, 7, 7], &[4, 3, 7, 7]), None);
}

#[test]
fn the_nearest_name_wins() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(
        folder.path(),
        &[
            ("ema.backbone.a.w", &[1]),
            ("backbone.a.w", &[1]),
            ("x.ema.backbone.a.w", &[1]),
        ],
    );
    let loaded = load(&path, &[spec("a.w", &[1])], &Device::Cpu).unwrap();
    assert_eq!(loaded.unexpected.len(), 2);
    assert!(
        !loaded.unexpected.contains(&"backbone.a.w".to_string()),
        "{:?}",
        loaded.unexpected
    );
}

#[test]
fn a_file_that_gives_nothing_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let said = |path: &Path, specs: &[WeightSpec]| format!("{:#}", load(path, specs, &Device::Cpu).unwrap_err());
    let path = file(folder.path(), &[("fc.weight", &[5, 2])]);
    let e = said(&path, &[spec("conv1.conv.weight", &[1])]);
    assert!(
        e.contains("match nothing: the file has `fc.weight`, and the node needs `conv1.conv.weight`"),
        "{e}"
    );
    let path = file(folder.path(), &[("conv1.weight", &[5, 2])]);
    let e = said(&path, &[spec("conv1.conv.weight", &[1])]);
    assert!(e.contains("shape [5, 2] there and [1] here"), "{e}");
    let e = said(&folder.path().join("no.pth"), &[spec("a", &[1])]);
    assert!(e.contains("no.pth"), "{e}");
    for (bytes, hint) in [
        (&b"not weights at all"[..], "neither PyTorch's nor safetensors"),
        (b"\x80\x02}.", "not one of PyTorch's"),
        (b"PK\x03\x04rest", "weights from"),
        (b"", "neither"),
    ] {
        let path = folder.path().join("odd.pth");
        std::fs::write(&path, bytes).unwrap();
        let e = said(&path, &[spec("a", &[1])]);
        assert!(e.contains(hint), "{e}");
    }
}
