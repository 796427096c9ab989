//! Python's pickle, read as data: values and the calls that Python would make, none of which is executed.
//!
//! Untrusted input: memory while reading is bounded ([`machine`]), whatever the file contains.

mod machine;
mod opcode;
mod read;

use anyhow::Result;
use std::io::Read;
use std::sync::Arc;

/// A value's index in a [`Pickle`].
pub(super) type Id = u32;

/// A value of a pickle.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// Its value is not needed.
    Float,
    /// An integer too long to be needed.
    Huge,
    /// Bytes, or a text that is too long for a name or not UTF-8: where they begin, counted from the pickle's first byte, and
    /// how many they are. They are not kept.
    Data {
        at: u64,
        len: u64,
    },
    /// An integer of 9 to 16 bytes, little-endian.
    Long(Box<[u8]>),
    Text(Arc<str>),
    Tuple(Box<[Id]>),
    List(Vec<Id>),
    /// Also an `OrderedDict`.
    Dict(Vec<(Id, Id)>),
    /// A class or function, `module name`.
    Global(Arc<str>),
    /// A call of a class or function, which is not executed, and the state that its result would be given.
    Call {
        function: Id,
        args: Id,
        state: Id,
    },
    /// An object stored outside of the pickle, under this name.
    Persistent(Id),
}

/// Shared values, which take no memory of their own.
const NOTHING: Id = 0;
const TRUE: Id = 1;
const FALSE: Id = 2;
const FLOAT: Id = 3;
const HUGE: Id = 4;
const EMPTY: Id = 5;
/// The first of the integers below [`SMALL_INTS`].
const SMALL: Id = 6;
const SMALL_INTS: i64 = 256;
const CONSTANTS: usize = SMALL as usize + SMALL_INTS as usize;

/// A parsed pickle.
#[derive(Debug)]
pub(super) struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Reads one pickle (protocols 2 to 5) up to its end, and nothing after it.
    ///
    /// # Errors
    /// It is damaged, of another protocol, or holds more than a checkpoint does.
    pub(super) fn read(from: &mut impl Read) -> Result<Pickle> {
        read::read(from)
    }

    /// All values, in the order in which they were read.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        0..self.values.len() as Id
    }

    pub(super) fn root(&self) -> Id {
        self.root
    }

    pub(super) fn get(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    pub(super) fn text(&self, id: Id) -> Option<&Arc<str>> {
        match self.get(id) {
            Value::Text(s) => Some(s),
            _ => None,
        }
    }

    pub(super) fn int(&self, id: Id) -> Option<i64> {
        match self.get(id) {
            Value::Int(n) => Some(*n),
            _ => None,
        }
    }

    /// The parts of a tuple or list.
    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(v) => Some(v),
            Value::List(v) => Some(v),
            _ => None,
        }
    }

    pub(super) fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Value::Dict(v) => Some(v),
            _ => None,
        }
    }

    /// The function's name and the arguments of a call.
    pub(super) fn call(&self, id: Id) -> Option<(&str, &[Id])> {
        let Value::Call { function, args, .. } = self.get(id) else {
            return None;
        };
        match self.get(*function) {
            Value::Global(name) => Some((name, self.items(*args)?)),
            _ => None,
        }
    }

    /// The state that the result of a call would be given.
    pub(super) fn state(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Call { state, .. } => self.items(*state),
            _ => None,
        }
    }

    /// A dictionary's value for a text key.
    pub(super) fn entry(&self, id: Id, key: &str) -> Option<Id> {
        self.dict(id)?
            .iter()
            .rev()
            .find(|(k, _)| self.text(*k).is_some_and(|k| &**k == key))
            .map(|(_, v)| *v)
    }
}

#[cfg(test)]
mod tests;
