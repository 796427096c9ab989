//! Samples of movie fragments (ISO/IEC 14496-12, 8.8).

use shiguredo_mp4::boxes::{TfdtBox, TfhdBox, TrexBox, TrunBox};

use crate::Limits;
use crate::boxes::{Fault, RawSample, children, malformed, need};
use crate::sample_table::check_count;

/// `sample_is_non_sync_sample` among the flags of a sample.
const NON_SYNC: u32 = 0x1_0000;

/// The defaults of samples whose fragment does not set a value.
#[derive(Debug)]
pub(crate) struct Defaults {
    track_id: u32,
    duration: u32,
    size: u32,
    flags: u32,
}

impl Defaults {
    pub(crate) fn of(track_id: u32, trex: Option<&TrexBox>) -> Self {
        Self {
            track_id,
            duration: trex.map_or(0, |t| t.default_sample_duration),
            size: trex.map_or(0, |t| t.default_sample_size),
            flags: trex.map_or(0, |t| t.default_sample_flags.get()),
        }
    }
}

/// Appends the track's samples of one `moof`, which begins at byte `at` of the file.
pub(crate) fn append_fragment(
    samples: &mut Vec<RawSample>,
    at: u64,
    moof: &[u8],
    defaults: &Defaults,
    limits: &Limits,
) -> Result<(), Fault> {
    let moof = need(&children(moof)?, b"moof", "file")?;
    // Data of a track without an offset follows that of the previous track.
    let mut next = at;
    for traf in children(moof.payload)?.iter().filter(|b| b.kind == *b"traf") {
        let traf = children(traf.payload)?;
        let head: TfhdBox = need(&traf, b"tfhd", "traf")?.decode()?;
        let base = match head.base_data_offset {
            Some(offset) => offset,
            None if head.default_base_is_moof => at,
            None => next,
        };
        let ours = head.track_id == defaults.track_id;
        let default_size = head.default_sample_size.unwrap_or(defaults.size);
        let mut dts = match traf.iter().find(|b| b.kind == *b"tfdt") {
            Some(b) => match i64::try_from(b.decode::<TfdtBox>()?.base_media_decode_time) {
                Ok(t) if t < i64::MAX / 4 => t,
                _ => return malformed("a fragment's time is beyond all bounds"),
            },
            None => samples.last().map_or(0, |s| s.dts + i64::from(s.duration)),
        };
        next = base;
        for trun in traf.iter().filter(|b| b.kind == *b"trun") {
            // The count follows version and flags; the library makes a list of that length.
            let count = trun
                .payload
                .get(4..8)
                .map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
            check_count(samples.len() as u64 + u64::from(count), limits)?;
            let run: TrunBox = trun.decode()?;
            if let Some(offset) = run.data_offset {
                next = match base.checked_add_signed(i64::from(offset)) {
                    Some(o) => o,
                    None => return malformed("a fragment's data lies before the file"),
                };
            }
            for (i, sample) in run.samples.iter().enumerate() {
                let size = sample.size.unwrap_or(default_size);
                let flags = sample
                    .flags
                    .or(run.first_sample_flags.filter(|_| i == 0))
                    .or(head.default_sample_flags)
                    .map_or(defaults.flags, |f| f.get());
                let duration = sample
                    .duration
                    .or(head.default_sample_duration)
                    .unwrap_or(defaults.duration);
                if ours {
                    // Unsigned in a version 0 box, but writers put negative numbers in.
                    let shift = sample.composition_time_offset.unwrap_or(0) as i32;
                    samples.push(RawSample {
                        offset: next,
                        size,
                        dts,
                        duration,
                        pts: dts + i64::from(shift),
                        sync: flags & NON_SYNC == 0,
                    });
                }
                dts += i64::from(duration);
                next = match next.checked_add(u64::from(size)) {
                    Some(o) => o,
                    None => return malformed("a fragment is out of every file's reach"),
                };
            }
        }
    }
    Ok(())
}
