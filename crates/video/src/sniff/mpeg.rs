//! MPEG-2 systems (ISO/IEC 13818-1): whether a stream has tables that name sound and no video.

/// The packets of a transport stream: where the first begins, and their bytes. Those of Blu-ray discs have four bytes before
/// them.
pub(super) fn packets(head: &[u8]) -> Option<(usize, usize)> {
    [(0, 188), (4, 192), (0, 204)].into_iter().find(|(from, packet)| {
        let mut begins = head.iter().skip(*from).step_by(*packet).take(5);
        // One packet is not enough: text or an image may begin the same way.
        begins.clone().count() > 1 && begins.all(|byte| *byte == 0x47)
    })
}

/// Whether the system header of a program stream names sound and no video.
pub(super) fn sound_alone_in_program(head: &[u8]) -> bool {
    let Some(at) = head.windows(4).position(|w| w == [0, 0, 1, 0xbb]) else {
        return false;
    };
    let length = head
        .get(at + 4..at + 6)
        .map_or(0, |l| usize::from(u16::from_be_bytes([l[0], l[1]])));
    // Rates and flags, then three bytes a stream.
    let streams = head.get(at + 12..at + 6 + length).unwrap_or_default();
    let ids = || streams.chunks_exact(3).map(|s| s[0]).take_while(|id| id & 0x80 != 0);
    // 0xb8 and 0xb9 are all streams of sound and of video; 0xbd is private, such as AC-3.
    let sound = |id: u8| matches!(id, 0xb8 | 0xbd | 0xc0..=0xdf);
    let video = |id: u8| matches!(id, 0xb9 | 0xe0..=0xef);
    ids().any(sound) && ids().all(sound) && !ids().any(video)
}

/// Whether the program maps of a transport stream name sound and nothing else.
pub(super) fn sound_alone_in_transport(head: &[u8], from: usize, packet: usize) -> bool {
    // Sections that fit into their first packet, as maps of few streams do.
    let sections = |wanted: u16| {
        head.get(from..)
            .unwrap_or_default()
            .chunks(packet)
            .filter_map(move |p| {
                let p = p.get(..188)?;
                let (start, pid) = (p[1] & 0x40 != 0, u16::from_be_bytes([p[1] & 0x1f, p[2]]));
                let skip = if p[3] & 0x20 != 0 { 1 + usize::from(p[4]) } else { 0 };
                let payload = p.get(4 + skip..).filter(|_| start && pid == wanted)?;
                let section = payload.get(1 + usize::from(*payload.first()?)..)?;
                let length = usize::from(u16::from_be_bytes([section.get(1)? & 0x0f, *section.get(2)?]));
                // Without the checksum at its end.
                section.get(..(3 + length).checked_sub(4)?)
            })
    };
    let Some(programs) = sections(0).find(|s| s[0] == 0) else {
        return false;
    };
    let programs = programs.get(8..).unwrap_or_default().chunks_exact(4);
    let maps = programs
        .filter(|p| p[..2] != [0, 0])
        .map(|p| u16::from_be_bytes([p[2] & 0x1f, p[3]]));
    let mut kinds = vec![];
    for pid in maps {
        let Some(map) = sections(pid).find(|s| s[0] == 2) else {
            return false;
        };
        let length = |at: usize| {
            Some(usize::from(u16::from_be_bytes([
                map.get(at)? & 0x0f,
                *map.get(at + 1)?,
            ])))
        };
        let mut at = 12 + length(10).unwrap_or(0);
        while let (Some(kind), Some(more)) = (map.get(at), length(at + 3)) {
            kinds.push(*kind);
            at += 5 + more;
        }
    }
    // MPEG-1 and MPEG-2 audio, AAC in both forms, AC-3 and E-AC-3 of ATSC. What is private may be anything.
    !kinds.is_empty()
        && kinds
            .iter()
            .all(|kind| matches!(kind, 0x03 | 0x04 | 0x0f | 0x11 | 0x81 | 0x87))
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, sniff};

    /// A packet with a section: its packet identifier, and the section without its checksum.
    fn packet(pid: u16, section: &[u8]) -> Vec<u8> {
        let [high, low] = pid.to_be_bytes();
        let mut packet = [&[0x47, 0x40 | high, low, 0x10, 0][..], section, &[0; 4]].concat();
        packet.resize(188, 0xff);
        packet
    }

    /// A section: its table, what precedes its entries, and these.
    fn section(table: u8, before: &[u8], entries: &[u8]) -> Vec<u8> {
        let length = before.len() + entries.len() + 4;
        [&[table, 0xb0, length as u8][..], before, entries].concat()
    }

    #[test]
    fn transport_streams_of_sound_alone() {
        let stream = |kinds: &[u8]| {
            let programs = section(0, &[0, 1, 0xc1, 0, 0], &[0, 1, 0xf0, 0x00]);
            let streams: Vec<u8> = kinds.iter().flat_map(|k| [*k, 0xe1, 0, 0xf0, 2, 0x0a, 0]).collect();
            let map = section(2, &[0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0], &streams);
            sniff(&[packet(0, &programs), packet(0x1000, &map), packet(0x100, &[])].concat())
        };
        let sound = Kind::NoVideo("an MPEG transport stream with sound alone");
        let any = Kind::Other("an MPEG transport stream");
        assert_eq!(stream(&[0x0f]), sound);
        assert_eq!(stream(&[0x03, 0x81]), sound);
        for video in [&[0x1b][..], &[0x0f, 0x1b], &[0x0f, 0x24], &[0x06], &[]] {
            assert_eq!(stream(video), any, "{video:?}");
        }
    }

    #[test]
    fn program_streams_of_sound_alone() {
        let stream = |ids: &[u8]| {
            let streams: Vec<u8> = ids.iter().flat_map(|id| [*id, 0xc0, 0x20]).collect();
            let length = 6 + streams.len() as u8;
            sniff(
                &[
                    &[0, 0, 1, 0xba][..],
                    &[0x44; 10],
                    &[0, 0, 1, 0xbb, 0, length],
                    &[0x80; 6],
                    &streams,
                ]
                .concat(),
            )
        };
        let sound = Kind::NoVideo("an MPEG program stream with sound alone");
        let any = Kind::Other("an MPEG program stream");
        assert_eq!(stream(&[0xc0]), sound);
        assert_eq!(stream(&[0xb8, 0xbd]), sound);
        for other in [&[0xe0][..], &[0xc0, 0xe0], &[0xb8, 0xb9], &[0xfd], &[]] {
            assert_eq!(stream(other), any, "{other:?}");
        }
        assert_eq!(sniff(&[0, 0, 1, 0xba]), any);
        assert_eq!(sniff(&[0, 0, 1, 0xba, 0, 0, 1, 0xbb, 0xff, 0xff]), any);
    }
}
