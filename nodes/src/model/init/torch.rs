//! The dictionaries of tensors in a PyTorch pickle: a state dictionary, plain or anywhere inside a checkpoint.

use super::entry::{DType, Entry, Storage};
use super::pickle::{Id, Pickle, Value};
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashSet;
use std::sync::Arc;

/// The tensors of one dictionary.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    /// The keys that lead to it, such as `state_dict`; empty at the top of the file.
    pub path: String,
    pub tensors: Vec<Entry>,
    /// Tensors that cannot be read, with the reason.
    pub unread: Vec<(Arc<str>, String)>,
}

/// Maximum tensors of all dictionaries together; a network of 100 layers has some 600.
pub(super) const MOST_TENSORS: usize = 1 << 17;
/// Maximum dictionaries with tensors, and maximum dictionaries examined inside one.
const MOST_DICTIONARIES: usize = 256;
/// Maximum bytes of the keys that lead to a dictionary.
const LONGEST_PATH: usize = 1024;
/// Maximum depth of dictionaries: `model`, `state_dict`, `ema` nested, and some more.
const DEEPEST: usize = 5;

/// All dictionaries that contain tensors, the outer ones first.
///
/// # Errors
/// There is none, or there are more tensors than networks have.
pub(super) fn dictionaries(p: &Pickle) -> Result<Vec<Dictionary>> {
    let root = p.root();
    if p.call(root).is_some() {
        bail!("the file holds a whole Python object, not a state dictionary: save `model.state_dict()` instead");
    }
    let (found, objects) = dictionaries_of(p, tensor)?;
    if !found.is_empty() {
        return Ok(found);
    }
    match objects.first() {
        Some(name) => bail!(
            "`{name}` in the file is a whole Python object, not a state dictionary: save `model.state_dict()` instead"
        ),
        None if p.dict(root).is_none() => bail!("the file holds no state dictionary"),
        None => bail!("the file holds no tensors, neither at its top nor in a dictionary there"),
    }
}

/// As [`dictionaries`], of a file that may hold a single tensor.
///
/// # Errors
/// There is neither.
pub(super) fn tensors(p: &Pickle) -> Result<Vec<Dictionary>> {
    match tensor(p, &"".into(), p.root())? {
        Some(one) => Ok(vec![Dictionary {
            tensors: vec![one],
            ..Dictionary::default()
        }]),
        None => dictionaries(p),
    }
}

/// The tensor that a value stands for, if it is one.
pub(super) type Rebuild = fn(&Pickle, &Arc<str>, Id) -> Result<Option<Entry>>;

/// All dictionaries with values that `rebuild` makes tensors of, and where objects of unknown classes are.
pub(super) fn dictionaries_of(p: &Pickle, rebuild: Rebuild) -> Result<(Vec<Dictionary>, Vec<String>)> {
    let mut search = Search {
        p,
        rebuild,
        seen: HashSet::new(),
        found: vec![],
        count: 0,
        objects: vec![],
    };
    search.visit(p.root(), "", 0)?;
    Ok((search.found, search.objects))
}

struct Search<'a> {
    p: &'a Pickle,
    rebuild: Rebuild,
    seen: HashSet<Id>,
    found: Vec<Dictionary>,
    count: usize,
    /// The positions of objects of unknown classes.
    objects: Vec<String>,
}

