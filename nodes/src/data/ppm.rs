//! Images in files of the simplest kind (binary PPM), which every viewer shows, with a hash of their pixels in a comment.

use crate::contract::Frame;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Writes an image, whole or not at all. The folder is made if need be.
pub(super) fn write(path: &Path, frame: &Frame) -> Result<()> {
    let attempt = || -> Result<()> {
        let folder = path.parent().context("it has no folder")?;
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)?;
        let Frame { width, height, data } = frame;
        write!(file, "P6\n{}\n{width} {height}\n255\n", sum(data))?;
        file.write_all(data)?;
        file.persist(path)?;
        Ok(())
    };
    attempt().with_context(|| format!("{}: cannot write the image", path.display()))
}

/// The comment with the hash.
fn sum(data: &[u8]) -> String {
    format!("# blake3 {}", &blake3::hash(data).to_hex()[..32])
}

/// Reads an image that [`write`] wrote.
pub(super) fn read(path: &Path) -> Result<Frame> {
    let attempt = || -> Result<Frame> {
        let mut bytes = glad_video::read_bytes(path)?;
        let mut at = 0;
        let mut line = || -> Result<String> {
            let rest = bytes.get(at..).unwrap_or_default();
            let end = rest
                .iter()
                .take(64)
                .position(|b| *b == b'\n')
                .context("it is cut short")?;
            at += end + 1;
            Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
        };
        let (kind, recorded, size, depth) = (line()?, line()?, line()?, line()?);
        let Some((width, height)) = size.split_once(' ').filter(|_| kind == "P6" && depth == "255") else {
            bail!("it is no image of 8-bit RGB");
        };
        let (width, height): (usize, usize) = (width.parse()?, height.parse()?);
        let wanted = width.checked_mul(height).and_then(|n| n.checked_mul(3));
        ensure!(wanted == Some(bytes.len() - at), "it is not as long as it should be");
        bytes.drain(..at);
        ensure!(recorded == sum(&bytes), "its pixels are not those that were written");
        Ok(Frame {
            width,
            height,
            data: Arc::new(bytes),
        })
    };
    attempt().with_context(|| format!("{}: cannot read the image", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.ppm");
        let frame = Frame {
            width: 3,
            height: 2,
            data: Arc::new((0..18).map(|i| i * 14).collect()),
        };
        write(&path, &frame).unwrap();
        assert_eq!(read(&path).unwrap(), frame);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn damage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.ppm");
        for bytes in [
            &b"P6\n#\n2 1\n255\n12345"[..],
            b"P6\n#\n2 1\n255\n1234567",
            b"P6\n#\n2 1\n",
            b"P5\n#\n2 1\n255\n123456",
            b"P6\n# blake3 0\n2 1\n255\n123456",
            b"P6\n#\n99999999999999999999 1\n255\n",
            b"P6\n#\n9999999999999 9999999999\n255\n",
            b"",
        ] {
            fs::write(&path, bytes).unwrap();
            let e = format!("{:#}", read(&path).unwrap_err());
            assert!(e.contains("b.ppm: cannot read"), "{e}");
        }
    }
}
