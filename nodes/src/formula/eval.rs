//! The value of typed formulas, operation by operation, in Candle's operations.

use super::contraction::{Named, contract, distance, product};
use super::functions::{Along, Reduce};
use super::host::Arrived;
use super::numbers::of_numbers;
use super::numeric;
use super::parse::Binary;
use super::program::Program;
use super::typed::{Axis, Id, Node, Op};
use crate::tensor::parts::nothing;
use crate::{Args, Step};
use anyhow::{Result, bail};
use candle_core::{DType, Device, Tensor};

/// The value of an operation.
#[derive(Clone)]
enum Val {
    /// A single number that no input has to do with.
    Number(f64),
    /// Numbers, a dimension for each axis of the operation.
    Tensor(Tensor),
    /// An axis has no rows.
    Nothing,
}

/// An evaluation: a program and what arrived.
pub(super) struct Evaluation<'a> {
    program: &'a Program,
    arrived: Arrived<'a>,
    progress: f64,
    device: &'a Device,
    values: Vec<Val>,
}

impl<'a> Evaluation<'a> {
    /// Looks at what arrived.
    ///
    /// # Errors
    /// Sizes do not agree.
    pub(super) fn new(program: &'a Program, step: &Step<'a>, inputs: &'a Args<Tensor>) -> Result<Self> {
        Ok(Evaluation {
            program,
            arrived: Arrived::new(program, inputs)?,
            progress: step.progress,
            device: step.device,
            values: vec![],
        })
    }

    /// The outputs, in the contract's order.
    ///
    /// # Errors
    /// A label has no class, or the device fails.
    pub(super) fn outputs(mut self) -> Result<Vec<Tensor>> {
        let program = self.program;
        for (id, node) in program.typed.nodes.iter().enumerate() {
            let value = match program.needed[id] {
                true => self.node(node)?,
                false => Val::Nothing,
            };
            self.values.push(value);
        }
        let outputs = program.typed.outputs.iter();
        outputs
            .map(|output| {
                let shape = self.shape(&output.axes)?;
                Ok(match &self.values[output.value] {
                    Val::Number(x) => self.full(*x, &shape)?,
                    Val::Nothing => self.nothing(shape)?,
                    Val::Tensor(tensor) => {
                        let named = Named {
                            tensor: tensor.clone(),
                            axes: program.typed.nodes[output.value].axes.clone(),
                        };
                        named.aligned(&output.axes)?.contiguous()?
                    }
                })
            })
            .collect()
    }

    fn shape(&self, axes: &[Axis]) -> Result<Vec<usize>> {
        self.arrived.shape(axes)
    }

    fn full(&self, x: f64, shape: &[usize]) -> Result<Tensor> {
        match shape.contains(&0) {
            true => self.nothing(shape.to_vec()),
            false => Ok(Tensor::full(x as f32, shape, self.device)?),
        }
    }

    /// A tensor without elements.
    fn nothing(&self, shape: Vec<usize>) -> Result<Tensor> {
        nothing(&Tensor::full(0f32, (1,), self.device)?, shape)
    }

    fn tensor(&self, values: Vec<f32>, shape: &[usize]) -> Result<Val> {
        Ok(Val::Tensor(Tensor::from_vec(values, shape, self.device)?))
    }

    /// The value of an operation as a tensor of its own axes.
    fn named(&self, id: Id) -> Result<Named> {
        let axes = self.program.typed.nodes[id].axes.clone();
        let tensor = match &self.values[id] {
            Val::Tensor(tensor) => tensor.clone(),
            Val::Number(x) => self.full(*x, &self.shape(&axes)?)?,
            Val::Nothing => bail!("a value without rows is used as a tensor"),
        };
        Ok(Named { tensor, axes })
    }

    /// The value of an operation as a tensor over `axes`, repeated along those that it does not have.
    fn over(&self, id: Id, axes: &[Axis]) -> Result<Tensor> {
        let (aligned, shape) = (self.named(id)?.aligned(axes)?, self.shape(axes)?);
        Ok(match aligned.dims() == shape.as_slice() {
            true => aligned,
            false => aligned.broadcast_as(shape)?,
        })
    }

