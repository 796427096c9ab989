//! Carries out a plan.

use super::graph::Val;
use super::plan::{Arg, Exponent, Fold, Instruction, Loop, Plan, Work};
use anyhow::{Context, Result, bail};
use glad_ops::{buffer, elementwise};
use rayon::prelude::*;

/// Elements that an operation handles before the next one does.
const TILE: usize = 256;
/// Elements of a part of a loop; parts may be computed by different threads.
const PART: usize = 1 << 14;

/// The numbers of a value.
#[derive(Default)]
pub(super) enum Slot<'a> {
    /// Not there.
    #[default]
    Empty,
    Single(f64, [f32; 1]),
    Lent(&'a [f32]),
    Own(Vec<f32>),
}

impl Slot<'_> {
    /// One number.
    pub(super) fn single(x: f64) -> Self {
        Slot::Single(x, [x as f32])
    }
}

/// All values, by their places.
pub(super) struct Slots<'a>(pub Vec<Slot<'a>>);

impl Slots<'_> {
    /// The numbers of a value; none where it is not there.
    pub(super) fn numbers(&self, of: Val) -> &[f32] {
        match &self.0[of] {
            Slot::Empty => &[],
            Slot::Single(_, x) => x,
            Slot::Lent(x) => x,
            Slot::Own(x) => x,
        }
    }

    /// Takes the numbers of a value, or copies them where they are lent.
    pub(super) fn take(&mut self, of: Val) -> Vec<f32> {
        match std::mem::take(&mut self.0[of]) {
            Slot::Own(x) => x,
            other => {
                self.0[of] = other;
                self.numbers(of).to_vec()
            }
        }
    }

    fn exponent(&self, e: Exponent) -> f64 {
        match e {
            Exponent::Constant(e) => e,
            Exponent::Number(v) => match self.0[v] {
                Slot::Single(e, _) => e,
                _ => f64::NAN,
            },
        }
    }
}

impl Plan {
    /// Computes all values of the plan.
    ///
    /// # Errors
    /// A source is missing, or sizes do not fit.
    pub(super) fn run(&self, slots: &mut Slots<'_>) -> Result<()> {
        if let Some(v) = self.sources.iter().find(|v| matches!(slots.0[**v], Slot::Empty)) {
            bail!("value {v} of a formula is not there");
        }
        for (work, unused) in &self.steps {
            match work {
                Work::Loop(l) => l.run(slots),
                Work::Product(form, sizes, a, b, to) => {
                    let product = form.multiply(*sizes, slots.numbers(*a), slots.numbers(*b));
                    slots.0[*to] = Slot::Own(product.context("a product of a formula")?);
                }
            }
            unused.iter().for_each(|v| slots.0[*v] = Slot::Empty);
        }
        Ok(())
    }
}

/// A part of a loop, with what it writes.
struct Part<'s> {
    start: usize,
    len: usize,
    stores: Vec<&'s mut [f32]>,
    /// For each fold the place of the first number that the part has to do with, and the numbers from there on.
    folds: Vec<(usize, Vec<f64>)>,
}

impl Loop {
    /// How many elements a part has: by the loop's shape alone, so that sums have the same order for any number of threads.
    fn part(&self) -> usize {
        let partial = |f: &Fold| {
            let [low, high] = f.access.span(0, PART.min(self.len));
            high - low + 1
        };
        // Where results are about as many as the elements, numbers for each part would be more than the loop reads.
        match self.folds.iter().map(partial).max().unwrap_or(0) <= PART / 4 {
            true => PART,
            false => self.len,
        }
    }

    fn run(&self, slots: &mut Slots<'_>) {
        let part = self.part();
        let mut stores: Vec<Vec<f32>> = self.stores.iter().map(|_| buffer(self.len)).collect();
        let mut left: Vec<&mut [f32]> = stores.iter_mut().map(|s| &mut s[..]).collect();
        let mut parts = vec![];
        for start in (0..self.len).step_by(part) {
            let len = part.min(self.len - start);
            let mut own = vec![];
            for rest in &mut left {
                let (mine, others) = std::mem::take(rest).split_at_mut(len);
                *rest = others;
                own.push(mine);
            }
            let folds = self.folds.iter().map(|f| {
                let [low, high] = f.access.span(start, len);
                (low, vec![f.start(); high - low + 1])
            });
            parts.push(Part {
                start,
                len,
                stores: own,
                folds: folds.collect(),
            });
        }
        match &mut parts[..] {
            [one] => self.compute(one, slots),
            several => several.par_iter_mut().for_each(|p| self.compute(p, slots)),
        }
        let sums = parts.into_iter().map(|p| p.folds).collect::<Vec<_>>();
        for (i, fold) in self.folds.iter().enumerate() {
            slots.0[fold.to] = Slot::Own(fold.total(sums.iter().map(|s| &s[i])));
        }
        for ((_, v), numbers) in self.stores.iter().zip(stores) {
            slots.0[*v] = Slot::Own(numbers);
        }
    }

