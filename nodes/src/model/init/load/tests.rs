use super::super::choose::fit;
use super::super::start::StartFile;
use super::*;
use crate::model::i3d_inception::I3dInception;
use crate::model::i3d_r50::I3dR50;
use crate::model::tsm::Tsm;
use crate::{Init, Role};
use serde_json::json;
use std::collections::HashMap;
use std::path::PathBuf;

type Tensors = Vec<(String, Vec<usize>)>;

fn spec(name: &str, shape: &[usize]) -> WeightSpec {
    WeightSpec::new(name, shape, Init::Constant(0.0), Role::Weight)
}

/// A safetensors file of these tensors, with values that count up.
fn file(folder: &Path, name: &str, tensors: &[(String, Vec<usize>)]) -> PathBuf {
    let path = folder.join(name);
    let all: HashMap<String, Tensor> = tensors
        .iter()
        .map(|(name, shape)| {
            let n: usize = shape.iter().product();
            let t = Tensor::arange(0f32, n as f32, &Device::Cpu)
                .unwrap()
                .reshape(shape.as_slice())
                .unwrap();
            (name.clone(), t)
        })
        .collect();
    candle_core::safetensors::save(&all, &path).unwrap();
    path
}

fn tensors(all: &[(&str, &[usize])]) -> Tensors {
    all.iter().map(|(n, s)| (n.to_string(), s.to_vec())).collect()
}

/// A residual network as torchvision names it.
fn torchvision(blocks: [usize; 4], bottleneck: bool, widths: [usize; 5], classes: usize) -> Tensors {
    let mut all = Tensors::new();
    let mut unit = |conv: String, bn: String, shape: [usize; 4]| {
        for what in ["weight", "bias", "running_mean", "running_var"] {
            all.push((format!("{bn}.{what}"), vec![shape[0]]));
        }
        all.push((format!("{bn}.num_batches_tracked"), vec![]));
        all.push((format!("{conv}.weight"), shape.to_vec()));
    };
    unit("conv1".into(), "bn1".into(), [widths[0], 3, 7, 7]);
    let mut from = widths[0];
    for (layer, n) in blocks.into_iter().enumerate() {
        let width = widths[layer + 1];
        let to = if bottleneck { 4 * width } else { width };
        for block in 0..n {
            let at = format!("layer{}.{block}", layer + 1);
            let mut convs = vec![[width, from, 3, 3], [width, width, 3, 3]];
            if bottleneck {
                convs = vec![[width, from, 1, 1], [width, width, 3, 3], [to, width, 1, 1]];
            }
            for (i, shape) in convs.into_iter().enumerate() {
                unit(format!("{at}.conv{}", i + 1), format!("{at}.bn{}", i + 1), shape);
            }
            if block == 0 && (from != to || layer > 0) {
                unit(
                    format!("{at}.downsample.0"),
                    format!("{at}.downsample.1"),
                    [to, from, 1, 1],
                );
            }
            from = to;
        }
    }
    all.push(("fc.weight".into(), vec![classes, from]));
    all.push(("fc.bias".into(), vec![classes]));
    all
}

const WIDTHS: [usize; 5] = [4, 2, 4, 8, 8];

fn resnet50() -> Tensors {
    torchvision([3, 4, 6, 3], true, WIDTHS, 10)
}

fn tsm(depth: usize) -> Vec<WeightSpec> {
    let tsm: Tsm = serde_json::from_value(json!({ "depth": depth, "widths": WIDTHS, "batch_stats": "joint" })).unwrap();
    tsm.network(3).weights()
}

fn i3d(non_local: bool) -> Vec<WeightSpec> {
    let kind = json!({ "width": 2, "non_local": non_local, "batch_stats": "joint" });
    serde_json::from_value::<I3dR50>(kind).unwrap().network(3).weights()
}

fn inception() -> Vec<WeightSpec> {
    let kind = json!({ "width": 3, "batch_stats": "joint" });
    serde_json::from_value::<I3dInception>(kind)
        .unwrap()
        .network(3)
        .weights()
}

