//! Reverse-mode differentiation of a formula: from the gradients of its outputs to those of its inputs, as operations of the
//! same graph.

use super::graph::{Kind, Val};
use super::lower::Lowering;
use super::matrices::contract;
use crate::formula::functions::{Along, Reduce, Unary};
use crate::formula::parse::Binary;
use crate::formula::typed::{Axis, Id, Op};
use anyhow::Result;
use glad_ops::elementwise::{Binary as Two, Unary as One};

/// The gradients of all operations so far.
struct Reverse<'l, 'p> {
    low: &'l mut Lowering<'p>,
    grads: Vec<Option<Val>>,
    /// Whether a wanted input is below an operation.
    wanted: Vec<bool>,
}

impl Lowering<'_> {
    /// Whether the gradient of each operation has to do with that of a wanted input.
    pub(super) fn wanted(&self, wants: &[bool]) -> Vec<bool> {
        let typed = &self.program.typed;
        let mut wanted: Vec<bool> = vec![];
        for (id, node) in typed.nodes.iter().enumerate() {
            let below = match node.op {
                Op::Input(i) => wants[i],
                _ => typed.below(id).iter().any(|b| wanted[*b]),
            };
            wanted.push(below && node.differentiable && self.values[id].is_some());
        }
        wanted
    }

    /// The gradients of the inputs that `wants` names, given those of the outputs that `given` names; none where no gradient
    /// arrives.
    ///
    /// # Errors
    /// A value without rows is used.
    pub(super) fn reverse(&mut self, given: &[bool], wants: &[bool]) -> Result<Vec<Option<Val>>> {
        let program = self.program;
        let mut reverse = Reverse {
            grads: vec![None; self.values.len()],
            wanted: self.wanted(wants),
            low: self,
        };
        for (i, output) in program.typed.outputs.iter().enumerate().filter(|(i, _)| given[*i]) {
            let axes = reverse.low.longer(&output.axes);
            let arrived = reverse.low.graph.add(Kind::Given(i), axes);
            reverse.add(output.value, arrived);
        }
        let mut inputs: Vec<Option<Val>> = vec![None; program.typed.inputs.len()];
        for id in (0..program.typed.nodes.len()).rev() {
            let Some(g) = reverse.grads[id] else { continue };
            match &program.typed.nodes[id].op {
                Op::Input(i) => {
                    inputs[*i] = Some(match inputs[*i] {
                        Some(sum) => reverse.low.graph.sum_of(sum, g),
                        None => g,
                    });
                }
                op => reverse.through(id, op, g)?,
            }
        }
        for (grad, input) in inputs.iter_mut().zip(&program.typed.inputs) {
            let axes = self.longer(&input.axes);
            *grad = grad.map(|g| self.graph.ordered(g, &axes));
        }
        Ok(inputs)
    }
}

impl Reverse<'_, '_> {
    /// Adds to the gradient of an operation, where that is wanted.
    fn add(&mut self, id: Id, g: Val) {
        if self.wanted[id] {
            self.grads[id] = Some(match self.grads[id] {
                Some(sum) => self.low.graph.sum_of(sum, g),
                None => g,
            });
        }
    }

