//! Files of weights: what tensors there are, and their numbers.

use super::pickle::{Pickle, Value};
use super::torch::{self, DType, Entry, Storage};
use anyhow::{Context, Result, bail, ensure};
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use zip::ZipArchive;

/// An open file of weights.
pub(super) struct WeightFile {
    pub tensors: Vec<Entry>,
    source: Source,
}

enum Source {
    /// PyTorch 1.6 and later: an archive with the pickle and a file for every storage.
    Zip {
        archive: Box<ZipArchive<BufReader<File>>>,
        prefix: String,
    },
    /// Earlier: pickles one behind the other, and the storages behind them.
    Legacy {
        file: BufReader<File>,
        /// Where the bytes of each storage begin.
        places: HashMap<String, u64>,
    },
    Safetensors(Vec<u8>),
}

/// The number that legacy files begin with, as a pickled whole number.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const LEGACY_PROTOCOL: i64 = 1001;
/// Pickles of checkpoints have some bytes for every tensor; this is far beyond.
const LARGEST_PICKLE: u64 = 1 << 28;

impl WeightFile {
    /// Opens a file, whatever its name ends in.
    ///
    /// # Errors
    /// It cannot be read, or is none of the formats, or its contents contradict themselves.
    pub fn open(path: &Path) -> Result<WeightFile> {
        let mut file = glad_video::open_file(path)?;
        let mut head = vec![];
        Read::by_ref(&mut file).take(9).read_to_end(&mut head)?;
        file.seek(SeekFrom::Start(0))?;
        if head.starts_with(b"PK") {
            Self::zip(file)
        } else if head.starts_with(&[0x80, 2]) {
            Self::legacy(file)
        } else if head.get(8) == Some(&b'{') {
            let mut bytes = vec![];
            file.read_to_end(&mut bytes)?;
            Self::safetensors(bytes)
        } else {
            bail!("the file is neither PyTorch's nor safetensors");
        }
    }

    fn zip(file: File) -> Result<WeightFile> {
        let mut archive = ZipArchive::new(BufReader::new(file))?;
        let found = archive
            .file_names()
            .flatten()
            .find(|n| *n == "data.pkl" || n.ends_with("/data.pkl"));
        let pickle = found
            .context("the archive has no data.pkl: it is no file of PyTorch's")?
            .into_owned();
        let prefix = pickle.trim_end_matches("data.pkl").to_string();
        if let Ok(mut order) = archive.by_name(&format!("{prefix}byteorder")) {
            let mut text = String::new();
            Read::by_ref(&mut order).take(16).read_to_string(&mut text)?;
            ensure!(text == "little", "numbers in the byte order `{text}` are not read");
        }
        let p = {
            let entry = archive.by_name(&pickle)?;
            Pickle::read(&mut BufReader::new(entry.take(LARGEST_PICKLE)))?
        };
        Ok(WeightFile {
            tensors: torch::tensors(&p)?,
            source: Source::Zip {
                archive: Box::new(archive),
                prefix,
            },
        })
    }

    fn legacy(file: File) -> Result<WeightFile> {
        let len = file.metadata()?.len();
        let mut file = BufReader::new(file);
        let magic = Pickle::read(&mut file)?;
        let is_legacy = magic.get(magic.root()) == &Value::Long(LEGACY_MAGIC.to_vec());
        ensure!(is_legacy, "the file is a pickle, but not one of PyTorch's");
        let version = Pickle::read(&mut file)?;
        let version = version.int(version.root());
        ensure!(
            version == Some(LEGACY_PROTOCOL),
            "the file is of a version of PyTorch's format that is not read"
        );
        let system = Pickle::read(&mut file)?;
        let little = system.entry(system.root(), "little_endian").map(|v| system.get(v));
        ensure!(
            little != Some(&Value::Bool(false)),
            "numbers in big-endian order are not read"
        );
        let object = Pickle::read(&mut file)?;
        let tensors = torch::tensors(&object)?;
        let storages: HashMap<String, Storage> = torch::storages(&object)
            .into_iter()
            .map(|s| (s.key.clone(), s))
            .collect();
        let keys = Pickle::read(&mut file)?;
        let mut places = HashMap::new();
        for key in keys.items(keys.root()).context("the file names no storages")? {
            let key = keys.text(*key).context("a storage has no name")?;
            let storage = storages
                .get(key)
                .with_context(|| format!("storage `{key}` is of a type that is not read"))?;
            let mut numbers = [0; 8];
            file.read_exact(&mut numbers)
                .context("the file ends before its storages do")?;
            let numbers = u64::from_le_bytes(numbers);
            ensure!(
                numbers == storage.len as u64,
                "storage `{key}` has {numbers} numbers, and its tensors say {}",
                storage.len
            );
            let at = file.stream_position()?;
            let end = numbers
                .checked_mul(storage.dtype.size() as u64)
                .and_then(|n| n.checked_add(at));
            let end = end
                .filter(|end| *end <= len)
                .context("the file ends before its storages do")?;
            places.insert(key.to_string(), at);
            file.seek(SeekFrom::Start(end))?;
        }
        Ok(WeightFile {
            tensors,
            source: Source::Legacy { file, places },
        })
    }

    fn safetensors(bytes: Vec<u8>) -> Result<WeightFile> {
        let (header, metadata) = SafeTensors::read_metadata(&bytes)?;
        let mut tensors = vec![];
        for (name, info) in metadata.tensors() {
            // Numbers of other types name no weights.
            let Some(dtype) = number_type(info.dtype) else {
                continue;
            };
            let (start, end) = info.data_offsets;
            let len = (end - start) / dtype.size();
            let mut stride = vec![1; info.shape.len()];
            for d in (1..stride.len()).rev() {
                stride[d - 1] = stride[d] * info.shape[d];
            }
            tensors.push(Entry {
                name,
                shape: info.shape.clone(),
                storage: Storage {
                    key: (8 + header + start).to_string(),
                    dtype,
                    len,
                },
                offset: 0,
                stride,
            });
        }
        // The format keeps no order.
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(WeightFile {
            tensors,
            source: Source::Safetensors(bytes),
        })
    }

    /// The numbers of a tensor, in row-major order.
    ///
    /// # Errors
    /// The file cannot be read, or is cut short.
    pub fn numbers(&mut self, index: usize) -> Result<Vec<f32>> {
        let entry = &self.tensors[index];
        let Storage { key, dtype, len } = &entry.storage;
        let size = (len * dtype.size()) as u64;
        let mut bytes = vec![];
        match &mut self.source {
            Source::Zip { archive, prefix } => {
                let file = archive
                    .by_name(&format!("{prefix}data/{key}"))
                    .with_context(|| format!("the archive has no storage `{key}`"))?;
                file.take(size).read_to_end(&mut bytes)?;
            }
            Source::Legacy { file, places } => {
                let at = places
                    .get(key)
                    .with_context(|| format!("the file has no storage `{key}`"))?;
                file.seek(SeekFrom::Start(*at))?;
                file.take(size).read_to_end(&mut bytes)?;
            }
            Source::Safetensors(all) => {
                let at: usize = key.parse()?;
                return entry.numbers(all.get(at..).and_then(|b| b.get(..size as usize)).unwrap_or(&[]));
            }
        }
        entry.numbers(&bytes)
    }
}

fn number_type(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::Bf16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool,
        _ => return None,
    })
}