/// The tensors of a network under its own names.
fn own(specs: &[WeightSpec]) -> Tensors {
    specs.iter().map(|s| (s.name.clone(), s.shape.clone())).collect()
}

fn renamed(all: Tensors, front: &str) -> Tensors {
    all.into_iter().map(|(n, s)| (format!("{front}{n}"), s)).collect()
}

fn names(all: &[(String, Tensor)]) -> Vec<&str> {
    all.iter().map(|(n, _)| n.as_str()).collect()
}

/// The error, as a graph's author reads it.
fn wrong(name: &str, tensors: &[(String, Vec<usize>)], specs: &[WeightSpec]) -> String {
    wrong_with(name, tensors, specs, |_| {})
}

fn wrong_with(
    name: &str,
    tensors: &[(String, Vec<usize>)],
    specs: &[WeightSpec],
    change: impl Fn(&mut StartFile),
) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut start = StartFile::whole(file(folder.path(), name, tensors));
    change(&mut start);
    let p = examine(&start, specs).unwrap_err();
    assert_eq!(p.path, "init");
    // A run that gets this far is rejected, too.
    let e = format!("{:#}", load(&start, specs, &Device::Cpu).unwrap_err());
    assert!(e.contains(&p.message), "{e}");
    format!("{}\nhelp: {}", p.message, p.help.unwrap_or_default())
}

fn loads(tensors: &[(String, Vec<usize>)], specs: &[WeightSpec], partial: &[&str]) -> LoadedWeights {
    let folder = tempfile::tempdir().unwrap();
    let start = StartFile {
        partial: partial.iter().map(|p| p.to_string()).collect(),
        ..StartFile::whole(file(folder.path(), "w.safetensors", tensors))
    };
    examine(&start, specs).unwrap_or_else(|p| panic!("{p:?}"));
    load(&start, specs, &Device::Cpu).unwrap()
}

#[test]
fn networks_as_published_fit_their_own_kind() {
    for (tensors, specs) in [
        (resnet50(), tsm(50)),
        (renamed(resnet50(), "module.base_model."), tsm(50)),
        (torchvision([3, 4, 6, 3], false, WIDTHS, 10), tsm(34)),
        (torchvision([2, 2, 2, 2], false, WIDTHS, 10), tsm(18)),
        (renamed(own(&i3d(true)), "backbone."), i3d(true)),
        (own(&inception()), inception()),
    ] {
        let loaded = loads(&tensors, &specs, &[]);
        assert_eq!(
            (loaded.values.len(), loaded.missing.len()),
            (specs.len(), 0),
            "{loaded}"
        );
    }
    let loaded = loads(&resnet50(), &tsm(50), &[]);
    assert_eq!(loaded.unexpected, ["fc.bias", "fc.weight"]);
}

#[test]
fn another_depth_is_refused() {
    let resnet101 = torchvision([3, 4, 23, 3], true, WIDTHS, 1000);
    insta::assert_snapshot!("resnet101_into_50", wrong("resnet101.pth", &resnet101, &tsm(50)));
    let resnet34 = torchvision([3, 4, 6, 3], false, WIDTHS, 1000);
    insta::assert_snapshot!("resnet34_into_50", wrong("resnet34.pth", &resnet34, &tsm(50)));
    insta::assert_snapshot!("resnet50_into_34", wrong("resnet50.pth", &resnet50(), &tsm(34)));
    let resnet18 = torchvision([2, 2, 2, 2], false, WIDTHS, 1000);
    insta::assert_snapshot!("resnet18_into_34", wrong("resnet18.pth", &resnet18, &tsm(34)));
}

#[test]
fn another_width_is_refused() {
    let wide = torchvision([3, 4, 6, 3], true, [4, 4, 8, 16, 16], 10);
    insta::assert_snapshot!("another_width", wrong("wide.pth", &wide, &tsm(50)));
}

