//! Guesses the network of a file of weights from the names and shapes of its tensors.

use std::fmt;

/// A network, as far as names and shapes show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seems {
    pub family: Family,
    /// Classes of its classifier.
    pub classes: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Residual(Residual),
    /// I3D on Inception-v1, with this many channels in its stem.
    Inception {
        width: usize,
    },
    /// Another, by name.
    Other(&'static str),
    Unknown,
}

/// A network of residual blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Residual {
    /// Blocks of each layer.
    pub blocks: [usize; 4],
    pub bottleneck: bool,
    /// Whether convolutions extend along time.
    pub solid: bool,
    pub non_local: bool,
    /// Channels of the stem and of the inner convolutions of each layer; 0 if unknown.
    pub widths: [usize; 5],
    /// Groups of a block's middle convolution.
    pub groups: usize,
}

/// Parts of names that identify a network, and its name.
const OTHERS: [(&str, &str); 20] = [
    ("slow_path.", "SlowFast"),
    ("fast_path.", "SlowFast"),
    ("Conv2d_1a", "Inception (2-D)"),
    ("inception_3a", "BN-Inception (2-D)"),
    ("inception3a", "GoogLeNet (2-D)"),
    ("denseblock", "DenseNet"),
    ("attnpool", "CLIP's ResNet"),
    ("visual.transformer", "CLIP's vision transformer"),
    ("patch_embed", "a vision transformer"),
    ("encoder_layer_0", "a vision transformer"),
    ("cls_token", "a vision transformer"),
    ("relative_position_bias", "Swin"),
    ("downsample_layers", "ConvNeXt"),
    ("conv_stem", "EfficientNet or MobileNet"),
    ("stem.0.weight", "a video ResNet of torchvision's"),
    ("features.0.0.weight", "MobileNet or EfficientNet"),
    ("features.0.weight", "VGG or AlexNet"),
    ("s1.pathway", "a network of SlowFast's code"),
    ("mlm_head", "a language model"),
    ("lm_head", "a language model"),
];

/// Classifiers: a backbone does not need them.
const HEADS: [&str; 9] = [
    "fc",
    "cls_head",
    "new_fc",
    "logits",
    "head",
    "heads",
    "classifier",
    "last_linear",
    "classify",
];

/// Whether a tensor belongs to a classifier after the network.
pub(super) fn is_head(name: &str) -> bool {
    HEADS
        .iter()
        .any(|h| name.strip_prefix(h).is_some_and(|r| r.starts_with('.')))
}

/// The part of a name from the residual network's first layer on, or its stem.
fn tail(name: &str) -> Option<&str> {
    let mut rest = name;
    loop {
        let part = rest.split('.').next().unwrap_or("");
        let layer = part
            .strip_prefix("layer")
            .is_some_and(|n| matches!(n, "1" | "2" | "3" | "4"));
        if layer || rest == "conv1.weight" || rest == "conv1.conv.weight" {
            return Some(rest);
        }
        rest = rest.split_once('.')?.1;
    }
}

impl Residual {
    /// Records a tensor by the tail of its name.
    fn note(&mut self, name: &str, shape: &[usize]) {
        let mut parts = name.split('.');
        let layer = parts
            .next()
            .and_then(|p| p.strip_prefix("layer")?.parse::<usize>().ok());
        self.solid |= shape.len() == 5 && shape[2] > 1;
        let Some(layer) = layer else {
            self.widths[0] = shape.first().copied().unwrap_or(0);
            return;
        };
        let Some(block) = parts.next().and_then(|b| b.parse::<usize>().ok()) else {
            return;
        };
        let blocks = &mut self.blocks[layer - 1];
        *blocks = (*blocks).max(block.saturating_add(1));
        let unit = parts.next().unwrap_or("");
        self.bottleneck |= unit == "conv3";
        self.non_local |= unit == "non_local_block";
        if name.ends_with("weight") && shape.len() >= 4 {
            match unit {
                "conv1" if block == 0 => self.widths[layer] = shape[0],
                "conv2" => self.groups = self.groups.max(shape[0] / shape[1].max(1)),
                _ => {}
            }
        }
    }

    /// Whether it has the inner convolutions of a Wide ResNet, with the channels of a plain one around them.
    pub(super) fn is_wide(&self) -> bool {
        self.bottleneck && self.widths[0] > 0 && self.widths[1] == 2 * self.widths[0]
    }

    /// Whether it may be `whole` with some blocks missing.
    pub(super) fn is_part_of(&self, whole: &Residual) -> bool {
        let fewer = self.blocks.iter().zip(&whole.blocks).all(|(a, b)| a <= b);
        let widths = self.widths.iter().zip(&whole.widths).all(|(a, b)| a == b || *a == 0);
        let known = self.depth().is_some() && self.depth() != whole.depth();
        fewer && widths && !known && self.bottleneck == whole.bottleneck && self.groups == whole.groups
    }

    /// Its conventional depth.
    pub(super) fn depth(&self) -> Option<usize> {
        Some(match (self.bottleneck, self.blocks) {
            // `depth = "small"` here.
            (false, [1, 1, 1, 1]) => 10,
            (false, [2, 2, 2, 2]) => 18,
            (true, [2, 2, 2, 2]) => 26,
            (false, [3, 4, 6, 3]) => 34,
            (true, [3, 4, 6, 3]) => 50,
            (true, [3, 4, 23, 3]) => 101,
            (true, [3, 8, 36, 3]) => 152,
            _ => return None,
        })
    }
}

