use super::*;

fn printed(path: &Path) -> String {
    format!("{:#}", WeightFile::open(path).unwrap_err())
}

fn of(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.pth");
    std::fs::write(&path, bytes).unwrap();
    printed(&path)
}

#[test]
fn other_files_are_named() {
    for (bytes, hint) in [
        (&b"not weights at all"[..], "neither PyTorch's nor safetensors"),
        (b"\x80\x02}.", "not one of PyTorch's"),
        (b"\x80\x04N.", "not one of PyTorch's"),
        (b"PK\x03\x04rest", "not copied or downloaded whole"),
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1f\x8b\x08\x00", "gzip"),
    ] {
        let e = of(bytes);
        assert!(e.contains(hint), "{e}");
    }
}

/// Opening a pipe would block, reading a device would not end.
#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(printed(folder.path()).contains("a folder, not a file of weights"));
    assert!(printed(&folder.path().join("no.pth")).contains("No such file"));
    #[cfg(unix)]
    {
        let pipe = folder.path().join("pipe.pth");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        assert!(printed(&pipe).contains("a named pipe, not a file of weights"));
        assert!(printed(Path::new("/dev/zero")).contains("a device, not a file of weights"));
    }
}

/// A safetensors file of this header and this many bytes of values.
fn safetensors(header: &str, bytes: usize) -> Vec<u8> {
    let mut all = (header.len() as u64).to_le_bytes().to_vec();
    all.extend(header.as_bytes());
    all.extend(vec![0; bytes]);
    all
}

#[test]
fn headers_that_contradict_the_file_are_errors() {
    let one = |offsets: &str| format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{offsets}}}}}");
    for (header, bytes, hint) in [
        (one("[0,8]"), 7, "has 69 bytes, and its header says 70"),
        (one("[0,8]"), 9, "not copied or downloaded whole"),
        (one("[4,12]"), 12, "those up to 0 are taken"),
        (one("[8,0]"), 8, "the header is damaged"),
        ("{\"a\":1}".into(), 0, "the header is damaged"),
        ("{".into(), 0, "the header is damaged"),
        (
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\
              \"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}"
                .into(),
            12,
            "`b` has the bytes 4 to 12, and those up to 8 are taken",
        ),
    ] {
        let e = of(&safetensors(&header, bytes));
        assert!(e.contains(hint), "{header}: {e}");
    }
    let mut huge = safetensors(&one("[0,8]"), 8);
    huge[..8].copy_from_slice(&(1u64 << 40).to_le_bytes());
    assert!(of(&huge).contains("no file of safetensors"), "{}", of(&huge));
    huge[..8].copy_from_slice(&(1u64 << 20).to_le_bytes());
    assert!(of(&huge).contains("ends in its header"), "{}", of(&huge));
}

/// Unreadable tensors are listed by name, and the others are read.
#[test]
fn numbers_of_unknown_types_are_noted() {
    let header = "{\"__metadata__\":{\"format\":\"pt\"},\
                   \"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]},\
                   \"b\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[4,12]},\
                   \"c\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[12,20]}}";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    std::fs::write(&path, safetensors(header, 20)).unwrap();
    let mut file = WeightFile::open(&path).unwrap();
    let d = std::mem::take(&mut file.dictionaries).remove(0);
    assert_eq!(file.numbers(&d.tensors[0]).unwrap(), [0.0, 0.0]);
    let unread: Vec<&str> = d.unread.iter().map(|(_, why)| why.as_str()).collect();
    assert_eq!(
        unread,
        ["numbers of type `F8_E4M3` are not read", "shape [3] has 8 bytes"]
    );
}

/// An archive of members of a byte each.
fn archive(members: usize, method: zip::CompressionMethod) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for i in 0..members {
        let name = if i == 0 {
            "m/data.pkl".into()
        } else {
            format!("m/{i:0>1000}")
        };
        zip.start_file(name, options).unwrap();
        std::io::Write::write_all(&mut zip, b".").unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn archives_of_other_programs_are_refused() {
    let whole = archive(2, zip::CompressionMethod::Stored);
    assert!(of(&whole).contains("pickle"), "{}", of(&whole));
    for cut in [8, whole.len() / 2, whole.len() - 1] {
        let e = of(&whole[..cut]);
        assert!(e.contains("not copied or downloaded whole"), "{cut}: {e}");
    }
    let e = of(&archive(20_000, zip::CompressionMethod::Stored));
    assert!(e.contains("its directory is too large"), "{e}");
}
