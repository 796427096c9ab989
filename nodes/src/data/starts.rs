//! Where clips of consecutive frames start, and which frames they have: what the dense samplers share.

/// Starts in the middles of `clips` equal parts of the room that a clip of `span` frames has in a video of `length`
/// frames; all 0 where it has none. Test mode of the released sampler: `floor(k·a + a/2)`, `a = (L − span + 1) / n`.
pub(super) fn even(length: usize, span: usize, clips: usize) -> Vec<usize> {
    let room = (length + 1).saturating_sub(span);
    (0..clips).map(|k| (2 * k + 1) * room / (2 * clips)).collect()
}

/// Frame numbers of clips, `[N, T]`: every `interval`-th from each start, from the beginning again where the video
/// ends.
pub(super) fn frames(starts: &[usize], count: usize, interval: usize, length: usize) -> Vec<usize> {
    starts
        .iter()
        .flat_map(|s| (0..count).map(move |j| (s + j * interval) % length))
        .collect()
}
