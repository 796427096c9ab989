//! Python's pickle, read as data: values and the calls that Python would make, none of which is made.

use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::io::Read;

/// A value's place in a [`Pickle`].
pub(super) type Id = usize;

/// What a pickle holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A whole number of more than 8 bytes, little-endian.
    Long(Vec<u8>),
    Text(String),
    Bytes(Vec<u8>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Also an `OrderedDict`.
    Dict(Vec<(Id, Id)>),
    /// A class or function, `module name`.
    Global(String),
    /// A call of a class or function, which is not made.
    Call {
        function: Id,
        args: Id,
    },
    /// What is stored outside of the pickle, under this name.
    Persistent(Id),
}

/// A pickle, read.
#[derive(Debug)]
pub(super) struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Reads one pickle (protocols 2 to 5) up to its end, and nothing behind it.
    pub fn read(from: &mut impl Read) -> Result<Pickle> {
        Machine::default().run(from)
    }

    /// All values, in the order in which they were read.
    pub fn ids(&self) -> std::ops::Range<Id> {
        0..self.values.len()
    }

    pub fn root(&self) -> Id {
        self.root
    }

    pub fn get(&self, id: Id) -> &Value {
        &self.values[id]
    }

    pub fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(s) => Some(s),
            _ => None,
        }
    }

    pub fn int(&self, id: Id) -> Option<i64> {
        match self.get(id) {
            Value::Int(n) => Some(*n),
            _ => None,
        }
    }

    /// The parts of a tuple or list.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(v) | Value::List(v) => Some(v),
            _ => None,
        }
    }

    pub fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Value::Dict(v) => Some(v),
            _ => None,
        }
    }

    /// The function's name and the arguments of a call.
    pub fn call(&self, id: Id) -> Option<(&str, &[Id])> {
        let Value::Call { function, args } = self.get(id) else {
            return None;
        };
        match self.get(*function) {
            Value::Global(name) => Some((name, self.items(*args)?)),
            _ => None,
        }
    }

    /// What a dictionary has under a text.
    pub fn entry(&self, id: Id, key: &str) -> Option<Id> {
        self.dict(id)?
            .iter()
            .rev()
            .find(|(k, _)| self.text(*k) == Some(key))
            .map(|(_, v)| *v)
    }
}

/// The state while reading. Every instruction takes at least a byte of the file and adds a bounded number of values, so
/// that a small file cannot ask for much memory.
#[derive(Default)]
struct Machine {
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

const UNEXPECTED_END: &str = "the pickle ends in the middle";

fn bytes<const N: usize>(from: &mut impl Read) -> Result<[u8; N]> {
    let mut b = [0; N];
    from.read_exact(&mut b).context(UNEXPECTED_END)?;
    Ok(b)
}

fn byte(from: &mut impl Read) -> Result<u8> {
    Ok(bytes::<1>(from)?[0])
}

/// Only what is there is allocated.
fn block(from: &mut impl Read, len: u64) -> Result<Vec<u8>> {
    let mut b = vec![];
    from.take(len).read_to_end(&mut b)?;
    ensure!(b.len() as u64 == len, UNEXPECTED_END);
    Ok(b)
}

fn text(from: &mut impl Read, len: u64) -> Result<Value> {
    // Python 2 wrote strings that need not be UTF-8; none of them names a tensor.
    Ok(Value::Text(String::from_utf8_lossy(&block(from, len)?).into_owned()))
}

fn line(from: &mut impl Read) -> Result<String> {
    let mut b = vec![];
    loop {
        match byte(from)? {
            b'\n' => return String::from_utf8(b).context("a name in the pickle is not text"),
            c => b.push(c),
        }
        ensure!(b.len() < 1 << 16, "a name in the pickle has no end");
    }
}

fn long(b: Vec<u8>) -> Value {
    if b.len() > 8 {
        return Value::Long(b);
    }
    let negative = b.last().is_some_and(|v| v & 0x80 != 0);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all[..b.len()].copy_from_slice(&b);
    Value::Int(i64::from_le_bytes(all))
}

impl Machine {
    fn push(&mut self, v: Value) {
        self.stack.push(self.values.len());
        self.values.push(v);
    }

    fn pop(&mut self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        ensure!(self.stack.len() > floor, "the pickle takes a value that is not there");
        self.stack.pop().context("the pickle takes a value that is not there")
    }

    fn top(&self) -> Result<Id> {
        self.stack
            .last()
            .copied()
            .context("the pickle uses a value that is not there")
    }

    fn since_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().context("the pickle has no mark where it needs one")?;
        Ok(self.stack.split_off(mark))
    }

    fn pairs(&mut self) -> Result<Vec<(Id, Id)>> {
        let items = self.since_mark()?;
        ensure!(
            items.len().is_multiple_of(2),
            "a dictionary in the pickle has a key without value"
        );
        Ok(items.chunks_exact(2).map(|p| (p[0], p[1])).collect())
    }

