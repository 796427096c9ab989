//! From bytes to values, one instruction after the other.

use super::machine::Machine;
use super::opcode::*;
use super::{FALSE, HUGE, NOTHING, Pickle, TRUE, Value};
use anyhow::{Context, Result, bail, ensure};
use std::io::Read;

/// Longer texts are not names.
const LONGEST_NAME: u64 = 1024;
/// Integers of more bytes are neither sizes nor markers.
const LONGEST_LONG: u64 = 16;

const UNEXPECTED_END: &str = "the pickle ends in the middle";

fn bytes<const N: usize>(from: &mut At<impl Read>) -> Result<[u8; N]> {
    let mut b = [0; N];
    from.read_exact(&mut b).context(UNEXPECTED_END)?;
    Ok(b)
}

fn byte(from: &mut At<impl Read>) -> Result<u8> {
    Ok(bytes::<1>(from)?[0])
}

/// A length of 1, 4 or 8 bytes.
fn length(from: &mut At<impl Read>, size: usize) -> Result<u64> {
    Ok(match size {
        1 => byte(from)?.into(),
        4 => u32::from_le_bytes(bytes(from)?).into(),
        _ => u64::from_le_bytes(bytes(from)?),
    })
}

/// Allocates only as much as can be read.
fn block(from: &mut At<impl Read>, len: u64) -> Result<Vec<u8>> {
    let mut b = vec![];
    from.take(len).read_to_end(&mut b)?;
    ensure!(b.len() as u64 == len, UNEXPECTED_END);
    Ok(b)
}

fn skip(from: &mut At<impl Read>, len: u64) -> Result<()> {
    let skipped = std::io::copy(&mut from.take(len), &mut std::io::sink())?;
    ensure!(skipped == len, UNEXPECTED_END);
    Ok(())
}

fn line(from: &mut At<impl Read>) -> Result<String> {
    let mut b = vec![];
    loop {
        match byte(from)? {
            b'\n' => return String::from_utf8(b).context("a name in the pickle is not text"),
            c => b.push(c),
        }
        ensure!(b.len() as u64 <= LONGEST_NAME, "a name in the pickle has no end");
    }
}

/// A reader that knows how many bytes it has read.
struct At<R> {
    from: R,
    at: u64,
}

impl<R: Read> Read for At<R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let n = self.from.read(to)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Reads up to the end of the pickle, and nothing after it.
pub(super) fn read(from: &mut impl Read) -> Result<Pickle> {
    let from = &mut At { from, at: 0 };
    let mut m = Machine::new();
    loop {
        let op = byte(from)?;
        match op {
            STOP => {
                let root = m.pop()?;
                return Ok(Pickle { values: m.values, root });
            }
            PROTO => {
                let version = byte(from)?;
                ensure!((2..=5).contains(&version), "pickles of protocol {version} are not read");
            }
            FRAME => drop(bytes::<8>(from)?),
            MARK | POP | POP_MARK | DUP => stack(&mut m, op)?,
            NONE | NEWTRUE | NEWFALSE | BININT | BININT1 | BININT2 | LONG1 | LONG4 | BINFLOAT => {
                number(&mut m, op, from)?;
            }
            SHORT_BINSTRING | SHORT_BINUNICODE => text(&mut m, 1, from)?,
            BINSTRING | BINUNICODE => text(&mut m, 4, from)?,
            BINUNICODE8 => text(&mut m, 8, from)?,
            SHORT_BINBYTES => data(&mut m, 1, from)?,
            BINBYTES => data(&mut m, 4, from)?,
            BINBYTES8 | BYTEARRAY8 => data(&mut m, 8, from)?,
            EMPTY_TUPLE | TUPLE1..=TUPLE3 | TUPLE => tuple(&mut m, op)?,
            EMPTY_LIST | EMPTY_SET | LIST | FROZENSET | APPEND | APPENDS | ADDITEMS => list(&mut m, op)?,
            EMPTY_DICT | DICT | SETITEM | SETITEMS => dict(&mut m, op)?,
            BINPUT | LONG_BINPUT | MEMOIZE | BINGET | LONG_BINGET => memo(&mut m, op, from)?,
            GLOBAL | STACK_GLOBAL | REDUCE | NEWOBJ | NEWOBJ_EX | BUILD | BINPERSID => object(&mut m, op, from)?,
            _ => bail!("instruction 0x{op:02x} of the pickle is not known"),
        }
    }
}

fn stack(m: &mut Machine, op: u8) -> Result<()> {
    match op {
        MARK => m.mark(),
        POP => m.pop().map(drop),
        POP_MARK => m.since_mark().map(drop),
        _ => {
            let top = m.top()?;
            m.push_id(top)
        }
    }
}

