//! Folders of image files, one a frame.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use crate::index::{Index, Place};
use crate::{OpenOptions, Sink, Template, VideoError, picture};

/// A folder whose files have been counted.
#[derive(Debug)]
pub(crate) struct FolderIndex {
    pub template: Template,
    /// The number of the first frame.
    pub first: usize,
    pub count: usize,
    pub width: usize,
    pub height: usize,
}

impl FolderIndex {
    /// Counts the frames and reads the size of the first. A missing number is an error if others follow it.
    pub(crate) fn read(path: &Path, options: &OpenOptions) -> Result<Self, VideoError> {
        let first = options.start_index.saturating_add(options.offset);
        // One listing, not one request per file: folders are often on network disks.
        let mut present = HashSet::new();
        for entry in fs::read_dir(path).map_err(|e| VideoError::io(path, e))? {
            present.insert(entry.map_err(|e| VideoError::io(path, e))?.file_name());
            if present.len() as u64 > options.limits.max_samples {
                return Err(VideoError::limit(
                    path,
                    "the number of files",
                    present.len() as u64,
                    options.limits.max_samples,
                ));
            }
        }
        let most = options.frames.unwrap_or(usize::MAX);
        let count = (0..most)
            .take_while(|i| present.contains(OsStr::new(&options.template.name(first + i))))
            .count();
        if count == 0 {
            return Err(VideoError::malformed(
                path,
                format!(
                    "the folder has no frame {}; check the template, start index and offset",
                    options.template.name(first)
                ),
            ));
        }
        if let Some(wanted) = options.frames
            && count < wanted
        {
            return Err(VideoError::malformed(
                path,
                format!(
                    "{wanted} frames are expected, but {} is missing",
                    options.template.name(first + count)
                ),
            ));
        }
        if options.frames.is_none() {
            no_gap(path, &options.template, &present, first + count)?;
        }
        let mut index = Self {
            template: options.template.clone(),
            first,
            count,
            width: 0,
            height: 0,
        };
        let file = index.file(path, 0);
        let (width, height) =
            picture::size(&file, &options.limits).map_err(|reason| VideoError::malformed(&file, reason))?;
        let pixels = u64::from(width) * u64::from(height);
        if pixels > options.limits.max_pixels {
            return Err(VideoError::limit(
                &file,
                "the number of pixels of a picture",
                pixels,
                options.limits.max_pixels,
            ));
        }
        (index.width, index.height) = (width as usize, height as usize);
        Ok(index)
    }

    fn file(&self, path: &Path, frame: usize) -> PathBuf {
        path.join(self.template.name(self.first + frame))
    }
}

impl Index for FolderIndex {
    fn frame_count(&self) -> usize {
        self.count
    }

    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn is_folder(&self) -> bool {
        true
    }

    /// In the requested order.
    fn decode(&self, place: &Place, frames: &[usize], sink: &mut Sink<'_>) -> Result<(), VideoError> {
        let Place { path, limits, .. } = place;
        for &frame in frames {
            let file = self.file(path, frame);
            let outcome = picture::read(&file, limits)
                .and_then(|p| {
                    if (p.width(), p.height()) == (self.width, self.height) {
                        Ok(p)
                    } else {
                        Err(format!(
                            "it has {}x{} pixels, the first frame has {}x{}",
                            p.width(),
                            p.height(),
                            self.width,
                            self.height
                        ))
                    }
                })
                .map_err(|reason| VideoError::damaged(&file, frame, reason));
            if sink(frame, outcome).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// An error if the folder continues after `missing`, the first number without a file: the video would otherwise be cut short
/// silently.
fn no_gap(path: &Path, template: &Template, present: &HashSet<OsString>, missing: usize) -> Result<(), VideoError> {
    let later = present
        .iter()
        .filter_map(|name| template.number(name.to_str()?))
        .filter(|number| *number > missing);
    let (count, last) = later.fold((0, 0), |(count, last), number| (count + 1, number.max(last)));
    if count == 0 {
        return Ok(());
    }
    Err(VideoError::malformed(
        path,
        format!(
            "{} is missing, and {count} {} after it, up to {}",
            template.name(missing),
            if count == 1 { "image comes" } else { "images come" },
            template.name(last)
        ),
    ))
}