    fn node(&self, node: &Node) -> Result<Val> {
        let shape = self.shape(&node.axes)?;
        if shape.contains(&0) {
            return Ok(Val::Nothing);
        }
        let below = match &node.op {
            Op::Reduce(_, of) => vec![*of],
            Op::Product(groups, _) => groups.concat(),
            Op::Distance(a, b, _) => vec![*a, *b],
            _ => vec![],
        };
        if below.iter().any(|id| matches!(self.values[*id], Val::Nothing)) {
            // Over no rows.
            return Ok(match shape.is_empty() {
                true => Val::Number(0.0),
                false => Val::Tensor(self.full(0.0, &shape)?),
            });
        }
        Ok(match &node.op {
            Op::Number(x) => Val::Number(*x),
            Op::Size(axis) => Val::Number(self.arrived.size(*axis) as f64),
            Op::Dim(name) => Val::Number(self.program.dims[name] as f64),
            Op::Progress => Val::Number(self.progress),
            Op::Input(i) => Val::Tensor(self.input(*i)?),
            Op::OneHot(i) => self.tensor(self.arrived.one_hot(*i, &shape)?, &shape)?,
            Op::Labels(of, equal) => self.labels(of, *equal, &node.axes)?,
            Op::Class(i, _, class, equal) => {
                let Val::Number(class) = self.values[*class] else {
                    bail!("a class is a number")
                };
                self.tensor(self.arrived.is_class(*i, class, *equal)?, &shape)?
            }
            Op::Index => self.tensor((0..shape[0]).map(|i| i as f32).collect(), &shape)?,
            Op::Renamed(of) => self.values[*of].clone(),
            Op::Detach(of) => match &self.values[*of] {
                Val::Tensor(t) => Val::Tensor(t.detach()),
                other => other.clone(),
            },
            Op::Unary(function, of) => match &self.values[*of] {
                Val::Number(x) => Val::Number(numeric::of_number(*function, *x)),
                _ => Val::Tensor(numeric::unary(*function, &self.named(*of)?.tensor)?),
            },
            Op::Binary(operation, a, b) => self.binary(*operation, *a, *b, &node.axes)?,
            Op::Larger(larger, a, b) => match (&self.values[*a], &self.values[*b]) {
                (Val::Number(a), Val::Number(b)) if *larger => Val::Number(a.max(*b)),
                (Val::Number(a), Val::Number(b)) => Val::Number(a.min(*b)),
                _ => {
                    let (a, b) = (self.over(*a, &node.axes)?, self.over(*b, &node.axes)?);
                    Val::Tensor(if *larger { a.maximum(&b)? } else { a.minimum(&b)? })
                }
            },
            Op::Where(c, a, b) => match (&self.values[*c], &self.values[*a], &self.values[*b]) {
                (Val::Number(c), Val::Number(a), Val::Number(b)) => Val::Number(if *c != 0.0 { *a } else { *b }),
                _ => {
                    let condition = self.over(*c, &node.axes)?.to_dtype(DType::U8)?;
                    let (a, b) = (self.over(*a, &node.axes)?, self.over(*b, &node.axes)?);
                    Val::Tensor(condition.where_cond(&a, &b)?)
                }
            },
            Op::Reduce(reduce, of) => Val::Tensor(self.reduce(*reduce, *of, &node.axes)?),
            Op::Along(along, of, over) => {
                let of = self.named(*of)?;
                let dims: Vec<usize> = (0..of.axes.len()).filter(|i| over.contains(&of.axes[*i])).collect();
                Val::Tensor(match along {
                    Along::Softmax => numeric::softmax(&of.tensor, &dims)?,
                    Along::LogSoftmax => numeric::log_softmax(&of.tensor, &dims)?,
                    Along::Normalize => numeric::normalize(&of.tensor, &dims)?,
                })
            }
            Op::Product(groups, mean) => self.product(groups, *mean, &node.axes)?,
            Op::Distance(a, b, mean) => {
                let (a, b) = (self.named(*a)?, self.named(*b)?);
                let over: Vec<Axis> = a.axes.iter().filter(|x| !node.axes.contains(x)).copied().collect();
                let sum = distance(&a, &b, &over)?.aligned(&node.axes)?;
                Val::Tensor(self.mean(sum, &over, *mean)?)
            }
        })
    }

    /// An input; masks come from the host.
    fn input(&self, i: usize) -> Result<Tensor> {
        let tensor = self.arrived.inputs[i];
        Ok(match self.program.typed.inputs[i].is_mask() {
            true => tensor.to_dtype(DType::F32)?.to_device(self.device)?,
            false => tensor.clone(),
        })
    }

    /// Whether labels are equal; a row that a mask leaves out is equal to none but itself.
    fn labels(&self, of: &[(usize, Vec<Axis>); 2], equal: bool, axes: &[Axis]) -> Result<Val> {
        let side = |(i, own): &(usize, Vec<Axis>)| -> Result<Tensor> {
            let named = Named {
                tensor: Tensor::from_vec(self.arrived.label_numbers(*i)?, self.shape(own)?, self.device)?,
                axes: own.clone(),
            };
            Ok(named.aligned(axes)?.broadcast_as(self.shape(axes)?)?)
        };
        let (a, b) = (side(&of[0])?, side(&of[1])?);
        let found = if equal { a.eq(&b)? } else { a.ne(&b)? };
        Ok(Val::Tensor(found.to_dtype(DType::F32)?))
    }

