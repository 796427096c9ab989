//! The lists of a `feature_list`, read, and the features that they name.

use super::FeatureList;
use super::footage::{FeatureFootage, Layout};
use crate::contract::*;
use crate::data::classes::Classes;
use crate::data::listing::{
    ListReader, argument, columns, from_home, listed, missing, origin, some, sound, stated, values, without_detours,
};
use anyhow::Result;
use glad_video::Template;
use glad_video::lists::{ListEntry, ListFormat, Nearby, Scan};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The names of the classes of a folder of features, next to its index.
const CLASSES: &str = "classes.txt";

/// The source of a stream.
pub(super) struct Listed {
    reader: ListReader,
    classes: Option<Classes>,
    template: Option<Template>,
    key: Option<String>,
    size: usize,
    /// As the graph says it.
    stated: Count,
}

impl Listed {
    pub(super) fn new(params: &FeatureList, size: usize, folder: PathBuf) -> Result<Self, Vec<ParamProblem>> {
        let template = params.template.as_deref().map(Template::parse).transpose();
        Ok(Listed {
            reader: ListReader {
                lists: params.list.clone(),
                root: params.root.clone(),
                format: params.format,
                columns: columns(params.columns.as_deref()).map_err(|p| vec![p])?,
                start_index: params.start_index,
                base: folder,
            },
            classes: params.classes.clone(),
            template: template.map_err(|e| vec![ParamProblem::new("template", e)])?,
            key: params.key.clone(),
            size,
            stated: params.size.clone(),
        })
    }

    /// The file of the names of the classes: the parameter's, else that of the folders of features.
    fn classes_file(&self) -> Option<PathBuf> {
        match &self.classes {
            Some(Classes::File(file)) => Some(without_detours(self.reader.base.join(file))),
            Some(Classes::Names(_)) => None,
            None => self.classes_of_folders().into_iter().next(),
        }
    }

    /// The names of the classes that `predict` wrote next to each index.
    fn classes_of_folders(&self) -> Vec<PathBuf> {
        let beside = self.reader.indices().map(|index| index.with_file_name(CLASSES));
        beside.filter(|file| file.is_file()).collect()
    }

    /// What can be read of a list.
    fn read(&self, list: &Path) -> Result<Scan, SourceError> {
        self.reader.read(list, self.classes()?, self.classes_file())
    }

    /// What the features of a list have in common.
    fn opener<'a>(&self, list: &'a Path, root: PathBuf, format: ListFormat) -> Opener<'a> {
        Opener {
            list,
            layout: Arc::new(Layout {
                size: self.size,
                key: self.key.clone(),
                template: self.template.clone(),
                start_index: self.reader.start_index(format),
                nearby: Nearby::new(root.clone()),
            }),
            root,
        }
    }
}

struct Opener<'a> {
    list: &'a Path,
    root: PathBuf,
    layout: Arc<Layout>,
}

impl Opener<'_> {
    fn footage(&self, entry: &ListEntry<'_>) -> FeatureFootage {
        let path = self.root.join(from_home(entry.path));
        let line = format!("{}:{}", self.list.display(), entry.line);
        FeatureFootage::new(&path, &line, self.layout.clone(), stated(entry), entry.checksum)
            .of(origin(entry, &self.root))
    }

    fn video(&self, (index, entry): (usize, ListEntry<'_>)) -> Arc<Video> {
        let footage = self.footage(&entry);
        Arc::new(Video {
            index,
            path: footage.path.clone(),
            line: footage.line.clone(),
            label: entry.label,
            footage: Arc::new(footage),
        })
    }
}

impl Source for Listed {
    fn videos(&self, split: &str) -> Result<Vec<Arc<Video>>, SourceError> {
        let list = self.reader.list(split)?;
        let scan = sound(&list, self.read(&list)?)?;
        let opener = self.opener(&list, self.reader.root(&list), scan.format);
        Ok(scan.entries.iter().enumerate().map(|e| opener.video(e)).collect())
    }

    fn scan(&self, split: &str) -> Result<ListScan, SourceError> {
        let list = self.reader.list(split)?;
        let scan = self.read(&list)?;
        let opener = self.opener(&list, self.reader.root(&list), scan.format);
        Ok(listed(&list, scan, |e| opener.video(e)))
    }

    fn each(&self, split: &str, take: &mut dyn FnMut(Listing<'_>)) -> Result<(), SourceError> {
        let list = self.reader.list(split)?;
        self.reader.each(&list, &sound(&list, self.read(&list)?)?, take);
        Ok(())
    }

    fn examine(&self, split: &str) -> Result<(), ParamProblem> {
        let list = self.reader.list(split);
        let Some((list, scan)) = list.ok().and_then(|list| Some((list.clone(), self.read(&list).ok()?))) else {
            return Ok(());
        };
        let opener = self.opener(&list, self.reader.root(&list), scan.format);
        let mut fits = some(scan.entries.len())
            .filter_map(|i| scan.entries.get(i))
            .filter_map(|entry| {
                let footage = opener.footage(&entry);
                Some((footage.fit(&self.stated)?, footage.line))
            });
        // One that fits shows that the parameters are right, and the other files are not.
        match fits.next() {
            Some((Err(p), line)) if fits.all(|(fit, _)| fit.is_err_and(|other| other.path == p.path)) => {
                Err(ParamProblem {
                    message: format!("{line}: {}", p.message),
                    ..p
                })
            }
            _ => Ok(()),
        }
    }

    fn values(&self, video: &Arc<Video>) -> Result<Vec<HostValue>, DataError> {
        values(video)
    }

    fn of_files(&self, paths: &[PathBuf]) -> Result<Vec<Arc<Video>>, SourceError> {
        let opener = self.opener(Path::new("argument"), PathBuf::new(), self.reader.format);
        let video = |at| Ok(opener.video(argument(at)?));
        paths.iter().enumerate().map(video).collect()
    }

    fn absent(&self) -> Vec<String> {
        let mut absent = vec![];
        if let Some(file) = self.classes_file() {
            absent.extend(missing(&file));
        }
        for (_, gone) in self.reader.missing() {
            absent.extend(gone);
        }
        absent
    }

    fn splits(&self) -> Vec<String> {
        self.reader.lists.splits()
    }

    fn classes(&self) -> Result<Option<Vec<String>>, SourceError> {
        if let Some(Classes::Names(names)) = &self.classes {
            return Ok(Some(names.clone()));
        }
        let Some(file) = self.classes_file() else {
            return Ok(None);
        };
        let names = Classes::read(&file)?;
        if self.classes.is_none() {
            for other in self.classes_of_folders() {
                if Classes::read(&other)? != names {
                    return Err(FileFault {
                        role: "the names of the classes",
                        what: format!("has other classes than {}", file.display()),
                        file: other,
                        advice: "labels of one stream have to mean the same: write both folders with one run, or give `classes`"
                            .into(),
                        lines: vec![],
                    }
                    .into());
                }
            }
        }
        Ok(Some(names))
    }
}