impl Seems {
    /// Guesses the network of these tensors.
    pub(super) fn of<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a [usize])>) -> Seems {
        let (mut residual, mut other, mut classes, mut inception) = (Residual::default(), None, None, None);
        for (name, shape) in tensors {
            if let Some(tail) = tail(name) {
                residual.note(tail, shape);
            }
            if name.ends_with("Conv3d_1a_7x7.conv3d.weight") {
                inception = shape.first().copied();
            }
            other = other.or(OTHERS
                .iter()
                .find(|(part, _)| name.contains(part))
                .map(|(_, name)| *name));
            let behind = HEADS.iter().filter_map(|h| name.find(&format!("{h}.")));
            let head = behind.min().filter(|at| *at == 0 || name.as_bytes()[at - 1] == b'.');
            if head.is_some() && name.ends_with("weight") && shape.len() >= 2 {
                classes = shape.first().copied();
            }
        }
        let family = match (inception, other) {
            (Some(width), _) => Family::Inception { width },
            (None, Some(name)) => Family::Other(name),
            (None, None) if residual.blocks != [0; 4] => Family::Residual(residual),
            (None, None) => Family::Unknown,
        };
        Seems { family, classes }
    }

    /// The kind that accepts a file of this network, if any.
    pub(super) fn kind(&self) -> Option<String> {
        match &self.family {
            Family::Inception { .. } => Some("kind `i3d_inception`".into()),
            Family::Residual(r) if r.groups > 1 || r.is_wide() => None,
            Family::Residual(r) if r.solid => (r.depth() == Some(50)).then(|| "kind `i3d_r50`".into()),
            Family::Residual(r) => {
                let depth = r.depth().filter(|d| [18, 34, 50].contains(d))?;
                Some(format!("kind `tsm` or `resnet` with `depth = {depth}`"))
            }
            _ => None,
        }
    }
}

/// `ResNet-101 (2-D, 1000 classes)`.
impl fmt::Display for Seems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut facts: Vec<String> = vec![];
        match &self.family {
            Family::Residual(r) => {
                let name = match r.groups {
                    2.. => "ResNeXt",
                    _ if r.is_wide() => "Wide ResNet",
                    _ => "ResNet",
                };
                match r.depth() {
                    Some(10) => write!(f, "the small {name}")?,
                    Some(depth) => write!(f, "{name}-{depth}")?,
                    None => write!(f, "a {name} of {:?} blocks", r.blocks)?,
                }
                facts.push(if r.solid { "3-D" } else { "2-D" }.into());
                if r.non_local {
                    facts.push("with non-local blocks".into());
                }
                if r.widths[0] > 0 && r.widths[0] != 64 {
                    facts.push(format!("{} channels in the stem", r.widths[0]));
                }
            }
            Family::Inception { width } => {
                write!(f, "I3D on Inception-v1")?;
                facts.push("3-D".into());
                if *width != 64 {
                    facts.push(format!("{width} channels in the stem"));
                }
            }
            Family::Other(name) => write!(f, "{name}")?,
            Family::Unknown => write!(f, "a network that is not known")?,
        }
        facts.extend(self.classes.map(|n| format!("{n} classes")));
        match facts.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", facts.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seems(tensors: &[(&str, &[usize])]) -> String {
        Seems::of(tensors.iter().map(|(n, s)| (*n, *s))).to_string()
    }

    #[test]
    fn networks_are_reported_by_their_names() {
        assert_eq!(
            seems(&[
                ("conv1.weight", &[64, 3, 7, 7]),
                ("layer1.1.conv2.weight", &[64, 64, 3, 3]),
                ("layer2.1.conv2.weight", &[128, 128, 3, 3]),
                ("layer3.1.conv2.weight", &[256, 256, 3, 3]),
                ("layer4.1.bn2.weight", &[512]),
                ("fc.weight", &[1000, 512]),
                ("fc.bias", &[1000]),
            ]),
            "ResNet-18 (2-D, 1000 classes)"
        );
        assert_eq!(
            seems(&[
                ("module.backbone.conv1.conv.weight", &[64, 3, 5, 7, 7]),
                ("module.backbone.layer1.2.conv3.conv.weight", &[256, 64, 1, 1, 1]),
                (
                    "module.backbone.layer2.3.non_local_block.g.0.conv.weight",
                    &[256, 512, 1, 1, 1]
                ),
                ("module.backbone.layer3.5.conv1.bn.weight", &[256]),
                ("module.backbone.layer4.2.conv1.bn.weight", &[512]),
                ("module.cls_head.fc_cls.weight", &[400, 2048]),
            ]),
            "ResNet-50 (3-D, with non-local blocks, 400 classes)"
        );
        assert_eq!(
            seems(&[
                ("Conv3d_1a_7x7.conv3d.weight", &[64, 3, 7, 7, 7]),
                ("logits.conv3d.weight", &[157, 1024, 1, 1, 1]),
            ]),
            "I3D on Inception-v1 (3-D, 157 classes)"
        );
        assert_eq!(
            seems(&[("encoder.patch_embed.proj.weight", &[768, 3, 16, 16])]),
            "a vision transformer"
        );
        assert_eq!(
            seems(&[("layer1.9.conv1.weight", &[8, 3, 1, 1])]),
            "a ResNet of [10, 0, 0, 0] blocks (2-D)"
        );
        assert_eq!(seems(&[("a.weight", &[2])]), "a network that is not known");
    }

    #[test]
    fn classifiers_are_known() {
        for name in [
            "fc.weight",
            "cls_head.fc_cls.bias",
            "new_fc.weight",
            "logits.conv3d.weight",
        ] {
            assert!(is_head(name), "{name}");
        }
        for name in ["fc", "layer1.0.fc.weight", "fcn.weight"] {
            assert!(!is_head(name), "{name}");
        }
    }
}
