//! The lists of a `feature_list`, read, and the features that they name.

use super::FeatureList;
use super::footage::{FeatureFootage, Layout};
use crate::contract::*;
use crate::data::classes::Classes;
use crate::data::listing::{
    ListReader, argument, columns, from_home, listed, missing, sound, stated, values, without_detours,
};
use anyhow::Result;
use glad_video::Template;
use glad_video::lists::{ListEntry, ListFormat, Nearby, Scan};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The source of a stream.
pub(super) struct Listed {
    reader: ListReader,
    classes: Option<Classes>,
    template: Option<Template>,
    key: Option<String>,
    size: usize,
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
        })
    }

    fn classes_file(&self, file: &str) -> PathBuf {
        without_detours(self.reader.base.join(file))
    }

    /// What can be read of a list.
    fn read(&self, list: &Path) -> Result<Scan, SourceError> {
        let file = match &self.classes {
            Some(Classes::File(file)) => Some(self.classes_file(file)),
            _ => None,
        };
        self.reader.read(list, self.classes()?, file)
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
    fn video(&self, (index, entry): (usize, ListEntry<'_>)) -> Arc<Video> {
        let path = self.root.join(from_home(entry.path));
        let line = format!("{}:{}", self.list.display(), entry.line);
        let footage = FeatureFootage::new(&path, &line, self.layout.clone(), stated(&entry), entry.checksum);
        Arc::new(Video {
            index,
            footage: Arc::new(footage),
            path,
            line,
            label: entry.label,
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
        if let Some(Classes::File(file)) = &self.classes {
            absent.extend(missing(&self.classes_file(file)));
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
        match &self.classes {
            None => Ok(None),
            Some(Classes::Names(names)) => Ok(Some(names.clone())),
            Some(Classes::File(file)) => Ok(Some(Classes::read(&self.classes_file(file))?)),
        }
    }
}
