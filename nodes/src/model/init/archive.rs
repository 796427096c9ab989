//! ZIP archives as PyTorch writes them: members that are not compressed, with 64-bit sizes where needed.
//!
//! Untrusted input: the size of the directory at the archive's end is checked before it is read, and members are found only
//! through it.

use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

/// Maximum bytes of a directory; PyTorch's have about 100 for a tensor.
const LARGEST_DIRECTORY: u64 = 1 << 24;
/// The record at the end without its comment, and the longest comment.
const END: u64 = 22;
const LONGEST_COMMENT: u64 = 0xffff;
const END_64_LOCATOR: u64 = 20;
const END_64: usize = 56;
const LOCAL: usize = 30;
const CENTRAL: usize = 46;

/// A file inside of an archive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// The offset of its header.
    header: u64,
    /// Bytes of its contents.
    pub size: u64,
    stored: bool,
}

/// The members of an archive, by name.
#[derive(Debug)]
pub(super) struct Archive {
    members: HashMap<Box<str>, Member>,
    /// Bytes of the whole file.
    len: u64,
}

fn u16_at(b: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([b[at], b[at + 1]])
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from(u32_at(b, at)) | u64::from(u32_at(b, at + 4)) << 32
}

/// `len` bytes from `at` on.
fn bytes(file: &mut (impl Read + Seek), at: u64, len: u64) -> Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut b = vec![];
    file.take(len).read_to_end(&mut b)?;
    ensure!(b.len() as u64 == len, "the archive is cut short");
    Ok(b)
}

/// The offset and size of the directory.
fn directory(file: &mut (impl Read + Seek), len: u64) -> Result<(u64, u64)> {
    let from = len.saturating_sub(END + LONGEST_COMMENT);
    let tail = bytes(file, from, len - from)?;
    let ends = |at: &usize| {
        let record = &tail[*at..];
        record.len() >= END as usize
            && record.starts_with(b"PK\x05\x06")
            && usize::from(u16_at(record, 20)) == record.len() - END as usize
    };
    let at = (0..tail.len()).rev().find(ends);
    let at = at.context("the archive has no end: it was not copied or downloaded whole")?;
    let (mut size, mut place) = (u64::from(u32_at(&tail, at + 12)), u64::from(u32_at(&tail, at + 16)));
    let end = from + at as u64;
    if let Some(locator) = end.checked_sub(END_64_LOCATOR) {
        let locator = bytes(file, locator, END_64_LOCATOR)?;
        if locator.starts_with(b"PK\x06\x07") {
            let record = bytes(file, u64_at(&locator, 8), END_64 as u64)?;
            ensure!(record.starts_with(b"PK\x06\x06"), "the archive's end is damaged");
            (size, place) = (u64_at(&record, 40), u64_at(&record, 48));
        }
    }
    ensure!(
        size <= LARGEST_DIRECTORY,
        "the archive's directory has {size} bytes: it is no file of PyTorch's"
    );
    ensure!(
        place.checked_add(size).is_some_and(|to| to <= end),
        "the archive's directory is damaged"
    );
    Ok((place, size))
}

/// The 64-bit numbers of a member, in the order of the fields that do not fit in 32 bits.
fn large(mut extra: &[u8]) -> &[u8] {
    while extra.len() >= 4 {
        let (id, len) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let Some(field) = extra.get(4..4 + len) else { break };
        if id == 1 {
            return field;
        }
        extra = &extra[4 + len..];
    }
    &[]
}

impl Archive {
    /// Reads the directory.
    ///
    /// # Errors
    /// It is damaged, or larger than a checkpoint's.
    pub fn read(file: &mut (impl Read + Seek)) -> Result<Archive> {
        let len = file.seek(SeekFrom::End(0))?;
        let (place, size) = directory(file, len)?;
        let all = bytes(file, place, size)?;
        let mut members = HashMap::new();
        let mut rest = &all[..];
        while !rest.is_empty() {
            let damaged = "the archive's directory is damaged";
            ensure!(rest.len() >= CENTRAL && rest.starts_with(b"PK\x01\x02"), damaged);
            let (name, extra) = (usize::from(u16_at(rest, 28)), usize::from(u16_at(rest, 30)));
            let after = CENTRAL + name + extra + usize::from(u16_at(rest, 32));
            ensure!(after <= rest.len(), damaged);
            let text = String::from_utf8_lossy(&rest[CENTRAL..CENTRAL + name]).into();
            let mut large = large(&rest[CENTRAL + name..CENTRAL + name + extra]);
            let mut number = |at: usize| match u32_at(rest, at) {
                u32::MAX => {
                    let (now, later) = large.split_at_checked(8).context(damaged)?;
                    large = later;
                    Ok(u64_at(now, 0))
                }
                n => anyhow::Ok(u64::from(n)),
            };
            let (size, _compressed, header) = (number(24)?, number(20)?, number(42)?);
            let (encrypted, method) = (u16_at(rest, 8) & 1 == 1, u16_at(rest, 10));
            let member = Member {
                header,
                size,
                stored: method == 0 && !encrypted,
            };
            members.insert(text, member);
            rest = &rest[after..];
        }
        Ok(Archive { members, len })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(|n| &**n)
    }

    pub fn find(&self, name: &str) -> Option<Member> {
        self.members.get(name).copied()
    }

    /// The offset of a member's contents.
    ///
    /// # Errors
    /// They are compressed, or extend past the file.
    pub fn place(&self, file: &mut (impl Read + Seek), member: Member) -> Result<u64> {
        if !member.stored {
            bail!("the archive is compressed, as PyTorch's never are: unpack it, or save the weights again");
        }
        let local = bytes(file, member.header, LOCAL as u64)?;
        ensure!(local.starts_with(b"PK\x03\x04"), "the archive is damaged");
        let skip = LOCAL as u64 + u64::from(u16_at(&local, 26)) + u64::from(u16_at(&local, 28));
        let place = member.header + skip;
        let end = place.checked_add(member.size).filter(|end| *end <= self.len);
        end.context("the archive is cut short")?;
        Ok(place)
    }
}