#[test]
fn another_family_is_refused() {
    insta::assert_snapshot!("i3d_into_tsm", wrong("i3d.pth", &own(&i3d(true)), &tsm(50)));
    insta::assert_snapshot!("inception_into_tsm", wrong("rgb.pt", &own(&inception()), &tsm(50)));
    insta::assert_snapshot!(
        "resnet_into_inception",
        wrong("resnet50.pth", &resnet50(), &inception())
    );
    let vit = tensors(&[
        ("cls_token", &[1, 1, 8]),
        ("patch_embed.proj.weight", &[8, 3, 4, 4]),
        ("head.weight", &[1000, 8]),
    ]);
    insta::assert_snapshot!("transformer_into_tsm", wrong("vit.pth", &vit, &tsm(50)));
    let head = tensors(&[("fc.weight", &[5, 2])]);
    insta::assert_snapshot!("classifier_alone", wrong("fc.pth", &head, &tsm(50)));
}

#[test]
fn a_file_with_holes_is_refused() {
    let mut all = resnet50();
    all.retain(|(n, _)| n != "layer2.1.bn3.running_var");
    insta::assert_snapshot!("one_weight_missing", wrong("w.pth", &all, &tsm(50)));
    let mut all = resnet50();
    all.retain(|(n, _)| !n.starts_with("layer4"));
    insta::assert_snapshot!("a_layer_missing", wrong("w.pth", &all, &tsm(50)));
    let mut all = resnet50();
    all.push(("layer1.0.conv1.bias".into(), vec![2]));
    insta::assert_snapshot!("a_tensor_too_many", wrong("w.pth", &all, &tsm(50)));
    let mut all = resnet50();
    all.iter_mut().find(|(n, _)| n == "bn1.weight").unwrap().1 = vec![5];
    insta::assert_snapshot!("another_shape", wrong("w.pth", &all, &tsm(50)));
}

#[test]
fn what_partial_names_may_be_left_out() {
    let mut all = resnet50();
    all.retain(|(n, _)| !n.starts_with("layer4.2"));
    all.push(("layer1.0.conv1.bias".into(), vec![2]));
    let loaded = loads(&all, &tsm(50), &["layer4.2", "*.conv1.bias"]);
    assert_eq!(loaded.missing.len(), 15, "{loaded}");
    assert!(loaded.missing.iter().all(|n| n.starts_with("layer4.2.")));
    assert!(loaded.unexpected.contains(&"layer1.0.conv1.bias".to_string()));
    // A pattern may also use the file's names.
    let loaded = loads(&all, &tsm(50), &["layer4.2", "layer1.0.conv1.bias"]);
    assert_eq!(loaded.values.len(), tsm(50).len() - 15);
    insta::assert_snapshot!(
        "partial_is_not_enough",
        wrong_with("w.pth", &all, &tsm(50), |s| {
            s.partial = vec!["layer4.2".into()];
        })
    );
    insta::assert_snapshot!(
        "partial_without_use",
        wrong_with("w.pth", &resnet50(), &tsm(50), |s| {
            s.partial = vec!["layer5".into()];
        })
    );
    // Layer 4 is complete: nothing is left out.
    insta::assert_snapshot!(
        "partial_of_what_is_there",
        wrong_with("w.pth", &resnet50(), &tsm(50), |s| {
            s.partial = vec!["layer4".into()];
        })
    );
}

#[test]
fn patterns_mean_whole_parts() {
    for (pattern, name, is) in [
        ("layer4", "layer4.2.conv1.conv.weight", true),
        ("layer4.2", "layer4.2.conv1.conv.weight", true),
        ("layer4.2", "layer4.22.conv1.conv.weight", false),
        ("layer", "layer4.2.conv1.conv.weight", false),
        ("layer*", "layer4.2.conv1.conv.weight", true),
        ("*.non_local_block", "layer2.1.non_local_block.g.0.conv.weight", true),
        (
            "layer2.*.non_local_block",
            "layer3.1.non_local_block.g.0.conv.weight",
            false,
        ),
        ("*", "a", true),
        ("*bias", "layer1.0.conv1.bias", true),
        ("*.bn.running_*", "conv1.bn.running_mean", true),
        ("", "a", false),
        (
            "**********************b",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            false,
        ),
    ] {
        assert_eq!(means(pattern, name), is, "{pattern} {name}");
    }
}

