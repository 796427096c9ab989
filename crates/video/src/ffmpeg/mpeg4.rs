//! Pictures in packets of MPEG-4 part 2 (ISO/IEC 14496-2, 6.2.5).

use ffmpeg_next::Packet;

const VOP_START: [u8; 4] = [0, 0, 1, 0xb6];

/// Packets up to this size that follow two pictures in one are placeholders without a picture.
const MAX_PLACEHOLDER: usize = 19;

/// Where the pictures of a packet begin.
fn starts(packet: &[u8]) -> impl Iterator<Item = usize> {
    packet
        .windows(4)
        .enumerate()
        .filter(|(_, w)| **w == VOP_START)
        .map(|(i, _)| i)
}

/// Whether a packet is one B-picture and nothing else: it is never a reference.
pub(super) fn is_single_b(packet: &[u8]) -> bool {
    let mut starts = starts(packet);
    // vop_coding_type: I, P, B, S
    let kind = starts.next().and_then(|at| packet.get(at + 4)).map(|b| b >> 6);
    kind == Some(2) && starts.next().is_none()
}

/// Splits "packed bitstreams", which DivX and Xvid write into AVI files: a reference picture
/// and the B-picture that follows it share a packet, and the next packet is a placeholder, or holds
/// the next B-picture. Afterwards each packet holds one picture.
#[derive(Default)]
pub(super) struct Unpacker {
    held: Option<Vec<u8>>,
}

impl Unpacker {
    /// Whether the next packet does not depend on those before.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_none()
    }

    pub(super) fn unpack(&mut self, packet: Packet) -> Packet {
        let data = packet.data().unwrap_or(&[]);
        if let Some(held) = self.held.take() {
            if data.len() > MAX_PLACEHOLDER {
                self.held = Some(data.to_vec());
            }
            return Self::like(&packet, &held);
        }
        let second = starts(data).nth(1);
        match second {
            Some(second) => {
                self.held = Some(data[second..].to_vec());
                Self::like(&packet, &data[..second])
            }
            None => packet,
        }
    }

    fn like(packet: &Packet, data: &[u8]) -> Packet {
        let mut out = Packet::copy(data);
        out.set_pts(packet.pts());
        out.set_dts(packet.dts());
        out.set_flags(packet.flags());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vop(kind: u8, length: usize) -> Vec<u8> {
        let mut out = VOP_START.to_vec();
        out.push(kind << 6);
        out.resize(length, 0x55);
        out
    }

    #[test]
    fn packed_pictures_get_packets_of_their_own() {
        let (i, p, b, placeholder) = (vop(0, 99), vop(1, 80), vop(2, 40), vop(1, 6));
        let packets = [
            i.clone(),
            [p.clone(), b.clone()].concat(),
            vop(2, 41),
            placeholder.clone(),
            [p.clone(), b.clone()].concat(),
            placeholder,
            p.clone(),
        ];
        let want = [i, p.clone(), b.clone(), vop(2, 41), p.clone(), b, p];
        let mut unpacker = Unpacker::default();
        let mut clean = Vec::new();
        for (packet, want) in packets.iter().zip(&want) {
            clean.push(unpacker.is_empty());
            let got = unpacker.unpack(Packet::copy(packet));
            assert_eq!(got.data(), Some(&want[..]));
            assert_eq!(is_single_b(want), want[4] == 0x80);
        }
        assert_eq!(clean, [true, true, false, false, true, false, true]);
    }
}