    /// Adds what `make` returns for an operation of `id`, summed over the axes that only `id` has.
    fn part(&mut self, id: Id, of: Id, make: impl FnOnce(&mut Lowering<'_>) -> Val) {
        if self.wanted[of] {
            let whole = make(self.low);
            let over = self.low.beyond(&self.low.axes(id), of);
            let g = self.low.graph.sum(whole, &over);
            self.add(of, g);
        }
    }

    /// Adds `g · factor`, summed over the axes that only `id` has.
    fn product(&mut self, id: Id, of: Id, g: Val, factor: Val) {
        if self.wanted[of] {
            let over = self.low.beyond(&self.low.axes(id), of);
            let g = contract(&mut self.low.graph, g, factor, &over);
            self.add(of, g);
        }
    }

    /// Gives the gradient `g` of an operation to those that it uses.
    fn through(&mut self, id: Id, op: &Op, g: Val) -> Result<()> {
        let y = self.low.value(id)?;
        match op {
            Op::Renamed(of) => {
                let typed = &self.low.program.typed;
                let (from, to) = (&typed.nodes[id].axes, &typed.nodes[*of].axes);
                let g = self.low.graph.renamed(g, from, to);
                self.add(*of, g);
            }
            Op::Unary(function, of) => {
                let x = self.low.value(*of)?;
                let g = self.unary(*function, x, y, g);
                self.add(*of, g);
            }
            Op::Binary(operation, a, b) => self.binary(*operation, id, [*a, *b], y, g)?,
            Op::Larger(larger, a, b) => {
                let share = if *larger { Two::LargerShare } else { Two::SmallerShare };
                let (x, z) = (self.low.value(*a)?, self.low.value(*b)?);
                for (of, own, other) in [(*a, x, z), (*b, z, x)] {
                    if self.wanted[of] {
                        let share = self.low.graph.binary(share, own, other);
                        self.product(id, of, g, share);
                    }
                }
            }
            Op::Where(c, a, b) => {
                let c = self.low.value(*c)?;
                let zero = self.low.graph.constant(0.0);
                self.part(id, *a, |low| low.graph.select(c, g, zero));
                self.part(id, *b, |low| low.graph.select(c, zero, g));
            }
            Op::Reduce(reduce, of) => {
                let over = self.low.beyond(&self.low.axes(*of), id);
                if let Some(x) = self.low.values[*of] {
                    let g = self.reduce(*reduce, x, y, g, &over);
                    self.add(*of, g);
                }
            }
            Op::Along(along, of, over) => {
                let (x, over) = (self.low.value(*of)?, self.low.longer(over));
                let g = self.along(*along, x, y, g, &over);
                self.add(*of, g);
            }
            // Over no rows it is 0, whatever the others are.
            Op::Product(..) | Op::Distance(..) if self.has_no_rows(id) => {}
            Op::Product(groups, mean) => self.factors(id, groups, *mean, g)?,
            Op::Distance(a, b, mean) => self.distance(id, [*a, *b], *mean, y, g)?,
            // Nothing goes through the others.
            _ => {}
        }
        Ok(())
    }

    /// Whether something that an operation uses has no rows.
    fn has_no_rows(&self, id: Id) -> bool {
        let below = self.low.program.typed.below(id);
        below.iter().any(|b| self.low.values[*b].is_none())
    }

    /// `g` times the derivative of a function at `x`, where its value is `y`.
    fn unary(&mut self, function: Unary, x: Val, y: Val, g: Val) -> Val {
        let graph = &mut self.low.graph;
        let slope = match function {
            Unary::Log => return graph.quotient(g, x),
            Unary::Negative | Unary::Not => return graph.unary(One::Negative, g),
            Unary::Exp => y,
            Unary::Sqrt => {
                let half = graph.constant(0.5);
                graph.quotient(half, y)
            }
            Unary::Abs => graph.unary(One::Sign, x),
            Unary::Relu => graph.unary(One::Positive, x),
            // σ(−x) rather than 1 − σ(x), which has few digits where it is small.
            Unary::Sigmoid => {
                let minus = graph.unary(One::Negative, x);
                let other = graph.unary(One::Sigmoid, minus);
                graph.times(y, other)
            }
            Unary::LogSigmoid => {
                let minus = graph.unary(One::Negative, x);
                graph.unary(One::Sigmoid, minus)
            }
            Unary::Softplus => graph.unary(One::Sigmoid, x),
            Unary::Tanh => {
                let square = graph.times(y, y);
                graph.unary(One::Not, square)
            }
        };
        graph.times(g, slope)
    }

    fn binary(&mut self, operation: Binary, id: Id, [a, b]: [Id; 2], y: Val, g: Val) -> Result<()> {
        let (x, z) = (self.low.value(a)?, self.low.value(b)?);
        match operation {
            Binary::Add => {
                self.part(id, a, |_| g);
                self.part(id, b, |_| g);
            }
            Binary::Sub => {
                self.part(id, a, |_| g);
                self.part(id, b, |low| low.graph.unary(One::Negative, g));
            }
            Binary::Mul => {
                self.product(id, a, g, z);
                self.product(id, b, g, x);
            }
            Binary::Div => {
                self.part(id, a, |low| low.graph.quotient(g, z));
                self.part(id, b, |low| {
                    let (share, minus) = (low.graph.quotient(y, z), low.graph.unary(One::Negative, g));
                    low.graph.times(minus, share)
                });
            }
            Binary::Pow => self.part(id, a, |low| {
                let slope = low.graph.power(x, z, true);
                low.graph.times(g, slope)
            }),
            // Comparisons get no gradient.
            _ => {}
        }
        Ok(())
    }

    fn reduce(&mut self, reduce: Reduce, x: Val, y: Val, g: Val, over: &[Axis]) -> Val {
        match reduce {
            // The same for each number.
            Reduce::Sum | Reduce::Mean => self.low.mean(g, over, reduce == Reduce::Mean),
            Reduce::Max | Reduce::Min => {
                let hit = self.low.graph.binary(Two::Equal, x, y);
                let count = self.low.graph.sum(hit, over);
                let part = self.low.graph.quotient(g, count);
                self.low.graph.times(hit, part)
            }
            Reduce::Norm => {
                let (root, _) = self.low.length(x, over);
                let part = self.low.graph.quotient(g, root);
                self.low.graph.times(x, part)
            }
            Reduce::LogSumExp => {
                let p = self.low.softmax(x, over);
                self.low.graph.times(g, p)
            }
        }
    }

    fn along(&mut self, along: Along, x: Val, y: Val, g: Val, over: &[Axis]) -> Val {
        match along {
            Along::Softmax => {
                let sum = contract(&mut self.low.graph, g, y, over);
                let rest = self.low.graph.difference(g, sum);
                self.low.graph.times(y, rest)
            }
            Along::LogSoftmax => {
                let (p, sum) = (self.low.softmax(x, over), self.low.graph.sum(g, over));
                let share = self.low.graph.times(p, sum);
                self.low.graph.difference(g, share)
            }
            Along::Normalize => {
                let (root, length) = self.low.length(x, over);
                let divisor = self.low.divisor(length);
                let graph = &mut self.low.graph;
                // Of rows that are shorter than the least divisor the length does not count.
                let least = graph.constant(crate::formula::numeric::SHORTEST);
                let share = graph.binary(Two::LargerShare, length, least);
                let sum = contract(graph, g, y, over);
                let sum = graph.times(sum, share);
                let sum = graph.quotient(sum, root);
                let along = graph.times(x, sum);
                let rest = graph.difference(g, along);
                graph.quotient(rest, divisor)
            }
        }
    }

    /// The gradients of the factors of a sum of products: of both sides by products of matrices, then element by element.
    fn factors(&mut self, id: Id, groups: &[Vec<Id>], mean: bool, g: Val) -> Result<()> {
        let all = self.low.longer(&self.low.all_axes(groups));
        let over = self.low.beyond(&all, id);
        let g = self.low.mean(g, &over, mean);
        let (left, last) = self.low.sides(groups)?;
        let before = &groups[..groups.len() - 1];
        for (groups, other) in [(before, last), (&groups[before.len()..], left)] {
            if groups.iter().flatten().any(|f| self.wanted[*f]) {
                let own = self.low.all_axes(groups);
                let over: Vec<Axis> = all.iter().filter(|a| !own.contains(a)).copied().collect();
                let g = contract(&mut self.low.graph, g, other, &over);
                self.among(&groups.concat(), &self.low.longer(&own), g)?;
            }
        }
        Ok(())
    }

    /// The gradients of the factors of a product with the axes `axes`.
    fn among(&mut self, factors: &[Id], axes: &[Axis], g: Val) -> Result<()> {
        for (i, factor) in factors
            .iter()
            .enumerate()
            .filter(|(_, f)| self.wanted[**f])
            .collect::<Vec<_>>()
        {
            let others = factors.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, f)| *f);
            let others = self.low.group(&others.collect::<Vec<Id>>())?;
            let over = self.low.beyond(axes, *factor);
            let g = contract(&mut self.low.graph, g, others, &over);
            self.add(*factor, g);
        }
        Ok(())
    }

    /// Of Σ(a − b)², which is Σ 2g(a − b) over the axes of the other: the sum of g times a, and a product of g and b.
    fn distance(&mut self, id: Id, [a, b]: [Id; 2], mean: bool, y: Val, g: Val) -> Result<()> {
        let over = self.low.beyond(&self.low.axes(a), id);
        let g = self.low.mean(g, &over, mean);
        let (x, z) = self.low.around(a, b)?;
        let graph = &mut self.low.graph;
        let positive = graph.unary(One::Positive, y);
        let g = graph.times(g, positive);
        let g = graph.scaled(g, 2.0);
        for (of, own, other) in [(a, x, z), (b, z, x)] {
            if self.wanted[of] {
                let beyond = self.low.beyond(&self.low.axes(id), of);
                let graph = &mut self.low.graph;
                let sum = graph.sum(g, &beyond);
                let first = graph.times(own, sum);
                let second = contract(graph, g, other, &beyond);
                let g = graph.difference(first, second);
                self.add(of, g);
            }
        }
        Ok(())
    }
}
