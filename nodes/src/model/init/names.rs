//! Maps other projects' weight names to those of mmaction and pytorch-i3d, which are used here.

/// From another project's name to ours, part by part between the dots: `$x` matches any part (`conv$n` any that
/// begins so), and the match is substituted.
///
/// A name is looked up unchanged, then by each rule, then all again without its first part: prefixes such as `module.`,
/// `backbone.` or `base_model.` need no rule.
const RULES: [(&str, &str); 8] = [
    // mmaction's TSM: where the shifted convolution is wrapped.
    ("$layer.$block.$unit.conv.net.weight", "$layer.$block.$unit.conv.weight"),
    // TSM's own code: torchvision's names, and the same wrapping.
    ("$layer.$block.$unit.net.weight", "$layer.$block.$unit.conv.weight"),
    // torchvision's ResNet.
    ("conv1.weight", "conv1.conv.weight"),
    ("bn1.$what", "conv1.bn.$what"),
    (
        "$layer.$block.downsample.0.weight",
        "$layer.$block.downsample.conv.weight",
    ),
    ("$layer.$block.downsample.1.$what", "$layer.$block.downsample.bn.$what"),
    ("$layer.$block.conv$n.weight", "$layer.$block.conv$n.conv.weight"),
    ("$layer.$block.bn$n.$what", "$layer.$block.conv$n.bn.$what"),
];

/// The name of the weight that `theirs` maps to, among those in `known`, and the prefix that was removed,
/// such as `module.backbone`.
pub(super) fn ours(theirs: &str, known: impl Fn(&str) -> bool) -> Option<(String, &str)> {
    let mut name = theirs;
    loop {
        let front = || theirs[..theirs.len() - name.len()].trim_end_matches('.');
        if known(name) {
            return Some((name.to_string(), front()));
        }
        if let Some(found) = rewritten(name).find(|n| known(n)) {
            return Some((found, front()));
        }
        name = name.split_once('.')?.1;
    }
}

/// The possible names here, by every rule.
pub(super) fn rewritten(name: &str) -> impl Iterator<Item = String> {
    RULES.iter().filter_map(move |(from, to)| rewrite(name, from, to))
}

/// `name` with the pattern `from` replaced by `to`, if it matches.
fn rewrite(name: &str, from: &str, to: &str) -> Option<String> {
    let (parts, pattern): (Vec<&str>, Vec<&str>) = (name.split('.').collect(), from.split('.').collect());
    if parts.len() != pattern.len() {
        return None;
    }
    let mut bound: Vec<(&str, &str)> = vec![];
    for (part, pattern) in parts.iter().zip(&pattern) {
        match pattern.split_once('$') {
            None if part == pattern => {}
            None => return None,
            Some((prefix, variable)) => bound.push((variable, part.strip_prefix(prefix).filter(|v| !v.is_empty())?)),
        }
    }
    let put = |part: &str| match part.split_once('$') {
        None => Some(part.to_string()),
        Some((prefix, variable)) => {
            let (_, value) = bound.iter().find(|(name, _)| *name == variable)?;
            Some(format!("{prefix}{value}"))
        }
    };
    Some(to.split('.').map(put).collect::<Option<Vec<_>>>()?.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_projects() {
        let known = [
            "conv1.conv.weight",
            "conv1.bn.running_mean",
            "layer1.0.conv1.conv.weight",
            "layer3.5.conv2.bn.bias",
            "layer2.0.downsample.conv.weight",
            "layer2.0.downsample.bn.weight",
            "layer2.1.non_local_block.g.0.conv.weight",
            "Mixed_3b.b1a.conv3d.weight",
        ];
        for (theirs, wanted) in [
            // this project's own
            ("conv1.conv.weight", "conv1.conv.weight"),
            ("encoder.conv1.conv.weight", "conv1.conv.weight"),
            // mmaction
            ("backbone.conv1.bn.running_mean", "conv1.bn.running_mean"),
            ("backbone.layer1.0.conv1.conv.net.weight", "layer1.0.conv1.conv.weight"),
            (
                "backbone.layer2.0.downsample.conv.weight",
                "layer2.0.downsample.conv.weight",
            ),
            (
                "module.backbone.layer2.1.non_local_block.g.0.conv.weight",
                "layer2.1.non_local_block.g.0.conv.weight",
            ),
            // torchvision
            ("conv1.weight", "conv1.conv.weight"),
            ("bn1.running_mean", "conv1.bn.running_mean"),
            ("layer1.0.conv1.weight", "layer1.0.conv1.conv.weight"),
            ("layer3.5.bn2.bias", "layer3.5.conv2.bn.bias"),
            ("layer2.0.downsample.0.weight", "layer2.0.downsample.conv.weight"),
            ("layer2.0.downsample.1.weight", "layer2.0.downsample.bn.weight"),
            // TSM's own code
            (
                "module.base_model.layer1.0.conv1.net.weight",
                "layer1.0.conv1.conv.weight",
            ),
            // pytorch-i3d
            ("Mixed_3b.b1a.conv3d.weight", "Mixed_3b.b1a.conv3d.weight"),
        ] {
            let found = ours(theirs, |n| known.contains(&n));
            let (name, front) = found.unwrap_or_else(|| panic!("{theirs}"));
            assert_eq!(name, wanted, "{theirs}");
            assert!(theirs.starts_with(front) && !front.ends_with('.'), "{front}");
        }
        for other in [
            "fc.weight",
            "cls_head.fc_cls.weight",
            "logits.conv3d.weight",
            "conv1.conv.bias",
            "",
            "a..b",
        ] {
            assert_eq!(ours(other, |n| known.contains(&n)), None, "{other}");
        }
    }
}
