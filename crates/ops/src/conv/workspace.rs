//! The workspace of the passes.

use super::backward_weight::sums_len;
use super::fold::Fold;
use super::gather::Gather;
use super::shape::Conv;
use super::winograd::Tiles;

/// Bytes of the buffers that the passes over a convolution use in addition to the caller's, approximately, on one thread. They
/// are kept from call to call, so that of several convolutions the largest counts.
pub fn workspace(conv: &Conv) -> usize {
    let fold = Fold::of(conv).map(|fold| fold.folded);
    // The input in squares, and the gradient of their weights.
    let squares = fold.map_or(0, |folded| folded.input_len() + folded.weight_len());
    let run = fold.unwrap_or(*conv);
    let forward = Gather::forward(&run);
    let pass = |g: &Gather, columns: usize| Tiles::of(g, columns).map_or(0, |tiles| tiles.pass_values(g, columns));
    let passes = pass(&forward, conv.co).max(
        Gather::backward(conv)
            .iter()
            .map(|g| pass(g, conv.ci))
            .max()
            .unwrap_or(0),
    );
    // In addition to the packed weights.
    let passes = passes + run.weight_len();
    let sums = Tiles::of(&forward, conv.co).map_or(0, |tiles| tiles.for_sums().sums_values(&forward, conv.co));
    4 * (squares + passes.max(sums + sums_len(&run)))
}
