//! ZIP archives as PyTorch writes them, with members that are not compressed, and as NumPy does, with others.
//!
//! Untrusted input: what is read of an archive besides its members is bounded, since the library keeps all of the directory; and
//! so is what a compressed member is unpacked to, whatever it says about itself.

use anyhow::{Context, Result, ensure};
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use zip::{CompressionMethod, ZipArchive};

/// Bytes of the directory and of members' headers that are read; PyTorch's have about 150 for a tensor.
const MOST: u64 = 1 << 24;

/// Bytes of the largest member that is unpacked: 65,536 rows of 1024 numbers.
const LARGEST_UNPACKED: u64 = 1 << 28;

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

/// A member of an archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// Where its bytes begin.
    pub at: u64,
    /// How many bytes it has in the archive.
    packed: u64,
    /// How many it has by itself.
    pub size: u64,
    /// Whether it is compressed.
    pub compressed: bool,
    /// The checksum of its own bytes.
    crc: u32,
}

impl Member {
    /// The first of its own bytes, at most `most`; fewer where they are damaged.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn head(&self, file: &mut (impl Read + Seek), most: usize) -> Result<Vec<u8>> {
        // Deflate makes bytes that it cannot compress hardly longer.
        let packed = self.bytes(file, most as u64 + most as u64 / 64 + 64)?;
        let unpacked = decompress_to_vec_with_limit(&packed, most);
        Ok(unpacked.unwrap_or_else(|e| e.output))
    }

    /// All of its own bytes.
    ///
    /// # Errors
    /// They are too many or damaged, or the file cannot be read.
    pub(super) fn unpacked(&self, file: &mut (impl Read + Seek)) -> Result<Vec<u8>> {
        ensure!(
            self.size.max(self.packed) <= LARGEST_UNPACKED,
            "a compressed array of {} bytes is larger than the {LARGEST_UNPACKED} that are unpacked: save it with `numpy.savez`",
            self.size
        );
        let packed = self.bytes(file, self.packed)?;
        let unpacked = decompress_to_vec_with_limit(&packed, usize::try_from(self.size)?);
        let whole = |bytes: &Vec<u8>| bytes.len() as u64 == self.size && crc32fast::hash(bytes) == self.crc;
        unpacked.ok().filter(whole).context("its compressed bytes are damaged")
    }

    fn bytes(&self, file: &mut (impl Read + Seek), most: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![];
        file.seek(SeekFrom::Start(self.at))?;
        file.take(self.packed.min(most)).read_to_end(&mut bytes)?;
        Ok(bytes)
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
        let Some(member) = self.member(name)? else {
            return Ok(None);
        };
        ensure!(
            !member.compressed,
            "the archive is compressed, as PyTorch's never are: unpack it, or save it again"
        );
        Ok(Some((member.at, member.size)))
    }

    /// A member; `None` where there is no such one.
    ///
    /// # Errors
    /// It is encrypted or compressed in another way than by Deflate, or reaches beyond the file.
    pub(super) fn member(&mut self, name: &str) -> Result<Option<Member>> {
        let Some(i) = self.zip.index_for_name(name) else {
            return Ok(None);
        };
        let member = self.zip.by_index_raw(i).context("the archive is damaged")?;
        let compressed = member.compression() != CompressionMethod::STORE;
        ensure!(
            !compressed || member.compression() == CompressionMethod::DEFLATE,
            "the archive is compressed in another way than by Deflate: save it again"
        );
        let packed = if compressed {
            member.compressed_size()
        } else {
            member.size()
        };
        ensure!(!member.encrypted(), "the archive is encrypted");
        let at = member.data_start().context("the archive is damaged")?;
        let end = at.checked_add(packed).filter(|end| *end <= self.len);
        end.context("the archive is cut short")?;
        Ok(Some(Member {
            at,
            packed,
            size: member.size(),
            compressed,
            crc: member.crc32(),
        }))
    }
}