fn number(m: &mut Machine, op: u8, from: &mut At<impl Read>) -> Result<()> {
    match op {
        NONE => m.push_id(NOTHING),
        NEWTRUE => m.push_id(TRUE),
        NEWFALSE => m.push_id(FALSE),
        BININT => m.push_int(i32::from_le_bytes(bytes(from)?).into()),
        BININT1 => m.push_int(byte(from)?.into()),
        BININT2 => m.push_int(u16::from_le_bytes(bytes(from)?).into()),
        BINFLOAT => {
            bytes::<8>(from)?;
            m.push_float()
        }
        _ => {
            let len = length(from, if op == LONG1 { 1 } else { 4 })?;
            long(m, len, from)
        }
    }
}

/// An integer of any length, little-endian, in two's complement.
fn long(m: &mut Machine, len: u64, from: &mut At<impl Read>) -> Result<()> {
    if len > LONGEST_LONG {
        skip(from, len)?;
        return m.push_id(HUGE);
    }
    let b = block(from, len)?;
    if b.len() > 8 {
        return m.push(Value::Long(b.into()));
    }
    let negative = b.last().is_some_and(|v| v & 0x80 != 0);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all[..b.len()].copy_from_slice(&b);
    m.push_int(i64::from_le_bytes(all))
}

fn text(m: &mut Machine, size: usize, from: &mut At<impl Read>) -> Result<()> {
    let len = length(from, size)?;
    let at = from.at;
    if len > LONGEST_NAME {
        skip(from, len)?;
        return m.push(Value::Data { at, len });
    }
    let text = block(from, len)?;
    match std::str::from_utf8(&text) {
        Ok(text) => {
            let text = m.name(text)?;
            m.push(Value::Text(text))
        }
        // Python 2 wrote bytes as strings.
        Err(_) => m.push(Value::Data { at, len }),
    }
}

fn data(m: &mut Machine, size: usize, from: &mut At<impl Read>) -> Result<()> {
    let len = length(from, size)?;
    let at = from.at;
    skip(from, len)?;
    m.push(Value::Data { at, len })
}

fn tuple(m: &mut Machine, op: u8) -> Result<()> {
    match op {
        EMPTY_TUPLE => m.tuple(vec![]),
        TUPLE => {
            let items = m.since_mark()?;
            m.tuple(items)
        }
        _ => m.tuple_of(usize::from(op - TUPLE1) + 1),
    }
}

fn list(m: &mut Machine, op: u8) -> Result<()> {
    match op {
        EMPTY_LIST | EMPTY_SET => m.push(Value::List(vec![])),
        LIST | FROZENSET => {
            let items = m.since_mark()?;
            m.push(Value::List(items))
        }
        APPEND => {
            let item = m.pop()?;
            m.extend(vec![item])
        }
        _ => {
            let items = m.since_mark()?;
            m.extend(items)
        }
    }
}

fn dict(m: &mut Machine, op: u8) -> Result<()> {
    match op {
        EMPTY_DICT => m.push(Value::Dict(vec![])),
        DICT => {
            let pairs = m.pairs()?;
            m.push(Value::Dict(pairs))
        }
        SETITEM => {
            let (value, key) = (m.pop()?, m.pop()?);
            m.set(vec![(key, value)])
        }
        _ => {
            let pairs = m.pairs()?;
            m.set(pairs)
        }
    }
}

fn memo(m: &mut Machine, op: u8, from: &mut At<impl Read>) -> Result<()> {
    match op {
        MEMOIZE => m.memoize(),
        BINPUT => m.remember(byte(from)?.into()),
        LONG_BINPUT => m.remember(u32::from_le_bytes(bytes(from)?)),
        BINGET => m.recall(byte(from)?.into()),
        _ => m.recall(u32::from_le_bytes(bytes(from)?)),
    }
}

fn object(m: &mut Machine, op: u8, from: &mut At<impl Read>) -> Result<()> {
    match op {
        GLOBAL => {
            let (module, name) = (line(from)?, line(from)?);
            let full = m.name(&format!("{module} {name}"))?;
            m.push(Value::Global(full))
        }
        STACK_GLOBAL => m.global(),
        REDUCE | NEWOBJ => m.call(),
        NEWOBJ_EX => {
            // The arguments by name.
            m.pop()?;
            m.call()
        }
        BUILD => m.build(),
        _ => {
            let id = m.pop()?;
            m.push(Value::Persistent(id))
        }
    }
}