    /// Computes a part, tile by tile.
    fn compute(&self, part: &mut Part<'_>, slots: &Slots<'_>) {
        let tile = TILE.min(part.len);
        let mut registers = buffer(tile * (self.reads.len() + self.body.len()));
        for ((v, access), register) in self.reads.iter().zip(registers.chunks_mut(tile)) {
            if access.is_single() {
                access.read(0, slots.numbers(*v), register);
            }
        }
        for at in (0..part.len).step_by(tile) {
            let (start, len) = (part.start + at, tile.min(part.len - at));
            for ((v, access), register) in self.reads.iter().zip(registers.chunks_mut(tile)) {
                if !access.is_single() {
                    access.read(start, slots.numbers(*v), &mut register[..len]);
                }
            }
            for (i, instruction) in self.body.iter().enumerate() {
                let (before, own) = registers.split_at_mut((self.reads.len() + i) * tile);
                let arg = |arg: Arg| number(arg, before, tile, slots, start, len);
                let y = &mut own[..len];
                match *instruction {
                    Instruction::Same(x) => y.copy_from_slice(arg(x)),
                    Instruction::Unary(f, x) => elementwise::unary(f, arg(x), y),
                    Instruction::Binary(f, a, b) => elementwise::binary(f, arg(a), arg(b), y),
                    Instruction::Select(c, a, b) => elementwise::select(arg(c), arg(a), arg(b), y),
                    Instruction::Power(x, e, slope) => {
                        let e = slots.exponent(e);
                        let (factor, e) = if slope { (e, e - 1.0) } else { (1.0, e) };
                        elementwise::power(factor, arg(x), e, y);
                    }
                }
            }
            for ((register, _), to) in self.stores.iter().zip(&mut part.stores) {
                to[at..at + len].copy_from_slice(&registers[register * tile..][..len]);
            }
            for (fold, (low, sums)) in self.folds.iter().zip(&mut part.folds) {
                fold.add(start, number(fold.of, &registers, tile, slots, start, len), *low, sums);
            }
        }
    }
}

/// The numbers of an operand in a tile.
fn number<'n>(
    arg: Arg,
    registers: &'n [f32],
    tile: usize,
    slots: &'n Slots<'_>,
    start: usize,
    len: usize,
) -> &'n [f32] {
    match arg {
        Arg::Register(r) => &registers[r * tile..][..len],
        Arg::Whole(v) => &slots.numbers(v)[start..start + len],
    }
}

impl Fold {
    /// What a fold of no numbers is.
    fn start(&self) -> f64 {
        if self.largest { f64::NEG_INFINITY } else { 0.0 }
    }

    /// Adds the numbers of the loop's elements from `start` on to `sums`, which begin with the result's number `low`.
    fn add(&self, start: usize, x: &[f32], low: usize, sums: &mut [f64]) {
        self.access.runs(start, x.len(), |at, len, offset, step| {
            let (x, offset) = (&x[at..at + len], offset - low);
            match (step, self.largest) {
                (0, false) => sums[offset] += elementwise::sum(x),
                (0, true) => elementwise::most(&[elementwise::largest(x)], &mut sums[offset..=offset]),
                (1, false) => elementwise::add(x, &mut sums[offset..offset + len]),
                (1, true) => elementwise::most(x, &mut sums[offset..offset + len]),
                (step, _) => {
                    for (x, sum) in x.iter().zip(sums[offset..].iter_mut().step_by(step)) {
                        let (x, sum) = (std::slice::from_ref(x), std::slice::from_mut(sum));
                        match self.largest {
                            true => elementwise::most(x, sum),
                            false => elementwise::add(x, sum),
                        }
                    }
                }
            }
        });
    }

    /// The result from those of the parts, in their order.
    fn total<'p>(&self, parts: impl Iterator<Item = &'p (usize, Vec<f64>)>) -> Vec<f32> {
        let mut total = vec![self.start(); self.len];
        for (low, sums) in parts {
            for (total, x) in total[*low..].iter_mut().zip(sums) {
                *total = match self.largest {
                    true if *total < *x || x.is_nan() => *x,
                    true => *total,
                    false => *total + x,
                };
            }
        }
        total.into_iter().map(|x| x as f32).collect()
    }
}
