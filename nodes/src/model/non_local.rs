//! The non-local block, dot product form.

use super::conv_bn::{self, ConvBn};
use super::counter::Counter;
use super::sequence::Part;
use crate::op::conv::ConvOp;
use crate::op::matmul::{ab, abt, atb};
use crate::op::pool::{MaxPool, Maxima};
use crate::op::types::Dx;
use crate::{Init, Role, Saved, Step, WeightSpec, kept};
use anyhow::{Context, Result};
use candle_core::Tensor;
use glad_ops::Conv;

/// Keys and values at half the height and width.
const POOL: MaxPool = MaxPool::new([1, 2, 2], [1, 2, 2], [0; 3]);

/// `x + bn(W (θ(x) φ(x)ᵀ g(x)) / n)` over the positions of a clip (Wang, Girshick, Gupta and He, CVPR 2018, eq. 4 and 6):
/// θ, φ and g are 1×1×1 convolutions to half the channels, the `n` keys φ and values g are max-pooled over 2×2 pixels, and
/// the norm starts at zero, so that the block starts as the identity. Weights are named as in mmaction: `theta.conv`,
/// `phi.0.conv`, `g.0.conv`, `conv_out.conv`, `conv_out.bn`.
pub(crate) struct NonLocal {
    theta: ConvOp,
    phi: ConvOp,
    g: ConvOp,
    out: ConvBn,
    inner: usize,
}

/// The product `θ φᵀ g`, in the order with fewer multiply-adds.
enum Order {
    /// `(θ φᵀ) g`, with the products of positions.
    Positions(Tensor),
    /// `θ (φᵀ g)`, with the products of channels.
    Channels(Tensor),
}

struct Kept {
    x: Tensor,
    /// The product, the last convolution's input.
    y: Tensor,
    /// `[clips, positions, inner]`.
    theta: Tensor,
    /// `[clips, keys, inner]`.
    phi: Tensor,
    /// g divided by the number of keys, `[clips, keys, inner]`.
    values: Tensor,
    order: Order,
    phi_maxima: Maxima,
    g_maxima: Maxima,
    out: conv_bn::Kept,
}

/// Multiply-adds of `θ φᵀ g` in both orders.
fn products(positions: usize, keys: usize, inner: usize) -> [u64; 2] {
    let product = |factors: [usize; 3]| factors.into_iter().fold(1, usize::saturating_mul) as u64;
    [
        product([positions, keys, inner]).saturating_mul(2),
        product([positions + keys, inner, inner]),
    ]
}

impl NonLocal {
    /// On `channels` channels, with half of them inside the block.
    pub(super) fn new(name: &str, channels: usize) -> NonLocal {
        let inner = (channels / 2).max(1);
        let point = |ci, co| Conv::new_3d(1, [1; 3], ci, co, [1; 3], [1; 3], [0; 3]);
        let branch = |what: &str| {
            let mut op = ConvOp::new(point(channels, inner), format!("{name}.{what}.conv.weight"));
            op.bias = Some(format!("{name}.{what}.conv.bias"));
            op
        };
        NonLocal {
            theta: branch("theta"),
            phi: branch("phi.0"),
            g: branch("g.0"),
            out: ConvBn::solid(&format!("{name}.conv_out"), point(inner, channels), false).silent(),
            inner,
        }
    }

    /// A branch's values `[clips, positions, inner]`.
    fn rows(&self, y: &Tensor) -> Result<Tensor> {
        Ok(y.reshape((y.dim(0)?, (), self.inner))?)
    }
}

impl Part for NonLocal {
    fn weights(&self) -> Vec<WeightSpec> {
        let mut all = vec![];
        for op in [&self.g, &self.theta, &self.phi] {
            let s = &op.shape;
            let shape = [s.co, s.ci, 1, 1, 1];
            all.push(WeightSpec::new(&op.weight, &shape, Init::Normal(0.01), Role::Weight));
            all.extend(
                op.bias
                    .as_ref()
                    .map(|b| WeightSpec::new(b, &[s.co], Init::Constant(0.0), Role::Bias)),
            );
        }
        all.extend(self.out.weights());
        all
    }