impl Search<'_> {
    fn visit(&mut self, id: Id, path: &str, depth: usize) -> Result<()> {
        if depth > DEEPEST || path.len() > LONGEST_PATH || !self.seen.insert(id) {
            return Ok(());
        }
        let below = |key: &str| match path {
            "" => key.to_string(),
            _ => format!("{path}.{key}"),
        };
        let mut inner: Vec<(String, Id)> = vec![];
        let mut own = Dictionary {
            path: path.to_string(),
            ..Dictionary::default()
        };
        for (key, value) in self.p.dict(id).unwrap_or(&[]) {
            let Some(name) = self.p.text(*key) else { continue };
            match self.p.get(*value) {
                Value::Dict(_) | Value::List(_) | Value::Tuple(_)
                    if inner.len() < MOST_DICTIONARIES && !self.seen.contains(value) =>
                {
                    inner.push((below(name), *value));
                }
                Value::Call { .. } => self.object(name, *value, &below, &mut own)?,
                _ => {}
            }
        }
        // Several dictionaries in a list or tuple; longer ones do not occur in checkpoints.
        if let Value::List(_) | Value::Tuple(_) = self.p.get(id) {
            let items = self.p.items(id).unwrap_or(&[]).iter().take(16).enumerate();
            inner.extend(items.map(|(i, item)| (below(&i.to_string()), *item)));
        }
        if !own.tensors.is_empty() || !own.unread.is_empty() {
            ensure!(
                self.found.len() < MOST_DICTIONARIES,
                "the file has more than {MOST_DICTIONARIES} dictionaries of tensors: it is no network's"
            );
            self.found.push(own);
        }
        for (path, id) in inner {
            self.visit(id, &path, depth + 1)?;
        }
        Ok(())
    }

    fn object(
        &mut self,
        name: &Arc<str>,
        value: Id,
        below: &impl Fn(&str) -> String,
        own: &mut Dictionary,
    ) -> Result<()> {
        match (self.rebuild)(self.p, name, value) {
            Ok(None) => {
                let class = self.p.call(value).map_or("", |(class, _)| class);
                let known = ["numpy", "torch", "collections", "_codecs", "argparse"];
                if !class.is_empty() && !known.iter().any(|k| class.starts_with(k)) && self.objects.len() < 4 {
                    self.objects.push(below(name));
                }
                return Ok(());
            }
            Ok(Some(entry)) => own.tensors.push(entry),
            // The text it quotes from the file may be long.
            Err(e) => own
                .unread
                .push((name.clone(), format!("{e:#}").chars().take(200).collect())),
        }
        self.count += 1;
        ensure!(
            self.count <= MOST_TENSORS,
            "the file has more than {MOST_TENSORS} tensors: it is no network's"
        );
        Ok(())
    }
}

