//! The sample table of an unfragmented track (ISO/IEC 14496-12, 8.5 to 8.7).

use std::iter;

use shiguredo_mp4::boxes::{Co64Box, CttsBox, StcoBox, StscBox, StssBox, StszBox, SttsBox};

use crate::Limits;
use crate::boxes::{Child, Fault, RawSample, malformed, need};

/// Combines the boxes of an `stbl`: one entry per sample, in decoding order. Empty for a file
/// whose samples are all in fragments.
pub(crate) fn sample_table(stbl: &[Child<'_>], limits: &Limits) -> Result<Vec<RawSample>, Fault> {
    let find = |kind: &[u8; 4]| stbl.iter().find(|b| b.kind == *kind);

    let sizes: StszBox = need(stbl, b"stsz", "stbl")?.decode()?;
    let count = match &sizes {
        StszBox::Fixed { sample_count, .. } => *sample_count as usize,
        StszBox::Variable { entry_sizes } => entry_sizes.len(),
    };
    check_count(count as u64, limits)?;
    if count == 0 {
        return Ok(Vec::new());
    }

    let mut samples = positions(stbl, &sizes, count)?;

    let times: SttsBox = need(stbl, b"stts", "stbl")?.decode()?;
    let mut deltas = times
        .entries
        .iter()
        .flat_map(|e| iter::repeat_n(e.sample_delta, e.sample_count as usize));
    let mut dts = 0i64;
    for (i, sample) in samples.iter_mut().enumerate() {
        let Some(delta) = deltas.next() else {
            return malformed(format!("`stts` has times for {i} of {count} samples"));
        };
        sample.dts = dts;
        sample.pts = dts;
        sample.duration = delta;
        dts += i64::from(delta);
    }

    if let Some(offsets) = find(b"ctts") {
        let offsets: CttsBox = offsets.decode()?;
        let offsets = offsets
            .entries
            .iter()
            // A version 0 box holds unsigned numbers, but writers put negative ones in.
            .map(|e| (i64::from(e.sample_offset as i32), e.sample_count as usize))
            .flat_map(|(offset, n)| iter::repeat_n(offset, n));
        for (sample, offset) in samples.iter_mut().zip(offsets) {
            sample.pts = sample.dts + offset;
        }
    }

    // Without the box every sample is a sync sample.
    if let Some(sync) = find(b"stss") {
        samples.iter_mut().for_each(|s| s.sync = false);
        for number in sync.decode::<StssBox>()?.sample_numbers {
            match samples.get_mut(number.get() as usize - 1) {
                Some(s) => s.sync = true,
                None => {
                    return malformed(format!("`stss` names sample {number}, there are {count}"));
                }
            }
        }
    }
    Ok(samples)
}

/// The positions of the samples, which are stored in chunks, one after the other.
fn positions(stbl: &[Child<'_>], sizes: &StszBox, count: usize) -> Result<Vec<RawSample>, Fault> {
    let chunks: Vec<u64> = match stbl.iter().find(|b| b.kind == *b"co64") {
        Some(b) => b.decode::<Co64Box>()?.chunk_offsets,
        None => {
            let b: StcoBox = need(stbl, b"stco", "stbl")?.decode()?;
            b.chunk_offsets.into_iter().map(u64::from).collect()
        }
    };
    let runs: StscBox = need(stbl, b"stsc", "stbl")?.decode()?;
    if runs.entries.iter().any(|e| e.sample_description_index.get() != 1) {
        return Err(Fault::Unsupported(
            "an mp4 or mov file that changes its codec settings on the way".to_owned(),
        ));
    }

    let mut samples = Vec::with_capacity(count);
    let mut runs = runs.entries.iter().peekable();
    let mut per_chunk = 0;
    for (chunk, &start) in chunks.iter().enumerate() {
        while let Some(run) = runs.next_if(|r| r.first_chunk.get() as usize <= chunk + 1) {
            per_chunk = run.sample_per_chunk as usize;
        }
        let mut offset = start;
        for i in samples.len()..count.min(samples.len().saturating_add(per_chunk)) {
            let size = match sizes {
                StszBox::Fixed { sample_size, .. } => sample_size.get(),
                StszBox::Variable { entry_sizes } => entry_sizes[i],
            };
            samples.push(RawSample {
                offset,
                size,
                dts: 0,
                duration: 0,
                pts: 0,
                sync: true,
            });
            offset = match offset.checked_add(u64::from(size)) {
                Some(o) => o,
                None => return malformed(format!("chunk {chunk} is out of every file's reach")),
            };
        }
    }
    if samples.len() < count {
        return malformed(format!("its chunks hold {} of {count} samples", samples.len()));
    }
    Ok(samples)
}

/// An error if there are more samples than allowed.
pub(crate) fn check_count(found: u64, limits: &Limits) -> Result<(), Fault> {
    if found > limits.max_samples {
        return Err(Fault::Limit {
            what: "the number of coded pictures",
            found,
            limit: limits.max_samples,
        });
    }
    Ok(())
}