    fn forward(&self, step: &mut Step<'_>, x: &Tensor) -> Result<(Tensor, Saved)> {
        let (n, t, h, w, _) = x.dims5()?;
        let (theta, _) = self.theta.forward(step, x, false)?;
        let theta = self.rows(&theta)?;
        let (phi, phi_maxima) = POOL.forward(&self.phi.forward(step, x, false)?.0)?;
        let (g, g_maxima) = POOL.forward(&self.g.forward(step, x, false)?.0)?;
        let (phi, g) = (self.rows(&phi)?, self.rows(&g)?);
        let keys = phi.dim(1)?;
        let values = (g / keys as f64)?;
        let [by_positions, by_channels] = products(theta.dim(1)?, keys, self.inner);
        let (y, order) = if by_positions <= by_channels {
            let weights = abt(&theta, &phi)?;
            (ab(&weights, &values)?, Order::Positions(weights))
        } else {
            let map = atb(&phi, &values)?;
            (ab(&theta, &map)?, Order::Channels(map))
        };
        let y = y.reshape((n, t, h, w, self.inner))?;
        let (out, kept) = self.out.forward(step, &y, Some(x))?;
        let kept = Kept {
            x: x.clone(),
            y,
            theta,
            phi,
            values,
            order,
            phi_maxima,
            g_maxima,
            out: kept,
        };
        Ok((out, Box::new(kept)))
    }

    fn backward(&self, step: &mut Step<'_>, saved: Saved, grad: Tensor, _: bool) -> Result<Option<Tensor>> {
        let Kept {
            x,
            y,
            theta,
            phi,
            values,
            order,
            phi_maxima,
            g_maxima,
            out,
        } = *kept::<Kept>(saved)?;
        let (dy, dx) = self.out.backward(step, out, &y, grad, Dx::New)?;
        drop(y);
        let dx = dx.context("a non-local block gave no gradient of its residual")?;
        let dy = self.rows(&dy.context("a convolution gave no gradient")?)?;
        let (dtheta, dphi, dvalues) = match order {
            Order::Positions(weights) => {
                let dweights = abt(&dy, &values)?;
                (ab(&dweights, &phi)?, atb(&dweights, &theta)?, atb(&weights, &dy)?)
            }
            Order::Channels(map) => {
                let dmap = atb(&theta, &dy)?;
                (abt(&dy, &map)?, abt(&values, &dmap)?, ab(&phi, &dmap)?)
            }
        };
        let keys = phi.dim(1)?;
        drop((theta, phi, values, dy));
        let (n, t, h, w, _) = x.dims5()?;
        let dtheta = dtheta.reshape((n, t, h, w, self.inner))?;
        self.theta.backward(step, &x, &dtheta, Dx::AddTo(&dx))?;
        let dphi = phi_maxima.backward(&dphi)?;
        self.phi.backward(step, &x, &dphi, Dx::AddTo(&dx))?;
        let dg = g_maxima.backward(&(dvalues / keys as f64)?)?;
        self.g.backward(step, &x, &dg, Dx::AddTo(&dx))?;
        Ok(Some(dx))
    }

    fn count(&self, count: &mut Counter) {
        (count.own.input, count.own.output) = (true, true);
        let (clips, size) = (count.samples, count.size);
        let positions: usize = size.iter().product();
        for op in [&self.theta, &self.phi, &self.g] {
            count.conv(&op.on(clips, size));
        }
        let keys: usize = POOL.on(clips, size, self.inner).output().iter().product();
        let [by_positions, by_channels] = products(positions, keys, self.inner);
        count.macs += clips as u64 * by_positions.min(by_channels);
        let map = if by_positions <= by_channels {
            positions * keys
        } else {
            self.inner * self.inner
        };
        // θ, φ and g; the positions of the maxima, a byte each; the map; the product before the last convolution.
        count.keep(clips * (self.inner * (positions + 2 * keys) + map + self.inner * positions));
        count.own.kept += (2 * clips * keys * self.inner) as u64;
        // The gradients of θ, φ, g and the map.
        count.own.moving = count.number * (clips * (self.inner * 3 * positions + map)) as u64;
        self.out.count_unit(count);
    }
}
