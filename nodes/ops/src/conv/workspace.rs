//! What the passes work in.

use super::backward_weight::sums_len;
use super::gather::Gather;
use super::shape::Conv;
use super::winograd::Tiles;

/// Bytes of the buffers that the passes over a convolution use beside those of the caller, about, on one thread. They are
/// kept from call to call, so that of several convolutions the largest counts.
pub fn workspace(conv: &Conv) -> usize {
    let forward = Gather::forward(conv);
    let pass = |g: &Gather, columns: usize| Tiles::of(g, columns).map_or(0, |tiles| tiles.pass_values(g, columns));
    let passes = pass(&forward, conv.co).max(
        Gather::backward(conv)
            .iter()
            .map(|g| pass(g, conv.ci))
            .max()
            .unwrap_or(0),
    );
    // Beside the packed weights.
    let passes = passes + conv.weight_len();
    let sums = Tiles::of(&forward, conv.co).map_or(0, |tiles| tiles.for_sums().sums_values(&forward, conv.co));
    4 * passes.max(sums + sums_len(conv))
}