#[test]
fn kernels_of_two_dimensions_are_inflated() {
    let specs = i3d(false);
    let two: [usize; 5] = [2, 2, 4, 8, 16];
    let loaded = loads(&torchvision([3, 4, 6, 3], true, two, 10), &specs, &[]);
    assert_eq!(loaded.values.len(), specs.len());
    assert!(loaded.inflated > 5, "{loaded}");
    insta::assert_snapshot!(
        "resnet_into_non_local",
        wrong("resnet50.pth", &torchvision([3, 4, 6, 3], true, two, 10), &i3d(true))
    );
    let loaded = loads(
        &torchvision([3, 4, 6, 3], true, two, 10),
        &i3d(true),
        &["*.non_local_block"],
    );
    assert!(loaded.missing.iter().all(|n| n.contains("non_local_block")), "{loaded}");
    insta::assert_snapshot!("non_local_into_none", wrong("i3d.pth", &own(&i3d(true)), &specs));
}

#[test]
fn planes_are_repeated_along_time() {
    assert_eq!(inflate(&[2., 4., 6., 8.], 2, 2), [1., 2., 1., 2., 3., 4., 3., 4.]);
    assert_eq!(fit(&[4, 3, 1, 7, 7], &[4, 3, 7, 7]), Some(Fit::Same));
    assert_eq!(fit(&[4, 3, 7, 7], &[4, 3, 5, 7, 7]), Some(Fit::Inflated(5)));
    assert_eq!(fit(&[4, 3, 5, 7, 7], &[4, 3, 7, 7]), None);
    let loaded = loads(
        &tensors(&[("a.w", &[2, 2, 1, 1])]),
        &[spec("a.w", &[2, 2, 3, 1, 1])],
        &[],
    );
    let inflated: Vec<f32> = loaded.values[0].1.flatten_all().unwrap().to_vec1().unwrap();
    let third = |v: f32| [v / 3.0; 3];
    assert_eq!(inflated, [third(0.), third(1.), third(2.), third(3.)].concat());
}

#[test]
fn a_stem_for_rgb_is_averaged_for_optical_flow() {
    // Two outputs, three channels of two numbers, which count up.
    let numbers: Vec<f32> = (0..12).map(|v| v as f32).collect();
    assert_eq!(average(&numbers, 2), [2., 3., 2., 3., 8., 9., 8., 9.]);
    let stem = |shape: &[usize]| [spec("conv1.conv.weight", shape), spec("b.w", &[2, 2, 1, 1])];
    let file = |shape: &[usize]| tensors(&[("conv1.weight", shape), ("b.w", &[2, 2, 1, 1])]);
    let flat = loads(&file(&[2, 3, 1, 2]), &stem(&[2, 2, 1, 2]), &[]);
    let values: Vec<f32> = flat.values[0].1.flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(values, [2., 3., 2., 3., 8., 9., 8., 9.]);
    assert_eq!(
        flat.to_string(),
        "2 of 2 weights loaded (the stem is the mean of one for RGB, for optical flow)"
    );
    let deep = loads(&file(&[2, 3, 1, 2]), &stem(&[2, 2, 4, 1, 2]), &[]);
    assert_eq!((deep.inflated, deep.averaged), (1, 1));
    let values: Vec<f32> = deep.values[0].1.flatten_all().unwrap().to_vec1().unwrap();
    let quarters = |a: f32, b: f32| [a / 4.0, b / 4.0].repeat(4);
    assert_eq!(
        values,
        [quarters(2., 3.).repeat(2), quarters(8., 9.).repeat(2)].concat()
    );
    // A network for flow is read as it is; one for flow is none for RGB, and only a stem is averaged.
    let own = loads(&file(&[2, 2, 1, 2]), &stem(&[2, 2, 1, 2]), &[]);
    assert_eq!((own.inflated, own.averaged), (0, 0));
    let e = wrong("flow.pth", &file(&[2, 2, 1, 2]), &stem(&[2, 3, 1, 2]));
    assert!(e.contains("[2, 2, 1, 2]") && e.contains("[2, 3, 1, 2]"), "{e}");
    let inner = [spec("conv1.conv.weight", &[2, 2, 1, 2]), spec("b.w", &[2, 2, 1, 1])];
    let e = wrong(
        "odd.pth",
        &tensors(&[("conv1.weight", &[2, 2, 1, 2]), ("b.w", &[2, 3, 1, 1])]),
        &inner,
    );
    assert!(e.contains("[2, 3, 1, 1]"), "{e}");
}

