//! Which tensors of a file are the weights of a network: one of the file's dictionaries, and one prefix
//! of the names in it.

use super::entry::Entry;
use super::names;
use super::torch::Dictionary;
use crate::{FLOW, RGB, WeightSpec};
use std::collections::{BTreeMap, HashMap};

/// How a tensor of a file is converted to a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Unchanged.
    Same,
    /// A 2-D kernel repeated for this many frames and divided by their number: on a clip of identical frames
    /// the layer has the same output as on one frame (Carreira and Zisserman, CVPR 2017, Section 3.1).
    Inflated(usize),
    /// A stem for RGB on clips of optical flow: each of its two channels is the mean of the three (Wang et al., ECCV 2016,
    /// Section 3.2), repeated for this many frames as [`Fit::Inflated`].
    Averaged(usize),
}

/// How a tensor is converted to the stem's kernel.
fn fit_stem(found: &[usize], wanted: &[usize]) -> Option<Fit> {
    let mut averaged = found.to_vec();
    if (found.get(1), wanted.get(1)) == (Some(&RGB), Some(&FLOW)) {
        averaged[1] = FLOW;
    }
    match (fit(found, wanted), fit(&averaged, wanted)?) {
        (Some(as_it_is), _) => Some(as_it_is),
        (None, Fit::Inflated(frames)) => Some(Fit::Averaged(frames)),
        (None, _) => Some(Fit::Averaged(1)),
    }
}

/// How a tensor is converted to the weight `specs[index]`. A network's first weight is the kernel of its stem.
pub(super) fn fit_at(found: &[usize], specs: &[WeightSpec], index: usize) -> Option<Fit> {
    match index {
        0 => fit_stem(found, &specs[0].shape),
        _ => fit(found, &specs[index].shape),
    }
}

pub(super) fn fit(found: &[usize], wanted: &[usize]) -> Option<Fit> {
    match (found, wanted) {
        _ if found == wanted => Some(Fit::Same),
        // A kernel of one frame is a 2-D kernel.
        ([co, ci, 1, h, w], [a, b, c, d]) if [co, ci, h, w] == [a, b, c, d] => Some(Fit::Same),
        ([co, ci, h, w], [a, b, frames, c, d]) if [co, ci, h, w] == [a, b, c, d] => Some(Fit::Inflated(*frames)),
        _ => None,
    }
}

/// A network in a file that may be the intended one.
#[derive(Debug)]
pub(super) struct Candidate<'f> {
    pub dictionary: &'f Dictionary,
    /// The prefix of its tensors' names: `module.backbone`, or nothing.
    pub front: String,
    /// The tensor for each weight that has one, by index.
    pub pairs: BTreeMap<usize, &'f Entry>,
    /// Weights whose tensor has the right shape.
    fits: usize,
}

impl Candidate<'_> {
    /// Its position in the file, as `state` names it.
    pub(super) fn place(&self) -> String {
        match (self.dictionary.path.as_str(), self.front.as_str()) {
            ("", "") => ".".into(),
            (one, "") | ("", one) => one.into(),
            (path, front) => format!("{path}.{front}"),
        }
    }

    /// Whether `state` selects it: the position, or some consecutive parts of it.
    fn is(&self, state: &str) -> bool {
        let place = self.place();
        place == state || format!(".{place}.").contains(&format!(".{state}.")) && state != "."
    }

    /// Whether both give each weight the same values.
    fn same(&self, other: &Candidate<'_>) -> bool {
        let bytes = |e: &Entry| (e.storage.clone(), e.offset, e.shape.clone(), e.stride.clone());
        self.pairs.len() == other.pairs.len()
            && self
                .pairs
                .iter()
                .zip(&other.pairs)
                .all(|((a, x), (b, y))| a == b && bytes(x) == bytes(y))
    }

    /// The name of one of the dictionary's tensors inside of the network; `None` outside of it.
    pub(super) fn inside<'n>(&self, name: &'n str) -> Option<&'n str> {
        match self.front.as_str() {
            "" => Some(name),
            front => name.strip_prefix(front)?.strip_prefix('.'),
        }
    }
}

/// All candidates that have a tensor for at least one weight.
pub(super) fn candidates<'f>(dictionaries: &'f [Dictionary], specs: &[WeightSpec]) -> Vec<Candidate<'f>> {
    let index: HashMap<&str, usize> = specs.iter().enumerate().map(|(i, s)| (s.name.as_str(), i)).collect();
    let mut all = vec![];
    for dictionary in dictionaries {
        let mut by_front: BTreeMap<&str, BTreeMap<usize, &Entry>> = BTreeMap::new();
        for tensor in &dictionary.tensors {
            if let Some((name, front)) = names::ours(&tensor.name, |n| index.contains_key(n)) {
                by_front
                    .entry(front)
                    .or_default()
                    .entry(index[&*name])
                    .or_insert(tensor);
            }
        }
        for (front, pairs) in by_front {
            let fits = pairs.iter().filter(|(i, t)| fit_at(&t.shape, specs, **i).is_some());
            all.push(Candidate {
                dictionary,
                front: front.to_string(),
                fits: fits.count(),
                pairs,
            });
        }
    }
    all
}

/// Why no network was chosen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoChoice {
    /// Nothing in the file is a weight of the network.
    Nothing,
    /// `state` matches none of these positions.
    Elsewhere(Vec<String>),
    /// Several match equally well: their positions.
    Several(Vec<String>),
}