/// The tensor that a call would rebuild; `None` if the value is something else.
fn tensor(p: &Pickle, name: &Arc<str>, id: Id) -> Result<Option<Entry>> {
    let Some((function, args)) = p.call(id) else {
        return Ok(None);
    };
    let args = match (function, args) {
        ("torch._utils _rebuild_tensor_v2" | "torch._utils _rebuild_tensor", args) => args,
        ("torch._utils _rebuild_parameter" | "torch._utils _rebuild_parameter_with_state", [inner, ..]) => {
            match p.call(*inner) {
                Some(("torch._utils _rebuild_tensor_v2" | "torch._utils _rebuild_tensor", args)) => args,
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    let [storage, offset, shape, stride, ..] = args else {
        bail!("it has {} of the 4 parts that it needs", args.len());
    };
    let list = |id: Id| {
        let items = p.items(id).context("a shape is no list")?;
        // More axes are rejected anyway.
        items.iter().take(16).map(|i| whole(p, *i)).collect::<Result<Vec<_>>>()
    };
    let (storage, view) = self::storage(p, *storage)?;
    let entry = Entry {
        name: name.clone(),
        shape: list(*shape)?,
        offset: whole(p, *offset)?.checked_add(view).context("an offset is too large")?,
        stride: list(*stride)?,
        storage,
    };
    entry.check()?;
    Ok(Some(entry))
}

pub(super) fn whole(p: &Pickle, id: Id) -> Result<usize> {
    p.int(id)
        .and_then(|n| usize::try_from(n).ok())
        .context("a size is no whole number")
}

/// A storage, and the offset of a view of it (old files have such views).
fn storage(p: &Pickle, id: Id) -> Result<(Storage, usize)> {
    let Value::Persistent(parts) = p.get(id) else {
        bail!("its numbers are not in a storage");
    };
    let parts = p.items(*parts).context("its storage has no parts")?;
    let [kind, class, key, _location, len, rest @ ..] = parts else {
        bail!("its storage has {} of the 5 parts that it needs", parts.len());
    };
    let is_storage = p.text(*kind).is_some_and(|k| &**k == "storage");
    ensure!(is_storage, "its numbers are not in a storage");
    let Value::Global(class) = p.get(*class) else {
        bail!("its storage has no type");
    };
    let name = class.rsplit(' ').next().unwrap_or(class);
    let dtype = DType::of_storage(name).with_context(|| format!("numbers of type `{name}` are not read"))?;
    let view = match rest.first().and_then(|v| p.items(*v)) {
        Some([_, offset, ..]) => whole(p, *offset)?,
        _ => 0,
    };
    Ok((
        Storage {
            key: p.text(*key).context("its storage has no name")?.clone(),
            dtype,
            len: whole(p, *len)?,
        },
        view,
    ))
}

/// All storages that a pickle refers to, whether a state dictionary needs them or not.
pub(super) fn storages(p: &Pickle) -> impl Iterator<Item = Storage> {
    p.ids().filter_map(move |id| storage(p, id).ok()).map(|(s, _)| s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &str) -> Vec<u8> {
        [&b"X"[..], &(s.len() as u32).to_le_bytes(), s.as_bytes()].concat()
    }

    /// A tensor of two values of this storage.
    fn tensor(class: &str, key: &str) -> Vec<u8> {
        [
            &b"ctorch._utils\n_rebuild_tensor_v2\n(("[..],
            &text("storage"),
            format!("ctorch\n{class}\n").as_bytes(),
            &text(key),
            &text("cpu"),
            b"K\x02tQK\x00K\x02\x85K\x01\x85tR",
        ]
        .concat()
    }

    fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let inside = entries.iter().flat_map(|(k, v)| [text(k), v.clone()].concat());
        [b"}(".to_vec(), inside.collect(), b"u".to_vec()].concat()
    }

    fn found(object: &[u8]) -> Result<Vec<Dictionary>> {
        let bytes = [b"\x80\x02", object, b"."].concat();
        dictionaries(&Pickle::read(&mut &bytes[..])?)
    }

    fn names(object: &[u8]) -> Vec<(String, Vec<String>)> {
        let all = found(object).unwrap().into_iter();
        all.map(|d| (d.path, d.tensors.iter().map(|t| t.name.to_string()).collect()))
            .collect()
    }

    fn f32s() -> Vec<u8> {
        tensor("FloatStorage", "0")
    }

    #[test]
    fn all_dictionaries_of_a_checkpoint_are_found() {
        let weights = || dict(&[("conv1.weight", f32s())]);
        let checkpoint = dict(&[
            ("epoch", b"K\x07".to_vec()),
            ("best_acc1", f32s()),
            ("state_dict", weights()),
            ("ema", dict(&[("module", weights()), ("decay", b"K\x01".to_vec())])),
            ("optimizer", dict(&[("state", b"}".to_vec())])),
            ("pair", [b"(".to_vec(), weights(), weights(), b"t".to_vec()].concat()),
        ]);
        let one = |path: &str| (path.to_string(), vec!["conv1.weight".to_string()]);
        assert_eq!(
            names(&checkpoint),
            [
                (String::new(), vec!["best_acc1".to_string()]),
                one("state_dict"),
                one("ema.module"),
                one("pair.0"),
                one("pair.1")
            ]
        );
        assert_eq!(names(&weights()), [one("")]);
    }

    #[test]
    fn a_dictionary_under_two_keys_is_one() {
        let twice = [
            &b"}("[..],
            &text("a"),
            &dict(&[("w", f32s())]),
            b"q\x00",
            &text("b"),
            b"h\x00u",
        ]
        .concat();
        assert_eq!(names(&twice).len(), 1);
    }

    /// A tensor of an unsupported type is only an error if it is needed.
    #[test]
    fn what_cannot_be_read_is_noted() {
        let all = dict(&[("a", tensor("ComplexFloatStorage", "0")), ("b", f32s())]);
        let d = found(&all).unwrap().remove(0);
        assert_eq!((d.tensors.len(), d.unread.len()), (1, 1));
        assert_eq!(d.unread[0].1, "numbers of type `ComplexFloatStorage` are not read");
    }

    #[test]
    fn objects_are_no_dictionaries() {
        let object = || b"cmodels\nNet\n)\x81".to_vec();
        for (bytes, printed) in [
            (object(), "holds a whole Python object"),
            (
                dict(&[("epoch", b"K\x01".to_vec()), ("model", object())]),
                "`model` in the file is a whole Python object",
            ),
            (b"K\x01".to_vec(), "no state dictionary"),
            (b"}".to_vec(), "no tensors"),
        ] {
            let e = found(&bytes).unwrap_err().to_string();
            assert!(e.contains(printed), "{e}");
        }
    }

    /// Bounds hold whatever a file repeats: each of these would be gigabytes of names.
    #[test]
    fn more_than_networks_have_is_an_error() {
        let tensor = [f32s(), b"q\x000".to_vec()].concat();
        let many = [
            tensor,
            b"}(".to_vec(),
            b"U\x01ah\x00".repeat(MOST_TENSORS + 1),
            b"u".to_vec(),
        ]
        .concat();
        let e = found(&many).unwrap_err().to_string();
        assert!(e.contains("more than 131072 tensors"), "{e}");
        let inner = b"U\x01a}U\x01wh\x00s".repeat(300);
        let mut groups = vec![];
        for _ in 0..2 {
            groups.extend([text("g"), b"}(".to_vec(), inner.clone(), b"u".to_vec()].concat());
        }
        let many = [f32s(), b"q\x000}(".to_vec(), groups, b"u".to_vec()].concat();
        let e = found(&many).unwrap_err().to_string();
        assert!(e.contains("more than 256 dictionaries"), "{e}");
    }
}
