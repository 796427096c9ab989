//! scratch
mod common;
use common::{Container, encode, open};
use glad_video::fuzzing::Mutator;
use std::ops::ControlFlow;

#[test]
fn measure() {
    for (b, gop, w, h) in [(0u32, 8u32, 64, 48), (2, 8, 64, 48), (2, 8, 176, 144), (0, 8, 176, 144)] {
        let coded = encode(w, h, 17, gop, b);
        let mut m = Mutator::new(77);
        for kind in ["truncate", "zero tail", "flip", "garbage16", "ff tail"] {
            let (mut reported, mut concealed, mut exact) = (0, 0, 0);
            for _ in 0..200 {
                let mut broken = coded.clone();
                let v = m.roll(broken.units.len());
                let bytes = &mut broken.units[v].bytes;
                let n = bytes.len();
                if n < 24 {
                    continue;
                }
                let at = 12 + m.roll(n - 16);
                match kind {
                    "truncate" => {
                        bytes.truncate(at);
                        let l = (at - 4) as u32;
                        bytes[..4].copy_from_slice(&l.to_be_bytes());
                    }
                    "zero tail" => bytes[at..].fill(0),
                    "ff tail" => bytes[at..].fill(0xff),
                    "flip" => bytes[at] ^= 1 << m.roll(8),
                    _ => {
                        for k in at..(at + 16).min(n) {
                            bytes[k] = m.roll(256) as u8;
                        }
                    }
                }
                let (_f, video) = open(&Container::default().write(&broken));
                let video = video.unwrap();
                let (mut any_bad, mut wrong) = (false, 0);
                video
                    .visit(&common::all(&video), |i, o| {
                        match o {
                            Ok(f) => {
                                if f != coded.frames[i] {
                                    wrong += 1
                                }
                            }
                            Err(_) => any_bad = true,
                        };
                        ControlFlow::Continue(())
                    })
                    .unwrap();
                if wrong > 0 {
                    concealed += 1
                } else if any_bad {
                    reported += 1
                } else {
                    exact += 1
                }
            }
            println!("b={b} {w}x{h} {kind}: reported {reported}, concealed {concealed}, no effect {exact}");
        }
    }
}
