//! Folders of image files, one a frame.

mod listing;

use std::path::{Path, PathBuf};

use self::listing::{Listing, Numbers};
use crate::index::{Index, Place};
use crate::{Limits, Numbering, OpenOptions, Sink, Template, VideoError, picture};

/// The template that names the most files of a folder whose names have one of these endings (in lower case), and the first number
/// of these; `None` where there is none, or the folder cannot be read.
#[must_use]
pub fn likely_template(folder: &Path, endings: &[&str]) -> Option<(Template, usize)> {
    let listing = Listing::read(folder, &Limits::default()).ok()?;
    let taken = |name: &str| {
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        endings.iter().any(|e| ending.eq_ignore_ascii_case(e))
    };
    let (template, numbers) = listing.template_of(taken)?;
    Some((template, numbers.first))
}

/// The lowest number that a folder's files have by a template.
#[must_use]
pub fn first_number(folder: &Path, template: &Template) -> Option<usize> {
    let listing = Listing::read(folder, &Limits::default()).ok()?;
    Some(listing.numbers(template, 0)?.first)
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
    /// Images of the folder that are no frames.
    pub remark: Option<String>,
}

impl FolderIndex {
    /// Counts the frames and reads the size of the first. A missing number is an error if others follow it, and so are images
    /// that begin elsewhere than at a first number which nobody stated.
    pub(crate) fn read(path: &Path, options: &OpenOptions) -> Result<Self, VideoError> {
        let OpenOptions {
            template,
            start_index,
            offset,
            ..
        } = options;
        let first = start_index.saturating_add(*offset);
        let listing = Listing::read(path, &options.limits)?;
        let named = listing.numbers(template, 0);
        if options.numbering == Numbering::Assumed
            && let Some(wrong) = named.and_then(|n| other_start(options, n))
        {
            return Err(VideoError::malformed(path, wrong));
        }
        let most = options.frames.unwrap_or(usize::MAX);
        let count = (0..most)
            .take_while(|i| first.checked_add(*i).is_some_and(|n| listing.has(&template.name(n))))
            .count();
        if count == 0 {
            return Err(VideoError::malformed(path, no_frame(&listing, named, options)));
        }
        let missing = first + count;
        if let Some(wanted) = options.frames
            && count < wanted
        {
            let otherwise = listing.otherwise(template, missing);
            let otherwise = otherwise.map_or(String::new(), |name| format!(", and {name} is there"));
            return Err(VideoError::malformed(
                path,
                format!(
                    "{} expected, but {} is missing{otherwise}",
                    if wanted == 1 {
                        "1 frame is".to_owned()
                    } else {
                        format!("{wanted} frames are")
                    },
                    template.name(missing)
                ),
            ));
        }
        if options.frames.is_none() {
            whole(&listing, template, missing).map_err(|reason| VideoError::malformed(path, reason))?;
        }
        let mut index = Self {
            template: template.clone(),
            first,
            count,
            width: 0,
            height: 0,
            remark: None,
        };
        let file = index.file(path, 0);
        let header = picture::header(&file, &options.limits).map_err(|reason| VideoError::malformed(&file, reason))?;
        index.remark = remark(&listing, named, options, header.exif);
        let pixels = header.width as u64 * header.height as u64;
        if pixels > options.limits.max_pixels {
            return Err(VideoError::limit(
                &file,
                "the number of pixels of a picture",
                pixels,
                options.limits.max_pixels,
            ));
        }
        (index.width, index.height) = (header.width, header.height);
        Ok(index)
    }

    fn file(&self, path: &Path, frame: usize) -> PathBuf {
        path.join(self.template.name(self.first + frame))
    }

