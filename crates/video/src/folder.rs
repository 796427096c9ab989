//! Folders of image files, one a frame.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use crate::video::Sink;
use crate::{Limits, OpenOptions, VideoError, picture};

/// Names of the files of a folder: text around one number, such as `img_%05d.jpg`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    before: String,
    /// The number is filled with zeros to this many digits.
    digits: usize,
    after: String,
}

impl Template {
    /// Parses a name with one `%d` or `%0Nd` (N digits, filled with zeros).
    ///
    /// # Errors
    /// A fragment that says what is wrong: no number, several, or a `/`.
    pub fn parse(template: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("frame template {template:?} {what}; an example is \"img_%05d.jpg\"");
        if template.contains(['/', '\\']) {
            return Err(wrong("names a folder"));
        }
        let Some((before, rest)) = template.split_once('%') else {
            return Err(wrong("has no number"));
        };
        let Some((digits, after)) = rest.split_once('d') else {
            return Err(wrong("has no number"));
        };
        let digits = match digits {
            "" => 0,
            _ => match digits.strip_prefix('0').map(str::parse) {
                Some(Ok(n)) if n <= 20 => n,
                _ => return Err(wrong("has a number of a kind that is not known")),
            },
        };
        if after.contains('%') {
            return Err(wrong("has several numbers"));
        }
        Ok(Self {
            before: before.to_owned(),
            digits,
            after: after.to_owned(),
        })
    }

    /// The number of a file name, if it is one of these.
    fn number(&self, name: &str) -> Option<usize> {
        let digits = name.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        let number = digits.parse().ok()?;
        (self.name(number) == name).then_some(number)
    }

    /// The file name of a number.
    pub fn name(&self, number: usize) -> String {
        let Self { before, digits, after } = self;
        format!("{before}{number:0digits$}{after}")
    }
}

impl Default for Template {
    /// `img_%05d.jpg`, what mmaction and its relatives write.
    fn default() -> Self {
        Self {
            before: "img_".to_owned(),
            digits: 5,
            after: ".jpg".to_owned(),
        }
    }
}

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
    /// Counts the frames and reads the size of the first. A number without a file is an error where others follow it.
    pub fn read(path: &Path, options: &OpenOptions) -> Result<Self, VideoError> {
        let first = options.start_index.saturating_add(options.offset);
        // One listing, not a look at every file: folders are often on network disks.
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

    /// Decodes the frames, in the order asked for.
    pub fn decode(
        &self,
        path: &Path,
        limits: &Limits,
        frames: &[usize],
        sink: &mut Sink<'_>,
    ) -> Result<(), VideoError> {
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

/// An error if the folder goes on after `missing`, the first number without a file: the video would end there in silence.
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
