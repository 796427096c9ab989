//! The names in a folder, and what they say about the names of its images.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use crate::{Limits, Template, VideoError};

/// The names in a folder.
pub(super) struct Listing(HashSet<OsString>);

/// The images that a template names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers {
    pub count: usize,
    pub first: usize,
    pub last: usize,
}

/// The images that a template does not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Others {
    pub count: usize,
    /// The first of them by name.
    pub example: String,
}

impl Listing {
    /// Reads a folder with one listing, not one request per file: folders are often on network disks.
    pub(super) fn read(path: &Path, limits: &Limits) -> Result<Self, VideoError> {
        let mut present = HashSet::new();
        for entry in fs::read_dir(path).map_err(|e| VideoError::io(path, e))? {
            present.insert(entry.map_err(|e| VideoError::io(path, e))?.file_name());
            if present.len() as u64 > limits.max_samples {
                return Err(VideoError::limit(
                    path,
                    "the number of files",
                    present.len() as u64,
                    limits.max_samples,
                ));
            }
        }
        Ok(Self(present))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(OsStr::new(name))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|name| name.to_str())
    }

    fn images(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|name| is_image(name))
    }

    /// The images that `template` names, with a number of `from` or more.
    pub(super) fn numbers(&self, template: &Template, from: usize) -> Option<Numbers> {
        let numbers = self.names().filter_map(|name| template.number(name));
        numbers.filter(|n| *n >= from).fold(None, |found, n| {
            let Numbers { count, first, last } = found.unwrap_or(Numbers {
                count: 0,
                first: n,
                last: n,
            });
            Some(Numbers {
                count: count + 1,
                first: first.min(n),
                last: last.max(n),
            })
        })
    }

    /// The images that `template` does not name, nor any of `known`.
    pub(super) fn others(&self, template: &Template, known: &[Template]) -> Option<Others> {
        let named = |name: &str| std::iter::once(template).chain(known).any(|t| t.number(name).is_some());
        let others = || self.images().filter(|name| !named(name));
        Some(Others {
            count: others().count(),
            example: others().min()?.to_owned(),
        })
    }

    /// An image that has the number `wanted` after the text of `template`, under a name that `template` does not give it: with
    /// another ending, or other zeros.
    pub(super) fn otherwise(&self, template: &Template, wanted: usize) -> Option<&str> {
        let meant = |name: &&str| {
            let rest = name.strip_prefix(template.before()).unwrap_or_default();
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number = rest[..digits].parse() == Ok(wanted);
            number && rest[digits..].rfind('.') == Some(0) && template.number(name).is_none()
        };
        self.images().filter(meant).min()
    }

    /// The template that names the most images of the folder, with these.
    pub(super) fn template(&self) -> Option<(Template, Numbers)> {
        self.template_of(is_image)
    }

    /// The template that names the most of the files that `taken` takes, with these.
    pub(super) fn template_of(&self, taken: impl Fn(&str) -> bool) -> Option<(Template, Numbers)> {
        // By the text before and after each number in their names: widths of the number.
        let mut forms: HashMap<(&str, &str), (usize, HashSet<usize>)> = HashMap::new();
        for name in self.names().filter(|name| taken(name)) {
            for (from, to) in runs(name) {
                let (count, widths) = forms.entry((&name[..from], &name[to..])).or_default();
                *count += 1;
                widths.insert(to - from);
            }
        }
        // The order of a table must not decide between equals.
        let most = forms
            .iter()
            .filter(|((before, after), _)| !before.contains('%') && !after.contains('%'))
            .max_by_key(|((before, after), (count, _))| (*count, before.len(), *after, *before));
        let ((before, after), (_, widths)) = most?;
        let mut widths: Vec<usize> = widths.iter().copied().collect();
        widths.sort_unstable();
        let padded = widths.into_iter().map(|w| format!("{before}%0{w}d{after}"));
        let written = std::iter::once(format!("{before}%d{after}")).chain(padded);
        let mut best: Option<(Template, Numbers)> = None;
        for template in written.filter_map(|t| Template::parse(&t).ok()) {
            if let Some(numbers) = self.numbers(&template, 0)
                && best.as_ref().is_none_or(|(_, b)| b.count < numbers.count)
            {
                best = Some((template, numbers));
            }
        }
        best
    }

    /// What a folder without an image holds, as a clause.
    pub(super) fn contents(&self) -> String {
        match (self.0.len(), self.names().min()) {
            (0, _) => "the folder is empty".to_owned(),
            (1, Some(name)) => format!("the folder has no image, only {name}"),
            (n, Some(name)) => format!("the folder has no image, but {n} other files or folders, such as {name}"),
            (_, None) => "the folder has no image".to_owned(),
        }
    }
}

/// Whether a name is that of an image: macOS and others put files that begin with a point beside images.
fn is_image(name: &str) -> bool {
    const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "ppm"];
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    !name.starts_with('.') && ENDINGS.iter().any(|e| ending.eq_ignore_ascii_case(e))
}

/// Where the numbers in a name begin and end.
fn runs(name: &str) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = vec![];
    for (i, _) in name.bytes().enumerate().filter(|(_, b)| b.is_ascii_digit()) {
        match found.last_mut() {
            Some((_, end)) if *end == i => *end += 1,
            _ => found.push((i, i + 1)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Option<(String, usize, usize, usize)> {
        let listing = Listing(names.iter().map(OsString::from).collect());
        let (template, n) = listing.template()?;
        Some((template.to_string(), n.count, n.first, n.last))
    }

    #[test]
    fn the_template_of_most_images() {
        let some = |template: &str, count, first, last| Some((template.to_owned(), count, first, last));
        assert_eq!(of(&["img_00001.jpg", "img_00002.jpg"]), some("img_%05d.jpg", 2, 1, 2));
        assert_eq!(of(&["img_9.png", "img_10.png"]), some("img_%d.png", 2, 9, 10));
        // Numbers that outgrow their zeros.
        assert_eq!(
            of(&["9998.JPG", "9999.JPG", "10000.JPG"]),
            some("%d.JPG", 3, 9998, 10000)
        );
        assert_eq!(of(&["0998.jpg", "10000.jpg"]), some("%04d.jpg", 2, 998, 10000));
        // The number that counts is the one that differs.
        let several = ["clip3_f0001_x264.jpg", "clip3_f0002_x264.jpg", "clip3_f0003_x264.jpg"];
        assert_eq!(of(&several), some("clip3_f%04d_x264.jpg", 3, 1, 3));
        // Two kinds: the more frequent one.
        assert_eq!(
            of(&["a_01.jpg", "a_02.jpg", "flow_01.jpg"]),
            some("a_%02d.jpg", 2, 1, 2)
        );
        for none in [
            &["a.mp4", "b.mp4"][..],
            &["._img_00001.jpg"],
            &["100%_1.jpg"],
            &["cover.jpg"],
            &[],
        ] {
            assert_eq!(of(none), None, "{none:?}");
        }
        // Larger than any number.
        assert_eq!(of(&["99999999999999999999999.jpg"]), None);
    }
}
