//! The seven parts of the data set.

use crate::motion::Class;

/// One of the three kinds of video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Domain {
    /// Long videos of clothed figures in front of textured backgrounds: the labelled domain.
    Source,
    /// Short grey videos: the domain to adapt to.
    Target,
    /// Motions of other classes: for pretraining a backbone.
    Auxiliary,
}

impl Domain {
    /// Names of the classes, in the order of their labels.
    pub fn class_names(self) -> Vec<String> {
        match self {
            Domain::Source | Domain::Target => Class::ALL.iter().map(|class| class.name().to_owned()).collect(),
            Domain::Auxiliary => (0..Class::ALL.len())
                .map(|class| format!("motion_{class:02}"))
                .collect(),
        }
    }
}

/// One part of the data set: a folder of videos and a list of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// Source videos to train on.
    SourceTrain,
    /// Source videos held out.
    SourceTest,
    /// Target videos to train on, without using their labels.
    TargetTrain,
    /// Target videos to choose settings on.
    TargetVal,
    /// Target videos to report on.
    TargetTest,
    /// Auxiliary videos to train on.
    AuxiliaryTrain,
    /// Auxiliary videos held out.
    AuxiliaryTest,
}

impl Split {
    /// All splits, in the order in which they are generated.
    pub const ALL: [Split; 7] = [
        Split::SourceTrain,
        Split::SourceTest,
        Split::TargetTrain,
        Split::TargetVal,
        Split::TargetTest,
        Split::AuxiliaryTrain,
        Split::AuxiliaryTest,
    ];

    /// Name of the split, such as `source_train`: its list is this plus `.txt`.
    pub fn name(self) -> &'static str {
        match self {
            Split::SourceTrain => "source_train",
            Split::SourceTest => "source_test",
            Split::TargetTrain => "target_train",
            Split::TargetVal => "target_val",
            Split::TargetTest => "target_test",
            Split::AuxiliaryTrain => "auxiliary_train",
            Split::AuxiliaryTest => "auxiliary_test",
        }
    }

    /// Folder of the videos inside the data set, such as `source/train`.
    pub fn folder(self) -> String {
        self.name().replace('_', "/")
    }

    /// The kind of video that the split holds.
    pub fn domain(self) -> Domain {
        match self {
            Split::SourceTrain | Split::SourceTest => Domain::Source,
            Split::TargetTrain | Split::TargetVal | Split::TargetTest => Domain::Target,
            Split::AuxiliaryTrain | Split::AuxiliaryTest => Domain::Auxiliary,
        }
    }

    /// Label of video `index`: the classes take turns, so every split is balanced.
    pub fn label(self, index: usize) -> usize {
        index % Class::ALL.len()
    }
}