/// The candidate with the largest part of the network.
///
/// # Errors
/// There is none, or several match equally well.
pub(super) fn choose<'f>(mut all: Vec<Candidate<'f>>, state: Option<&str>) -> Result<Candidate<'f>, NoChoice> {
    let places = |all: &[Candidate<'_>]| all.iter().map(Candidate::place).collect::<Vec<_>>();
    if all.is_empty() {
        return Err(NoChoice::Nothing);
    }
    if let Some(state) = state {
        let before = places(&all);
        all.retain(|c| c.is(state));
        if all.is_empty() {
            return Err(NoChoice::Elsewhere(before));
        }
    }
    let most = all.iter().map(|c| (c.fits, c.pairs.len())).max().unwrap_or_default();
    all.retain(|c| (c.fits, c.pairs.len()) == most);
    let first = all.swap_remove(0);
    all.retain(|c| !c.same(&first));
    if all.is_empty() {
        return Ok(first);
    }
    all.insert(0, first);
    let mut places = places(&all);
    places.sort();
    Err(NoChoice::Several(places))
}

#[cfg(test)]
mod tests {
    use super::super::entry::{DType, Storage, row_major};
    use super::*;
    use crate::{Init, Role};

    fn tensor(name: &str, shape: &[usize], key: &str) -> Entry {
        Entry {
            name: name.into(),
            shape: shape.to_vec(),
            stride: row_major(shape).unwrap(),
            offset: 0,
            storage: Storage {
                key: key.into(),
                dtype: DType::F32,
                len: shape.iter().product(),
            },
        }
    }

    fn dictionary(path: &str, names: &[&str]) -> Dictionary {
        let tensors = names.iter().enumerate();
        Dictionary {
            path: path.into(),
            tensors: tensors.map(|(i, n)| tensor(n, &[2], &format!("{path}{i}"))).collect(),
            unread: vec![],
        }
    }

    /// What is chosen for the weights `a.w` and `b.w`, each of two values.
    fn chosen(dictionaries: &[Dictionary], state: Option<&str>) -> Result<String, NoChoice> {
        let specs = ["a.w", "b.w"].map(|n| WeightSpec::new(n, &[2], Init::Constant(0.0), Role::Weight));
        choose(candidates(dictionaries, &specs), state).map(|c| c.place())
    }

    /// A checkpoint as training programs write it: numbers and states next to the weights.
    #[test]
    fn tensors_beside_the_weights_do_not_matter() {
        let beside = dictionary("", &["best_acc1", "class_weights", "iteration"]);
        for path in [
            "state_dict",
            "model",
            "model_state_dict",
            "net",
            "module",
            "network",
            "ema",
            "what.ever",
        ] {
            let all = [dictionary("", &["best_acc1"]), dictionary(path, &["a.w", "b.w"])];
            assert_eq!(chosen(&all, None), Ok(path.into()));
        }
        for front in ["module", "backbone", "base_model", "model", "module.base_model"] {
            let names = ["a.w", "b.w"].map(|n| format!("{front}.{n}"));
            let all = [
                beside_of(&beside),
                dictionary("state_dict", &[&names[0], &names[1], "cls_head.fc.weight"]),
            ];
            assert_eq!(chosen(&all, None), Ok(format!("state_dict.{front}")));
        }
        assert_eq!(chosen(&[dictionary("", &["a.w", "b.w"])], None), Ok(".".into()));
        assert_eq!(chosen(&[beside], None), Err(NoChoice::Nothing));
    }

    fn beside_of(d: &Dictionary) -> Dictionary {
        dictionary(&d.path, &d.tensors.iter().map(|t| &*t.name).collect::<Vec<_>>())
    }

    /// The momentum of an optimiser by the names of weights, or some loose tensors, count for less than the complete network.
    #[test]
    fn the_whole_is_chosen_before_a_part() {
        let all = [
            dictionary("", &["a.w"]),
            dictionary("model", &["a.w", "b.w"]),
            dictionary("momentum", &["b.w"]),
        ];
        assert_eq!(chosen(&all, None), Ok("model".into()));
        let mut wrong = dictionary("old", &["a.w", "b.w"]);
        wrong.tensors[1].shape = vec![3];
        assert_eq!(
            chosen(&[wrong, dictionary("new", &["a.w", "b.w"])], None),
            Ok("new".into())
        );
    }

    #[test]
    fn several_are_a_choice() {
        let all = || {
            [
                dictionary("state_dict", &["a.w", "b.w"]),
                dictionary("ema.module", &["x.a.w", "x.b.w"]),
            ]
        };
        let places = vec!["ema.module.x".to_string(), "state_dict".into()];
        assert_eq!(chosen(&all(), None), Err(NoChoice::Several(places.clone())));
        for (state, place) in [
            ("state_dict", "state_dict"),
            ("ema", "ema.module.x"),
            ("ema.module", "ema.module.x"),
            ("module.x", "ema.module.x"),
        ] {
            assert_eq!(chosen(&all(), Some(state)), Ok(place.into()), "{state}");
        }
        let elsewhere = Err(NoChoice::Elsewhere(vec!["state_dict".into(), "ema.module.x".into()]));
        assert_eq!(chosen(&all(), Some("state")), elsewhere);
        assert_eq!(chosen(&all(), Some(".")), elsewhere);
        let top = [dictionary("", &["a.w", "b.w"]), dictionary("ema", &["a.w", "b.w"])];
        assert_eq!(chosen(&top, Some(".")), Ok(".".into()));
        // The same values under two names are not ambiguous.
        let mut twice = [
            dictionary("model", &["a.w", "b.w"]),
            dictionary("model", &["a.w", "b.w"]),
        ];
        twice[1].path = "state_dict".into();
        assert_eq!(chosen(&twice, None), Ok("model".into()));
    }
}
