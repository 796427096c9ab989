//! What a value is, apart from its sizes.

use std::fmt;

/// The head of a type. Those that the framework treats in a way of their own have a name here; a kind may have others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Head {
    /// A video of a list, before anything of it is read.
    Video,
    /// Numbers of a video's frames.
    FrameIndex,
    /// Frames.
    Clip,
    /// Images next to a video, such as backgrounds.
    Images,
    /// The optical flow of a video of a list, before anything of it is read.
    Flow,
    /// The features of a video of a list, a row after the other, before any is read.
    Sequence,
    /// Lengths in frames.
    Length,
    /// Places of videos in their list.
    Index,
    /// What a network computes of a clip, or computed before and wrote to a file.
    Feature,
    /// Scores of classes before the softmax.
    Logits,
    /// Classes. Those of a held-out stream reach no loss.
    Label,
    /// Which rows count.
    Mask,
    /// A term of an objective.
    Loss,
    /// A number for people.
    Metric,
    /// Any other.
    Other(String),
}

/// All heads that have a name.
const NAMED: [(&str, Head); 14] = [
    ("Video", Head::Video),
    ("FrameIndex", Head::FrameIndex),
    ("Clip", Head::Clip),
    ("Images", Head::Images),
    ("Flow", Head::Flow),
    ("Sequence", Head::Sequence),
    ("Length", Head::Length),
    ("Index", Head::Index),
    ("Feature", Head::Feature),
    ("Logits", Head::Logits),
    ("Label", Head::Label),
    ("Mask", Head::Mask),
    ("Loss", Head::Loss),
    ("Metric", Head::Metric),
];

impl Head {
    /// As contracts and messages write it.
    pub fn name(&self) -> &str {
        match self {
            Head::Other(name) => name,
            head => {
                NAMED
                    .iter()
                    .find(|n| n.1 == *head)
                    .expect("every head but `Other` is named")
                    .0
            }
        }
    }
}

impl From<&str> for Head {
    fn from(name: &str) -> Head {
        let named = NAMED.iter().find(|n| n.0 == name);
        named.map_or_else(|| Head::Other(name.to_owned()), |n| n.1.clone())
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_head_are_one() {
        for name in ["Video", "Flow", "Clip", "Loss", "Metric", "Audio"] {
            assert_eq!(Head::from(name).name(), name);
        }
        assert_eq!(Head::from("Clip"), Head::Clip);
        assert_eq!(Head::from("clip"), Head::Other("clip".into()));
    }
}