    fn binary(&self, operation: Binary, a: Id, b: Id, axes: &[Axis]) -> Result<Val> {
        use Binary::*;
        let (left, right) = (&self.values[a], &self.values[b]);
        if let (Val::Number(x), Val::Number(y)) = (left, right) {
            return Ok(Val::Number(of_numbers(operation, *x, *y)));
        }
        let by_number = match (operation, left, right) {
            (Add, Val::Tensor(t), Val::Number(x)) | (Add, Val::Number(x), Val::Tensor(t)) => t.affine(1.0, *x)?,
            (Sub, Val::Tensor(t), Val::Number(x)) => t.affine(1.0, -x)?,
            (Sub, Val::Number(x), Val::Tensor(t)) => t.affine(-1.0, *x)?,
            (Mul, Val::Tensor(t), Val::Number(x)) | (Mul, Val::Number(x), Val::Tensor(t)) => t.affine(*x, 0.0)?,
            (Div, Val::Tensor(t), Val::Number(x)) => t.affine(1.0 / x, 0.0)?,
            (Div, Val::Number(x), Val::Tensor(t)) => t.recip()?.affine(*x, 0.0)?,
            (Pow, Val::Tensor(t), Val::Number(e)) => numeric::power(t, *e)?,
            _ => {
                let (a, b) = (self.over(a, axes)?, self.over(b, axes)?);
                return Ok(Val::Tensor(of_tensors(operation, &a, &b)?));
            }
        };
        Ok(Val::Tensor(by_number))
    }

    /// The sum `sum`, or the mean.
    fn mean(&self, sum: Tensor, over: &[Axis], mean: bool) -> Result<Tensor> {
        let count: usize = over.iter().map(|a| self.arrived.size(*a)).product();
        Ok(match mean {
            true => sum.affine(1.0 / count as f64, 0.0)?,
            false => sum,
        })
    }

    fn reduce(&self, reduce: Reduce, of: Id, axes: &[Axis]) -> Result<Tensor> {
        let of = self.named(of)?;
        let over: Vec<Axis> = of.axes.iter().filter(|a| !axes.contains(a)).copied().collect();
        let dims: Vec<usize> = (0..of.axes.len()).filter(|i| over.contains(&of.axes[*i])).collect();
        match reduce {
            Reduce::Sum | Reduce::Mean => {
                let sum = numeric::sum(&of.tensor, &dims)?;
                self.mean(sum, &over, reduce == Reduce::Mean)
            }
            Reduce::Max => numeric::extreme(&of.tensor, &dims, true),
            Reduce::Min => numeric::extreme(&of.tensor, &dims, false),
            Reduce::Norm => numeric::norm(&of.tensor, &dims),
            Reduce::LogSumExp => numeric::logsumexp(&of.tensor, &dims),
        }
    }

    fn product(&self, groups: &[Vec<Id>], mean: bool, axes: &[Axis]) -> Result<Val> {
        let group = |factors: &Vec<Id>| -> Result<Named> {
            let mut factors = factors.iter();
            let first = self.named(*factors.next().expect("a group has a factor"))?;
            factors.try_fold(first, |all, id| match self.values[*id] {
                Val::Number(x) => Ok(Named {
                    tensor: all.tensor.affine(x, 0.0)?,
                    axes: all.axes,
                }),
                _ => product(&all, &self.named(*id)?),
            })
        };
        let groups = groups.iter().map(group).collect::<Result<Vec<Named>>>()?;
        let mut over: Vec<Axis> = vec![];
        for axis in groups.iter().flat_map(|g| &g.axes) {
            if !axes.contains(axis) && !over.contains(axis) {
                over.push(*axis);
            }
        }
        let (last, before) = groups.split_last().expect("there are groups");
        let (first, between) = before.split_first().expect("there are two groups at least");
        let left = between.iter().try_fold(first.clone(), |all, g| product(&all, g))?;
        let sum = contract(&left, last, &over)?.aligned(axes)?;
        Ok(Val::Tensor(self.mean(sum, &over, mean)?))
    }
}

fn of_tensors(operation: Binary, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let compared = match operation {
        Binary::Add => return Ok((a + b)?),
        Binary::Sub => return Ok((a - b)?),
        Binary::Mul | Binary::And => return Ok((a * b)?),
        Binary::Div => return Ok((a / b)?),
        Binary::Or => return Ok(a.maximum(b)?),
        Binary::Pow => bail!("an exponent is a number"),
        Binary::Less => a.lt(b)?,
        Binary::LessEqual => a.le(b)?,
        Binary::Greater => a.gt(b)?,
        Binary::GreaterEqual => a.ge(b)?,
        Binary::Equal => a.eq(b)?,
        Binary::NotEqual => a.ne(b)?,
    };
    Ok(compared.to_dtype(DType::F32)?)
}