    fn same_size(&self, width: usize, height: usize) -> Result<(), String> {
        match (width, height) == (self.width, self.height) {
            true => Ok(()),
            false => Err(format!(
                "it has {width}x{height} pixels, the first frame has {}x{}",
                self.width, self.height
            )),
        }
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

    fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    fn examine(&self, place: &Place) -> Result<(), VideoError> {
        for frame in 0..self.count {
            let file = self.file(&place.path, frame);
            picture::examine(&file, &place.limits)
                .and_then(|header| self.same_size(header.width, header.height))
                .map_err(|reason| VideoError::damaged(&file, frame, reason))?;
        }
        Ok(())
    }

    /// In the requested order.
    fn decode(&self, place: &Place, frames: &[usize], sink: &mut Sink<'_>) -> Result<(), VideoError> {
        let Place { path, limits, .. } = place;
        for &frame in frames {
            let file = self.file(path, frame);
            let outcome = picture::read(&file, limits)
                .and_then(|p| self.same_size(p.width(), p.height()).map(|()| p))
                .map_err(|reason| VideoError::damaged(&file, frame, reason));
            if sink(frame, outcome).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Why a first number that nobody stated cannot be the folder's: its images begin one later, or before it.
fn other_start(options: &OpenOptions, named: Numbers) -> Option<String> {
    let OpenOptions {
        template,
        start_index,
        prefix,
        ..
    } = options;
    if named.first >= *start_index && named.first != start_index.saturating_add(1) {
        return None;
    }
    let numbers = match options.offset > 0 || options.frames.is_some() {
        true => format!(
            ", or `{prefix}start_index = {start_index}` if the offsets count from {}",
            template.name(*start_index)
        ),
        false => String::new(),
    };
    Some(format!(
        "its images begin with {}, and {} is taken for the first, since `{prefix}start_index` is not stated: say `{prefix}start_index = \
         {}`{numbers}",
        template.name(named.first),
        template.name(*start_index),
        named.first
    ))
}

/// What the folder has instead of its first frame, and what to say to read that.
fn no_frame(listing: &Listing, named: Option<Numbers>, options: &OpenOptions) -> String {
    let OpenOptions {
        template,
        start_index,
        offset,
        prefix,
        ..
    } = options;
    let wanted = template.name(start_index.saturating_add(*offset));
    let start = |n: Numbers| match n.first == *start_index {
        true => None,
        false => Some(format!("`{prefix}start_index = {}`", n.first)),
    };
    let (template, named, say) = match (named, listing.template()) {
        (Some(n), _) => (template.clone(), n, start(n).filter(|_| *offset == 0)),
        (None, Some((other, n))) => {
            let other_template = format!("`{prefix}template = \"{other}\"`");
            let say = match start(n) {
                Some(start) => format!("{other_template} and {start}"),
                None => other_template,
            };
            (other, n, Some(say))
        }
        (None, None) => return format!("the folder has no frame {wanted}; {}", listing.contents()),
    };
    let there = match named.count {
        1 => format!("its one image is {}", template.name(named.first)),
        n => format!(
            "its {n} images are {} to {}",
            template.name(named.first),
            template.name(named.last)
        ),
    };
    let say = say.map_or(String::new(), |say| format!(": say {say}"));
    format!("the folder has no frame {wanted}; {there}{say}")
}

/// An error if the folder continues after `missing`, the first number without a file, there or under other names: the video
/// would otherwise be cut short silently.
fn whole(listing: &Listing, template: &Template, missing: usize) -> Result<(), String> {
    let images = |n: usize| if n == 1 { "image" } else { "images" };
    if let Some(Numbers { count, last, .. }) = listing.numbers(template, missing) {
        let come = if count == 1 { "image comes" } else { "images come" };
        return Err(format!(
            "{} is missing, and {count} {come} after it, up to {}",
            template.name(missing),
            template.name(last)
        ));
    }
    let Some((name, others)) = listing.otherwise(template, missing).zip(listing.others(template, &[])) else {
        return Ok(());
    };
    Err(format!(
        "the images of `{template}` end before {name}, which continues them under another name: the folder has {} {} that the \
         template does not name; give all images names of one form",
        others.count,
        images(others.count)
    ))
}

/// What is left out of the folder, and that its images are turned.
fn remark(listing: &Listing, named: Option<Numbers>, options: &OpenOptions, exif: u8) -> Option<String> {
    let OpenOptions {
        template,
        start_index,
        offset,
        prefix,
        ..
    } = options;
    let turned = (exif != 1).then(|| {
        let name = template.name(start_index.saturating_add(*offset));
        format!("its images are turned upright, as people see them: {name} has the EXIF orientation {exif}")
    });
    if options.numbering == Numbering::ByName {
        return turned;
    }
    let before = named.filter(|n| n.first < *start_index).map(|n| {
        let name = template.name(n.first);
        format!("its images begin with {name}, which is left out, since `{prefix}start_index` is {start_index}")
    });
    let others = listing.others(template, &options.others).map(|o| {
        let images = if o.count == 1 { "image" } else { "images" };
        format!(
            "it has {} {images} that `{template}` does not name, such as {}",
            o.count, o.example
        )
    });
    let parts: Vec<String> = before.into_iter().chain(others).chain(turned).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
