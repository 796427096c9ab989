//! Rows divided by their Euclidean norms, and the gradient of that.

use crate::error::{Result, check_len, shape};
use crate::isa::{self, per_isa};
use crate::parallel::{self, Shared};

const OP: &str = "rows of norm 1";

/// `y = x / max(‖x‖, shortest)` for each row of `x` `[rows, width]`; `inverse` `[rows]` receives `1 / ‖x‖`, or 0 for a row that
/// is not longer than `shortest`: it has no direction.
///
/// # Errors
/// A width of zero, or lengths that do not fit.
pub fn forward(width: usize, shortest: f32, x: &[f32], y: &mut [f32], inverse: &mut [f32]) -> Result<()> {
    let rows = rows_of(width, x.len())?;
    check_len(OP, "y", y.len(), x.len())?;
    check_len(OP, "inverse", inverse.len(), rows)?;
    let (isa, y, inverse) = (isa::current(), Shared::new(y), Shared::new(inverse));
    parallel::run(rows, x.len(), |r| {
        // SAFETY: rows are disjoint.
        let (y, inverse) = unsafe { (y.part(r * width, width), inverse.part(r, 1)) };
        inverse[0] = divide(isa, shortest, &x[r * width..][..width], y);
    });
    Ok(())
}

/// The gradient of `x`, `(g − y⟨y, g⟩) · inverse`, from that of `y`, with what [`forward`] gave.
///
/// # Errors
/// As [`forward`].
pub fn backward(width: usize, y: &[f32], inverse: &[f32], grad: &[f32], dx: &mut [f32]) -> Result<()> {
    let rows = rows_of(width, y.len())?;
    check_len(OP, "inverse", inverse.len(), rows)?;
    check_len(OP, "grad", grad.len(), y.len())?;
    check_len(OP, "dx", dx.len(), y.len())?;
    let (isa, dx) = (isa::current(), Shared::new(dx));
    parallel::run(rows, y.len(), |r| {
        let (at, end) = (r * width, (r + 1) * width);
        // SAFETY: rows are disjoint.
        across(isa, inverse[r], &y[at..end], &grad[at..end], unsafe {
            dx.part(at, width)
        });
    });
    Ok(())
}

fn rows_of(width: usize, len: usize) -> Result<usize> {
    match width {
        0 => Err(shape(OP, "the width is zero")),
        width => {
            check_len(OP, "x", len, len / width * width)?;
            Ok(len / width)
        }
    }
}

/// Numbers that are handled at once.
const LANES: usize = 16;

/// ⟨a, b⟩ in f64, in an order that depends on the length alone.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let (left, right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = left.remainder().iter().zip(right.remainder());
    let rest: f64 = rest.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    let mut lanes = [0.0f64; LANES];
    for (a, b) in left.zip(right) {
        for i in 0..LANES {
            lanes[i] += f64::from(a[i]) * f64::from(b[i]);
        }
    }
    lanes.iter().sum::<f64>() + rest
}

per_isa! {
    fn divide(shortest: f32, x: &[f32], y: &mut [f32]) -> f32 {
        let norm = dot(x, x).sqrt();
        // Of numbers that are not finite, too, so that these show.
        let long = norm > f64::from(shortest) || norm.is_nan();
        let inverse = (1.0 / if long { norm } else { f64::from(shortest) }) as f32;
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x * inverse);
        if long { inverse } else { 0.0 }
    }
}

per_isa! {
    fn across(inverse: f32, y: &[f32], grad: &[f32], dx: &mut [f32]) {
        let along = dot(y, grad) as f32;
        for ((dx, y), g) in dx.iter_mut().zip(y).zip(grad) {
            *dx = (g - y * along) * inverse;
        }
    }
}
