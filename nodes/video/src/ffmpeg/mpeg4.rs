//! Pictures in packets of MPEG-4 part 2 (ISO/IEC 14496-2, 6.2.5).

/// Whether a packet is one B-picture and nothing else: nothing is ever predicted from one. Two
/// pictures in a packet (the "packed bitstream" of DivX) belong together with the packet after.
pub(super) fn is_single_b(packet: &[u8]) -> bool {
    const VOP_START: [u8; 4] = [0, 0, 1, 0xb6];
    let mut kinds = packet
        .windows(5)
        .filter(|w| w[..4] == VOP_START)
        // vop_coding_type: I, P, B, S
        .map(|w| w[4] >> 6);
    kinds.next() == Some(2) && kinds.next().is_none()
}