    fn tuple(&mut self, n: usize) -> Result<()> {
        let mut items = vec![];
        for _ in 0..n {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Value::Tuple(items));
        Ok(())
    }

    /// Adds to the list or dictionary on top; what is added to other objects does not matter here.
    fn extend(&mut self, items: Vec<Id>) -> Result<()> {
        let at = self.top()?;
        if let Value::List(v) = &mut self.values[at] {
            v.extend(items);
        }
        Ok(())
    }

    fn set(&mut self, pairs: Vec<(Id, Id)>) -> Result<()> {
        let at = self.top()?;
        if let Value::Dict(v) = &mut self.values[at] {
            v.extend(pairs);
        }
        Ok(())
    }

    fn remember(&mut self, key: u64) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<()> {
        let id = self
            .memo
            .get(&key)
            .context("the pickle recalls a value that it has not kept")?;
        self.stack.push(*id);
        Ok(())
    }

    fn global(&mut self) -> Result<()> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (&self.values[module], &self.values[name]) {
            (Value::Text(m), Value::Text(n)) => {
                let full = format!("{m} {n}");
                self.push(Value::Global(full));
                Ok(())
            }
            _ => bail!("a class in the pickle has no name"),
        }
    }

    /// A call, with the arguments on top and the function below.
    fn call(&mut self) -> Result<()> {
        let (args, function) = (self.pop()?, self.pop()?);
        let ordered = matches!(&self.values[function], Value::Global(n) if n == "collections OrderedDict");
        if !ordered {
            self.push(Value::Call { function, args });
            return Ok(());
        }
        // `OrderedDict()`, filled afterwards, or `OrderedDict([(key, value), …])`.
        let list = |id: Id| match &self.values[id] {
            Value::Tuple(v) | Value::List(v) => v.as_slice(),
            _ => &[],
        };
        let pairs = list(args)
            .first()
            .map_or(&[][..], |of| list(*of))
            .iter()
            .filter_map(|p| match list(*p) {
                [k, v] => Some((*k, *v)),
                _ => None,
            });
        let pairs = pairs.collect();
        self.push(Value::Dict(pairs));
        Ok(())
    }

    fn run(mut self, from: &mut impl Read) -> Result<Pickle> {
        loop {
            let op = byte(from)?;
            match op {
                // PROTO, FRAME
                0x80 => {
                    let version = byte(from)?;
                    ensure!((2..=5).contains(&version), "pickles of protocol {version} are not read");
                }
                0x95 => drop(bytes::<8>(from)?),
                // MARK, POP, POP_MARK, DUP
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'2' => self.stack.push(self.top()?),
                // NONE, NEWTRUE, NEWFALSE
                b'N' => self.push(Value::None),
                0x88 => self.push(Value::Bool(true)),
                0x89 => self.push(Value::Bool(false)),
                // BININT, BININT1, BININT2, LONG1, LONG4, BINFLOAT
                b'J' => {
                    let n = i32::from_le_bytes(bytes(from)?);
                    self.push(Value::Int(n.into()));
                }
                b'K' => {
                    let n = byte(from)?;
                    self.push(Value::Int(n.into()));
                }
                b'M' => {
                    let n = u16::from_le_bytes(bytes(from)?);
                    self.push(Value::Int(n.into()));
                }
                0x8a => {
                    let len = byte(from)?;
                    self.push(long(block(from, len.into())?));
                }
                0x8b => {
                    let len = u32::from_le_bytes(bytes(from)?);
                    self.push(long(block(from, len.into())?));
                }
                b'G' => {
                    let v = f64::from_be_bytes(bytes(from)?);
                    self.push(Value::Float(v));
                }
                // SHORT_BINSTRING and SHORT_BINUNICODE, BINSTRING and BINUNICODE, BINUNICODE8
                b'U' | 0x8c => {
                    let len = byte(from)?;
                    self.push(text(from, len.into())?);
                }
                b'T' | b'X' => {
                    let len = u32::from_le_bytes(bytes(from)?);
                    self.push(text(from, len.into())?);
                }
                0x8d => {
                    let len = u64::from_le_bytes(bytes(from)?);
                    self.push(text(from, len)?);
                }
                // SHORT_BINBYTES, BINBYTES, BINBYTES8 and BYTEARRAY8
                b'C' => {
                    let len = byte(from)?;
                    self.push(Value::Bytes(block(from, len.into())?));
                }
                b'B' => {
                    let len = u32::from_le_bytes(bytes(from)?);
                    self.push(Value::Bytes(block(from, len.into())?));
                }
                0x8e | 0x96 => {
                    let len = u64::from_le_bytes(bytes(from)?);
                    self.push(Value::Bytes(block(from, len)?));
                }
                // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
                b')' => self.tuple(0)?,
                0x85..=0x87 => self.tuple(usize::from(op - 0x84))?,
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::Tuple(items));
                }
                // EMPTY_LIST and EMPTY_SET, LIST and FROZENSET, APPEND, APPENDS and ADDITEMS
                b']' | 0x8f => self.push(Value::List(vec![])),
                b'l' | 0x91 => {
                    let items = self.since_mark()?;
                    self.push(Value::List(items));
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend(vec![item])?;
                }
                b'e' | 0x90 => {
                    let items = self.since_mark()?;
                    self.extend(items)?;
                }
                // EMPTY_DICT, DICT, SETITEM, SETITEMS
                b'}' => self.push(Value::Dict(vec![])),
                b'd' => {
                    let pairs = self.pairs()?;
                    self.push(Value::Dict(pairs));
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set(vec![(key, value)])?;
                }
                b'u' => {
                    let pairs = self.pairs()?;
                    self.set(pairs)?;
                }
                // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
                b'q' => {
                    let key = byte(from)?;
                    self.remember(key.into())?;
                }
                b'r' => {
                    let key = u32::from_le_bytes(bytes(from)?);
                    self.remember(key.into())?;
                }
                0x94 => self.remember(self.memo.len() as u64)?,
                b'h' => {
                    let key = byte(from)?;
                    self.recall(key.into())?;
                }
                b'j' => {
                    let key = u32::from_le_bytes(bytes(from)?);
                    self.recall(key.into())?;
                }
                // GLOBAL, STACK_GLOBAL
                b'c' => {
                    let (module, name) = (line(from)?, line(from)?);
                    self.push(Value::Global(format!("{module} {name}")));
                }
                0x93 => self.global()?,
                // REDUCE and NEWOBJ, NEWOBJ_EX, BUILD, BINPERSID
                b'R' | 0x81 => self.call()?,
                0x92 => {
                    self.pop()?;
                    self.call()?;
                }
                b'b' => drop(self.pop()?),
                b'Q' => {
                    let id = self.pop()?;
                    self.push(Value::Persistent(id));
                }
                // STOP
                b'.' => {
                    let root = self.pop()?;
                    return Ok(Pickle {
                        values: self.values,
                        root,
                    });
                }
                _ => bail!("instruction 0x{op:02x} of the pickle is not known"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(b: &[u8]) -> Result<Pickle> {
        Pickle::read(&mut &b[..])
    }

    #[test]
    fn values_are_read() {
        // pickle.dumps({"a": (1, -2, 300), "b": [None, True, 1.5]}, protocol=2)
        let p = read(b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01J\xfe\xff\xff\xffM,\x01\x87q\x02X\x01\x00\x00\x00bq\x03]q\x04(N\x88G?\xf8\x00\x00\x00\x00\x00\x00eu.").unwrap();
        let a = p.items(p.entry(p.root(), "a").unwrap()).unwrap();
        assert_eq!(a.iter().map(|i| p.int(*i).unwrap()).collect::<Vec<_>>(), [1, -2, 300]);
        let b = p.items(p.entry(p.root(), "b").unwrap()).unwrap();
        assert_eq!(
            b.iter().map(|i| p.get(*i).clone()).collect::<Vec<_>>(),
            [Value::None, Value::Bool(true), Value::Float(1.5)]
        );
    }

    #[test]
    fn calls_are_kept_and_not_made() {
        // What `os.system("false")` looks like in a pickle.
        let p = read(b"\x80\x02cos\nsystem\nX\x05\x00\x00\x00false\x85R.").unwrap();
        let (name, args) = p.call(p.root()).unwrap();
        assert_eq!((name, p.text(args[0])), ("os system", Some("false")));
    }

    #[test]
    fn an_ordered_dictionary_is_a_dictionary() {
        let p = read(b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00xK\x07s}b.").unwrap();
        assert_eq!(p.int(p.entry(p.root(), "x").unwrap()), Some(7));
    }

    #[test]
    fn large_numbers_keep_their_bytes() {
        let p = read(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.").unwrap();
        assert_eq!(p.get(p.root()), &Value::Long(b"l\xfc\x9cF\xf9 j\xa8P\x19".to_vec()));
        let p = read(b"\x80\x02\x8a\x02\x00\xff.").unwrap();
        assert_eq!(p.int(p.root()), Some(-256));
    }

    #[test]
    fn damage_is_an_error() {
        for bad in [
            &b""[..],
            b"\x80\x02",
            b"\x80\x02.",
            b"\x80\x02(.",
            b"\x80\x02t.",
            b"\x80\x02h\x05.",
            b"\x80\x02X\xff\xff\xff\x7fabc.",
            b"\x80\x02(K\x01u.",
            b"\x80\x01N.",
            b"\x80\x02\xf0.",
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(b in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&b);
        }

        /// Instructions alone reach further than bytes drawn at random.
        #[test]
        fn no_instructions_make_it_panic(ops in prop::collection::vec(prop::sample::select(
            b"(012N\x88\x89)\x85\x86\x87t]la}dsu\x90\x91\x94\x93R\x81\x92bQe.".to_vec()), 0..60)) {
            let _ = read(&ops);
        }
    }
}
