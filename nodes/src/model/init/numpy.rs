//! NumPy's arrays in a pickle, found as data: nothing is executed.
//!
//! An array is a call that rebuilds it. Up to protocol 4 that is `_reconstruct`, whose result is given a state (version,
//! shape, type, order, bytes); from protocol 5 on it may be `_frombuffer` (bytes, type, shape, order).

use super::entry::{Entry, Storage};
use super::npy::{dtype, shown, strides};
use super::pickle::{Id, Pickle, Value};
use super::torch::{Dictionary, dictionaries_of, whole};
use anyhow::{Context, Result, bail, ensure};
use std::sync::Arc;

/// All arrays of a pickle: the one that it is, or those of its dictionaries.
///
/// # Errors
/// There is none.
pub(super) fn arrays(p: &Pickle) -> Result<Vec<Dictionary>> {
    if let Some(one) = array(p, &"".into(), p.root())? {
        return Ok(vec![Dictionary {
            tensors: vec![one],
            ..Dictionary::default()
        }]);
    }
    let (found, objects) = dictionaries_of(p, array)?;
    match (found.is_empty(), p.call(p.root()), objects.first()) {
        (false, ..) => Ok(found),
        (true, Some((class, _)), _) => bail!(
            "the pickle holds a Python object (`{}`): only arrays of NumPy are read, and dictionaries of them",
            shown(class)
        ),
        (true, None, Some(name)) => bail!(
            "`{}` in the pickle is a Python object: only arrays of NumPy are read, and dictionaries of them",
            shown(name)
        ),
        (true, None, None) => bail!("the pickle holds no array of NumPy, neither as a whole nor in a dictionary"),
    }
}

/// The array that a call would rebuild; `None` if the value is something else.
fn array(p: &Pickle, name: &Arc<str>, id: Id) -> Result<Option<Entry>> {
    let Some((function, args)) = p.call(id) else {
        return Ok(None);
    };
    let (shape, of, fortran, data) = match function {
        "numpy.core.multiarray _reconstruct" | "numpy._core.multiarray _reconstruct" => {
            let Some([_, shape, of, fortran, data]) = p.state(id) else {
                bail!("the array has no numbers");
            };
            (
                shape,
                of,
                *p.get(*fortran) != Value::Bool(false) && p.int(*fortran) != Some(0),
                data,
            )
        }
        "numpy.core.numeric _frombuffer" | "numpy._core.numeric _frombuffer" => {
            let [data, of, shape, order] = args else {
                bail!("the array has {} of the 4 parts that it needs", args.len());
            };
            (shape, of, p.text(*order).is_some_and(|o| &**o == "F"), data)
        }
        _ => return Ok(None),
    };
    let sizes = p.items(*shape).context("a shape is no list")?;
    // More axes are rejected anyway.
    let shape = sizes
        .iter()
        .take(16)
        .map(|i| whole(p, *i))
        .collect::<Result<Vec<_>>>()?;
    let dtype = dtype(&number_type(p, *of)?)?;
    let Value::Data { at, len } = *p.get(*data) else {
        bail!(
            "its numbers are written as text (protocol 2, or an array of objects): save it again with \
             `numpy.save`, or as numbers with `pickle.dump(…, protocol=4)`"
        );
    };
    let numbers = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    let bytes = numbers.and_then(|n| n.checked_mul(dtype.size()));
    ensure!(
        bytes.is_some_and(|n| n as u64 == len),
        "shape {shape:?} has {len} bytes"
    );
    let entry = Entry {
        name: name.clone(),
        stride: strides(&shape, fortran)?,
        storage: Storage {
            key: at.to_string().into(),
            dtype,
            len: len as usize / dtype.size(),
        },
        shape,
        offset: 0,
    };
    entry.check()?;
    Ok(Some(entry))
}

/// The code of a type with its byte order, such as `<f4`.
fn number_type(p: &Pickle, id: Id) -> Result<String> {
    let Some(("numpy dtype", [code, ..])) = p.call(id) else {
        bail!("the array has no type of numbers");
    };
    let code = p.text(*code).context("the array has no type of numbers")?;
    let order = p.state(id).and_then(|s| p.text(*s.get(1)?));
    Ok(format!("{}{}", order.map_or("<", |o| o), shown(code)))
}
