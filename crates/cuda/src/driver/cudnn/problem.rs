//! What a plan is made for, and its operation graph.

use super::descriptor::{Descriptor, Fault};
use super::geometry::{Geometry, channels_last};
use super::target::Target;
use crate::Number;
use cudarc::cudnn::sys::cudnnBackendAttributeName_t::{self as Name, *};
use cudarc::cudnn::sys::cudnnBackendDescriptorType_t::{self as Kind, *};
use cudarc::cudnn::sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
use cudarc::cudnn::sys::cudnnDataType_t::{self, CUDNN_DATA_BFLOAT16, CUDNN_DATA_FLOAT};
use glad_ops::Conv;
use std::fmt;

/// The number type of a convolution, and the precision of its products. Sums always have 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// bfloat16 in memory and for products.
    Bf16,
    /// 32 bits in memory, factors rounded to 10 bits of mantissa (TF32), for tensor cores.
    Tf32,
    /// 32 bits throughout.
    F32,
}

impl Precision {
    /// The number type of activations and weights.
    pub fn number(self) -> Number {
        match self {
            Precision::Bf16 => Number::Bf16,
            Precision::Tf32 | Precision::F32 => Number::F32,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::Bf16 => "bf16",
            Precision::Tf32 => "tf32",
            Precision::F32 => "f32",
        })
    }
}

/// One of the three convolutions of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pass {
    /// The output.
    Forward,
    /// The gradient of the input, optionally accumulated.
    Input {
        /// Whether it is added to the existing contents.
        accumulate: bool,
    },
    /// The gradient of the weights.
    Weight,
}

/// Everything that the choice of a plan depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Problem {
    pub pass: Pass,
    pub conv: Conv,
    pub precision: Precision,
    /// The common alignment of the three addresses in bytes, at most 16.
    pub alignment: i64,
    /// Whether the same input must give the same bits.
    pub deterministic: bool,
}

/// The identifiers of the tensors within an operation graph.
pub(super) const X: i64 = 1;
pub(super) const W: i64 = 2;
pub(super) const Y: i64 = 3;

impl Problem {
    /// The operation graph, which has one operation.
    pub(super) fn graph(&self, target: &Target) -> Fault<Descriptor> {
        let g = Geometry::of(&self.conv);
        let data = match self.precision {
            Precision::Bf16 => CUDNN_DATA_BFLOAT16,
            Precision::Tf32 | Precision::F32 => CUDNN_DATA_FLOAT,
        };
        let x = self.tensor(X, data, &g.x)?;
        let w = self.tensor(W, data, &g.w)?;
        let y = self.tensor(Y, data, &g.y)?;
        let axes = g.stride.len() as i64;
        let conv = Descriptor::new(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)?
            .data_type(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)?
            .mode(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)?
            .longs(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, &[axes])?
            .longs(CUDNN_ATTR_CONVOLUTION_DILATIONS, &g.dilation)?
            .longs(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, &g.stride)?
            .longs(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, &g.pad)?
            .longs(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, &g.pad_end)?
            .finish()?;
        let names = Names::of(self.pass);
        let beta = if self.pass == (Pass::Input { accumulate: true }) {
            1.0
        } else {
            0.0
        };
        let operation = Descriptor::new(names.operation)?
            .float(names.alpha, 1.0)?
            .float(names.beta, beta)?
            .child(names.conv, &conv)?
            .child(names.x, &x)?
            .child(names.w, &w)?
            .child(names.y, &y)?
            .finish()?;
        let graph = Descriptor::new(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)?;
        target
            .on_graph(graph)?
            .child(CUDNN_ATTR_OPERATIONGRAPH_OPS, &operation)?
            .finish()
    }

    fn tensor(&self, id: i64, number: cudnnDataType_t, sizes: &[i64]) -> Fault<Descriptor> {
        Descriptor::new(CUDNN_BACKEND_TENSOR_DESCRIPTOR)?
            .data_type(CUDNN_ATTR_TENSOR_DATA_TYPE, number)?
            .longs(CUDNN_ATTR_TENSOR_DIMENSIONS, sizes)?
            .longs(CUDNN_ATTR_TENSOR_STRIDES, &channels_last(sizes))?
            .longs(CUDNN_ATTR_TENSOR_UNIQUE_ID, &[id])?
            .longs(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, &[self.alignment])?
            .finish()
    }
}

/// The attribute names of an operation. `x` and `y` are the layer's input and output or their gradients, `w` its
/// weights or their gradient.
struct Names {
    operation: Kind,
    alpha: Name,
    beta: Name,
    conv: Name,
    x: Name,
    w: Name,
    y: Name,
}

impl Names {
    fn of(pass: Pass) -> Names {
        match pass {
            Pass::Forward => Names {
                operation: CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                alpha: CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                beta: CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                conv: CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                x: CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                w: CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                y: CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
            },
            Pass::Input { .. } => Names {
                operation: CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                alpha: CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                beta: CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                conv: CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                x: CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                w: CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                y: CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
            },
            Pass::Weight => Names {
                operation: CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                alpha: CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                beta: CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
                conv: CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                x: CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                w: CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                y: CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
            },
        }
    }
}

/// The form used in messages and as the key of a cached choice: it contains all fields.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conv {
            n,
            input,
            ci,
            co,
            kernel,
            stride,
            pad,
            pad_end,
            dilation,
            groups,
        } = self.conv;
        let pass = match self.pass {
            Pass::Forward => "convolution",
            Pass::Input { accumulate: false } => "gradient of a convolution's input",
            Pass::Input { accumulate: true } => "added gradient of a convolution's input",
            Pass::Weight => "gradient of a convolution's weights",
        };
        let by = |v: [usize; 3]| v.map(|n| n.to_string()).join("x");
        write!(
            f,
            "{pass}: input {n}x{}x{ci}, {co} kernels of {}",
            by(input),
            by(kernel)
        )?;
        for (name, value, usual) in [
            ("stride", stride, [1; 3]),
            ("padding", pad, [0; 3]),
            ("padding behind", pad_end, pad),
            ("dilation", dilation, [1; 3]),
        ] {
            if value != usual {
                write!(f, ", {name} {}", by(value))?;
            }
        }
        if groups != 1 {
            write!(f, ", {groups} groups")?;
        }
        write!(f, ", {}", self.precision)?;
        if self.alignment != 16 {
            write!(f, ", addresses aligned to {} bytes", self.alignment)?;
        }
        if !self.deterministic {
            write!(f, ", not deterministic")?;
        }
        Ok(())
    }
}
