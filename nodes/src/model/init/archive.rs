//! ZIP archives as PyTorch writes them: members that are not compressed.
//!
//! Untrusted input: what is read of an archive besides its members is bounded, since the library keeps all of the directory.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use zip::{CompressionMethod, ZipArchive};

/// Bytes of the directory and of members' headers that are read; PyTorch's have about 150 for a tensor.
const MOST: u64 = 1 << 24;

/// A file of which so many bytes are read.
#[derive(Debug)]
struct Bounded {
    file: BufReader<File>,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let most = to.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 && !to.is_empty() {
            return Err(io::Error::other(
                "its directory is too large: it is no file of PyTorch's",
            ));
        }
        let n = self.file.read(&mut to[..most])?;
        self.left -= n as u64;
        Ok(n)
    }
}

impl Seek for Bounded {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// The members of an archive.
#[derive(Debug)]
pub(super) struct Archive {
    zip: ZipArchive<Bounded>,
    /// Bytes of the whole file.
    len: u64,
}

impl Archive {
    /// Reads the directory.
    ///
    /// # Errors
    /// It is damaged, or larger than those of checkpoints.
    pub(super) fn read(file: &File) -> Result<Archive> {
        let len = file.metadata()?.len();
        let file = BufReader::new(file.try_clone()?);
        let zip = ZipArchive::new(Bounded { file, left: MOST });
        let zip = zip.context("the archive is damaged, or was not copied or downloaded whole")?;
        Ok(Archive { zip, len })
    }

    /// The names of the members.
    ///
    /// # Errors
    /// A name is in no known encoding.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let names = self.zip.file_names().map(|n| Ok(n?.into_owned()));
        names.collect()
    }

    /// Where the contents of a member begin, and how many bytes they are; `None` where there is no such member.
    ///
    /// # Errors
    /// They are compressed, or reach beyond the file.
    pub(super) fn find(&mut self, name: &str) -> Result<Option<(u64, u64)>> {
        let Some(i) = self.zip.index_for_name(name) else {
            return Ok(None);
        };
        let member = self.zip.by_index_raw(i).context("the archive is damaged")?;
        ensure!(
            member.compression() == CompressionMethod::Stored && !member.encrypted(),
            "the archive is compressed, as PyTorch's never are (nor those of `numpy.savez`): unpack it, or save it again"
        );
        let place = member.data_start().context("the archive is damaged")?;
        let end = place.checked_add(member.size()).filter(|end| *end <= self.len);
        end.context("the archive is cut short")?;
        Ok(Some((place, member.size())))
    }
}
