//! The stack machine that executes a pickle, with bounds on all its memory.

use super::{CONSTANTS, EMPTY, FLOAT, Id, NOTHING, SMALL, SMALL_INTS, Value};
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::sync::Arc;

/// Values pushed on the stack, and so identifiers held by it and by all containers. A checkpoint pushes some 30 for a
/// tensor.
const MOST_PUSHED: usize = 1 << 22;
/// Values that take memory: small numbers, `None` and the like do not.
const MOST_VALUES: usize = 1 << 21;
/// Bytes of all names.
const MOST_TEXT: usize = 1 << 24;
/// Containers that are open at the same time. Python's own pickler stops at about 500.
const MOST_MARKS: usize = 1 << 12;

/// The state while reading.
pub(super) struct Machine {
    pub values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    pushed: usize,
    text: usize,
}

impl Machine {
    pub(super) fn new() -> Machine {
        let mut values = vec![
            Value::None,
            Value::Bool(true),
            Value::Bool(false),
            Value::Float,
            Value::Huge,
        ];
        values.push(Value::Tuple(Box::new([])));
        debug_assert_eq!(values.len(), SMALL as usize);
        values.extend((0..SMALL_INTS).map(Value::Int));
        debug_assert_eq!(values.len(), CONSTANTS);
        Machine {
            values,
            stack: vec![],
            marks: vec![],
            memo: HashMap::new(),
            pushed: 0,
            text: 0,
        }
    }

    fn count(&mut self, pushed: usize) -> Result<()> {
        self.pushed += pushed;
        ensure!(
            self.pushed <= MOST_PUSHED,
            "the pickle holds more than {MOST_PUSHED} values: it is no state dictionary"
        );
        Ok(())
    }

    /// Pushes an existing value.
    pub(super) fn push_id(&mut self, id: Id) -> Result<()> {
        self.count(1)?;
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn push(&mut self, v: Value) -> Result<()> {
        ensure!(
            self.values.len() < MOST_VALUES,
            "the pickle holds more than {MOST_VALUES} objects: it is no state dictionary"
        );
        let id = Id::try_from(self.values.len()).context("the pickle is too large")?;
        self.values.push(v);
        self.push_id(id)
    }

    pub(super) fn push_int(&mut self, n: i64) -> Result<()> {
        match n {
            0..SMALL_INTS => self.push_id(SMALL + n as Id),
            n => self.push(Value::Int(n)),
        }
    }

    pub(super) fn push_float(&mut self) -> Result<()> {
        self.push_id(FLOAT)
    }

    /// A text that is kept and counts towards the limit.
    pub(super) fn name(&mut self, text: &str) -> Result<Arc<str>> {
        self.text += text.len();
        ensure!(
            self.text <= MOST_TEXT,
            "the names in the pickle are of more than {MOST_TEXT} bytes: it is no state dictionary"
        );
        Ok(text.into())
    }

    pub(super) fn pop(&mut self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        ensure!(self.stack.len() > floor, "the pickle takes a value that is not there");
        self.stack.pop().context("the pickle takes a value that is not there")
    }

    pub(super) fn top(&self) -> Result<Id> {
        let top = self.stack.last().copied();
        top.context("the pickle uses a value that is not there")
    }

    pub(super) fn mark(&mut self) -> Result<()> {
        ensure!(
            self.marks.len() < MOST_MARKS,
            "the pickle nests more than {MOST_MARKS} containers"
        );
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// The values pushed since the last mark.
    pub(super) fn since_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().context("the pickle has no mark where it needs one")?;
        Ok(self.stack.split_off(mark))
    }

    /// The same as keys and values.
    pub(super) fn pairs(&mut self) -> Result<Vec<(Id, Id)>> {
        let items = self.since_mark()?;
        ensure!(
            items.len().is_multiple_of(2),
            "a dictionary in the pickle has a key without value"
        );
        Ok(items.chunks_exact(2).map(|p| (p[0], p[1])).collect())
    }

    pub(super) fn tuple(&mut self, items: Vec<Id>) -> Result<()> {
        match items.is_empty() {
            true => self.push_id(EMPTY),
            false => self.push(Value::Tuple(items.into())),
        }
    }

    /// A tuple of the `n` values on top.
    pub(super) fn tuple_of(&mut self, n: usize) -> Result<()> {
        let mut items = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        items.reverse();
        self.tuple(items)
    }

    /// Adds to the list on top; additions to other objects are ignored.
    pub(super) fn extend(&mut self, items: Vec<Id>) -> Result<()> {
        let at = self.top()?;
        if let Value::List(v) = &mut self.values[at as usize] {
            v.extend(items);
        }
        Ok(())
    }

    /// Adds to the dictionary on top.
    pub(super) fn set(&mut self, pairs: Vec<(Id, Id)>) -> Result<()> {
        let at = self.top()?;
        if let Value::Dict(v) = &mut self.values[at as usize] {
            v.extend(pairs);
        }
        Ok(())
    }

    /// Memoizes the top value under the next free number.
    pub(super) fn memoize(&mut self) -> Result<()> {
        let next = u32::try_from(self.memo.len()).context("the pickle is too large")?;
        self.remember(next)
    }

    pub(super) fn remember(&mut self, key: u32) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(key, top);
        ensure!(
            self.memo.len() <= MOST_VALUES,
            "the pickle names more than {MOST_VALUES} values: it is no state dictionary"
        );
        Ok(())
    }

    pub(super) fn recall(&mut self, key: u32) -> Result<()> {
        let id = self.memo.get(&key).copied();
        self.push_id(id.context("the pickle recalls a value that it has not kept")?)
    }

    /// A class or function whose module and name are on top.
    pub(super) fn global(&mut self) -> Result<()> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (&self.values[module as usize], &self.values[name as usize]) {
            (Value::Text(m), Value::Text(n)) => {
                let full = format!("{m} {n}");
                let full = self.name(&full)?;
                self.push(Value::Global(full))
            }
            _ => bail!("a class in the pickle has no name"),
        }
    }

    /// A call, with the arguments on top and the function below. It is recorded, not executed; but `OrderedDict` becomes a
    /// dictionary.
    pub(super) fn call(&mut self) -> Result<()> {
        let (args, function) = (self.pop()?, self.pop()?);
        let ordered = matches!(&self.values[function as usize], Value::Global(n) if &**n == "collections OrderedDict");
        if !ordered {
            return self.push(Value::Call {
                function,
                args,
                state: NOTHING,
            });
        }
        // `OrderedDict()`, filled afterwards, or `OrderedDict([(key, value), …])`.
        let list = |id: Id| match &self.values[id as usize] {
            Value::Tuple(v) => &**v,
            Value::List(v) => v.as_slice(),
            _ => &[],
        };
        let pairs = list(args).first().map_or(&[][..], |of| list(*of));
        let copied = 2 * pairs.len();
        let pair = |p: &Id| match list(*p) {
            [k, v] => Some((*k, *v)),
            _ => None,
        };
        // Counted before it is copied: a list may be recalled many times.
        ensure!(
            self.pushed + copied <= MOST_PUSHED,
            "the pickle holds more than {MOST_PUSHED} values"
        );
        let pairs = pairs.iter().filter_map(pair).collect();
        self.count(copied)?;
        self.push(Value::Dict(pairs))
    }

    /// Gives the state on top to the call below; other objects have none that matters, such as the versions of a state
    /// dictionary.
    pub(super) fn build(&mut self) -> Result<()> {
        let given = self.pop()?;
        let below = self.top()?;
        if let Value::Call { state, .. } = &mut self.values[below as usize] {
            *state = given;
        }
        Ok(())
    }
}