#[test]
fn what_was_loaded_is_reported() {
    let all = tensors(&[
        ("module.conv1.weight", &[2, 3, 1, 1]),
        ("module.layer1.0.conv1.weight", &[2, 2, 1, 1]),
        ("module.bn1.weight", &[4]),
        ("module.bn1.num_batches_tracked", &[]),
        ("module.fc.weight", &[5, 2]),
    ]);
    let specs = [
        spec("conv1.conv.weight", &[2, 3, 1, 1]),
        spec("conv1.bn.weight", &[2]),
        spec("layer1.0.conv1.conv.weight", &[2, 2, 3, 1, 1]),
        spec("layer1.0.conv1.bn.bias", &[2]),
    ];
    let loaded = loads(&all, &specs, &["conv1.bn", "layer1.0.conv1.bn"]);
    assert_eq!(
        names(&loaded.values),
        ["conv1.conv.weight", "layer1.0.conv1.conv.weight"]
    );
    assert_eq!(
        loaded.to_string(),
        "2 of 4 weights loaded from `module` (1 inflated from two dimensions); missing: layer1.0.conv1.bn.bias; of another \
         shape: conv1.bn.weight [4] for [2]; not used: module.fc.weight"
    );
}

#[test]
fn several_networks_in_a_file_are_a_choice() {
    let mut two = renamed(resnet50(), "encoder_q.");
    two.extend(renamed(resnet50(), "encoder_k."));
    insta::assert_snapshot!("several_networks", wrong("moco.pth", &two, &tsm(50)));
    insta::assert_snapshot!(
        "none_of_several",
        wrong_with("moco.pth", &two, &tsm(50), |s| s.state = Some("ema".into()))
    );
    let folder = tempfile::tempdir().unwrap();
    let start = StartFile {
        state: Some("encoder_k".into()),
        ..StartFile::whole(file(folder.path(), "moco.pth", &two))
    };
    let loaded = load(&start, &tsm(50), &Device::Cpu).unwrap();
    assert!(loaded.to_string().contains("from `encoder_k`"), "{loaded}");
    // The complete one is chosen, and not a part of another.
    let mut one = resnet50();
    one.extend(
        renamed(resnet50(), "ema.")
            .into_iter()
            .filter(|(n, _)| !n.contains("running")),
    );
    let loaded = loads(&one, &tsm(50), &[]);
    assert_eq!(loaded.from, ".");
}

#[test]
fn a_state_of_this_program_is_a_file_of_weights() {
    let mut all = renamed(own(&tsm(18)), "weight/backbone.");
    all.extend(
        renamed(own(&tsm(18)), "momentum/backbone.")
            .into_iter()
            .filter(|(n, _)| !n.contains("running")),
    );
    all.push(("weight/classify.weight".into(), vec![3, 8]));
    let loaded = loads(&all, &tsm(18), &[]);
    assert_eq!((loaded.values.len(), &*loaded.from), (tsm(18).len(), "weight/backbone"));
}
