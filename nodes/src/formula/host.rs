//! What arrives at a formula: sizes, labels and masks. The last two are on the host, whatever the device.

use super::program::Program;
use super::typed::Axis;
use crate::Args;
use crate::kernel::labels;
use anyhow::{Result, bail, ensure};
use candle_core::{DType, Tensor};
use std::collections::BTreeMap;

/// Elements of the largest value: 64 GiB.
const MOST_ELEMENTS: usize = 1 << 34;
/// Whole numbers up to this one have an f32 each.
const MOST_LABELS: u32 = 1 << 24;

/// The inputs of a formula in a step.
pub(super) struct Arrived<'a> {
    pub program: &'a Program,
    /// In the order of the formula's inputs.
    pub inputs: Vec<&'a Tensor>,
    /// The size of each declared axis.
    sizes: BTreeMap<Axis, usize>,
}

impl<'a> Arrived<'a> {
    /// Looks at what arrived.
    ///
    /// # Errors
    /// Sizes do not agree.
    pub(super) fn new(program: &'a Program, inputs: &'a Args<Tensor>) -> Result<Self> {
        let mut sizes: BTreeMap<Axis, usize> = BTreeMap::new();
        let mut arrived = vec![];
        for input in &program.typed.inputs {
            let tensor = inputs.one(&input.name)?;
            ensure!(
                tensor.dims().len() == input.axes.len(),
                "`{}` has the shape {:?}, and its axes are {}",
                input.name,
                tensor.dims(),
                program.typed.axes.show(&input.axes)
            );
            for (axis, n) in input.axes.iter().zip(tensor.dims()) {
                let before = *sizes.entry(*axis).or_insert(*n);
                ensure!(
                    before == *n,
                    "axis `{}` has {before} and, by `{}`, {n}",
                    program.typed.axes.name(*axis),
                    input.name
                );
            }
            arrived.push(tensor);
        }
        Ok(Arrived {
            program,
            inputs: arrived,
            sizes,
        })
    }

    /// The size of an axis.
    pub(super) fn size(&self, axis: Axis) -> usize {
        self.sizes.get(&self.program.typed.axes.of(axis)).copied().unwrap_or(0)
    }

    /// The sizes of axes.
    ///
    /// # Errors
    /// No memory holds a value of that shape.
    pub(super) fn shape(&self, axes: &[Axis]) -> Result<Vec<usize>> {
        let shape: Vec<usize> = axes.iter().map(|a| self.size(*a)).collect();
        let elements = shape.iter().try_fold(1usize, |n, k| n.checked_mul(*k));
        match elements.is_some_and(|n| n <= MOST_ELEMENTS) {
            true => Ok(shape),
            false => bail!(
                "{} would have the sizes {shape:?}, which fit into no memory",
                self.program.typed.axes.show(axes)
            ),
        }
    }

    /// The marks of an input that is a mask.
    pub(super) fn marks(&self, i: usize) -> Result<Vec<f32>> {
        Ok(self.inputs[i].to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?)
    }

    /// The labels of an input. Rows that a mask of the same rows leaves out have none (`None`).
    fn classes(&self, i: usize) -> Result<Vec<Option<u32>>> {
        let own = &self.program.typed.inputs[i];
        let all = labels(self.inputs[i])?;
        let mut counts = vec![true; all.len()];
        for (j, mask) in self.program.typed.inputs.iter().enumerate() {
            if mask.is_mask() && mask.axes == own.axes {
                counts.iter_mut().zip(self.marks(j)?).for_each(|(c, m)| *c &= m != 0.0);
            }
        }
        let class = |(label, counts): (u32, bool)| match (counts, label) {
            (false, _) => Ok(None),
            (true, u32::MAX) => bail!(
                "a video without a label reached `{}`: add labels to the list of its stream, or leave the stream out",
                own.name
            ),
            (true, label) => Ok(Some(label)),
        };
        all.into_iter().zip(counts).map(class).collect()
    }

    /// The classes of an input of labels, along the last axis of `shape`: 1 at the label, 0 elsewhere.
    ///
    /// # Errors
    /// A label is beyond the classes, or missing.
    pub(super) fn one_hot(&self, i: usize, shape: &[usize]) -> Result<Vec<f32>> {
        let classes = shape.last().copied().unwrap_or(0);
        let mut values = vec![0f32; shape.iter().product()];
        for (label, row) in self.classes(i)?.into_iter().zip(values.chunks_mut(classes)) {
            let Some(label) = label else { continue };
            match row.get_mut(label as usize) {
                Some(one) => *one = 1.0,
                None => bail!(
                    "label {label} of `{}` reached `one_hot` over {classes} classes (numbered from 0)",
                    self.program.typed.inputs[i].name
                ),
            }
        }
        Ok(values)
    }

    /// The labels of an input as numbers; those of rows that a mask leaves out equal no other.
    ///
    /// # Errors
    /// A label is missing, or so large that its number equals another's.
    pub(super) fn label_numbers(&self, i: usize) -> Result<Vec<f32>> {
        let numbers = self.classes(i)?.into_iter().enumerate();
        let number = |(row, label)| match label {
            Some(label) if label >= MOST_LABELS => bail!("label {label} is above {MOST_LABELS}"),
            Some(label) => Ok(label as f32),
            None => Ok(-1.0 - row as f32),
        };
        numbers.map(number).collect()
    }

    /// Whether the labels of an input are of this class (`equal`), or of another.
    ///
    /// # Errors
    /// A label is missing.
    pub(super) fn is_class(&self, i: usize, class: f64, equal: bool) -> Result<Vec<f32>> {
        let is = |label: Option<u32>| label.is_some_and(|l| f64::from(l) == class);
        let classes = self.classes(i)?.into_iter();
        Ok(classes.map(|l| f32::from(u8::from(is(l) == equal))).collect())
    }
}
