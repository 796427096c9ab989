//! Names of the images of a folder.

use std::fmt;

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

    /// The number of a file name, if it matches.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        let digits = name.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        // Zeros fill up to the width, and no further.
        let zeros = digits.len() > self.digits && digits.len() > 1 && digits.starts_with('0');
        let fits = digits.len() >= self.digits && !zeros && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|_| fits)
    }

    /// The text before the number.
    pub(crate) fn before(&self) -> &str {
        &self.before
    }

    /// The file name of a number.
    #[must_use]
    pub fn name(&self, number: usize) -> String {
        let Self { before, digits, after } = self;
        format!("{before}{number:0digits$}{after}")
    }
}

/// As [`Template::parse`] reads it.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, digits, after } = self;
        match digits {
            0 => write!(f, "{before}%d{after}"),
            _ => write!(f, "{before}%0{digits}d{after}"),
        }
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
