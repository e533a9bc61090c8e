use std::io::{Cursor, Read as _, Write as _};

use proptest::prelude::*;
use taosync_model::Digest;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::*;

/// Control byte of the last block: in the code that zlib makes, what is left of the text.
const LAST_BLOCK: u8 = 2 | 1 << 2 | 2 << 3;

fn replayed(script: &[u8], text: &[u8], piece: usize) -> Result<Vec<u8>, DeflateError> {
    let (mut out, mut work) = (Vec::new(), Work::of_a_package());
    let mut replay = Replay::new(script, text.len() as u64, &mut out)?;
    for piece in text.chunks(piece) {
        replay.push(piece, &mut work)?;
    }
    replay.finish(&mut work)?;
    Ok(out)
}

/// A stream of this workspace's own packer, which does not search as zlib does.
fn other_stream(text: &[u8], level: i64) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    zip.start_file("x", options.compression_level(Some(level))).unwrap();
    zip.write_all(text).unwrap();
    let mut zip = ZipArchive::new(zip.finish().unwrap()).unwrap();
    let mut stream = Vec::new();
    zip.by_index_raw(0).unwrap().read_to_end(&mut stream).unwrap();
    stream
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

/// Words and tags in no order, the same every time.
fn words() -> Vec<u8> {
    let mut number: u64 = 1;
    let mut words = Vec::new();
    while words.len() < 40_000 {
        number = (number * 1_103_515_245 + 12_345) % (1 << 31);
        let word = (number >> 16) % if (number >> 8).is_multiple_of(4) { 9 } else { 500 };
        words.push(if (number >> 20).is_multiple_of(7) {
            format!("<p class=\"c{}\">", word % 5)
        } else {
            format!("w{word}")
        });
    }
    words.join(" ").into_bytes()
}

/// Lengths and checksums of what zlib 1.2.13 makes of [`words`]: levels 1 to 9 with the usual memory, then with the most.
const ZLIB: [[(usize, u32); 9]; 2] = [
    [
        (77_835, 1_712_600_869),
        (72_226, 1_722_550_383),
        (67_931, 1_272_418_156),
        (67_702, 2_693_084_047),
        (65_370, 1_823_503_766),
        (62_407, 932_957_798),
        (61_017, 3_338_680_564),
        (59_587, 2_263_773_972),
        (59_593, 1_455_765_773),
    ],
    [
        (78_089, 3_741_249_776),
        (72_299, 3_141_187_609),
        (67_973, 2_665_562_852),
        (67_734, 2_289_807_894),
        (65_392, 3_400_146_154),
        (62_425, 312_543_284),
        (61_019, 599_652_475),
        (59_615, 346_483_374),
        (59_620, 1_231_388_677),
    ],
];

#[test]
fn all_levels_of_zlib_come_out_of_their_settings_alone() {
    const ORDER: [usize; 9] = [6, 9, 1, 5, 8, 7, 4, 3, 2];
    const USUAL_BLOCK: u8 = 2 | 1 << 3;
    let text = words();
    for (memory, levels) in ZLIB.iter().enumerate() {
        for (settings, level) in ORDER.iter().enumerate() {
            let made = (0..12).find_map(|blocks| {
                let mut script = vec![(2 * settings + memory) as u8];
                script.extend(std::iter::repeat_n(USUAL_BLOCK, blocks));
                script.push(LAST_BLOCK);
                replayed(&script, &text, 10_000).ok().filter(|stream| stream.len() == levels[level - 1].0)
            });
            assert_eq!(made.map(|stream| crc32(&stream)), Some(levels[level - 1].1), "level {level}, memory {memory}");
        }
    }
}

#[test]
fn a_recorded_stream_comes_back_however_the_text_is_cut() {
    let text = words();
    for level in [1, 6, 9] {
        let stream = other_stream(&text, level);
        let Ok(recorded) = record(stream.as_slice(), usize::MAX, 0, &mut Work::of_a_package()) else { continue };
        assert_eq!(recorded.text, Digest::of(&text));
        for piece in [1_000, 4_097, text.len()] {
            assert!(replayed(&recorded.script, &text, piece).unwrap() == stream, "level {level}, pieces of {piece}");
        }
    }
}

#[test]
fn a_stream_that_is_none_or_has_something_behind_it_is_not_recorded() {
    let stream = other_stream(&words()[..5_000], 6);
    let recorded = |stream: &[u8]| record(stream, usize::MAX, 0, &mut Work::of_a_package());
    assert!(recorded(&[stream.as_slice(), b"x"].concat()).is_err());
    assert!(recorded(&stream[..stream.len() - 1]).is_err());
    assert!(recorded(&[]).is_err());
}

#[test]
fn a_script_for_another_text_is_refused() {
    let script = [0, LAST_BLOCK];
    let text = &words()[..5_000];
    assert!(replayed(&script, text, 100).is_ok());
    let mut replay = Replay::new(&script, text.len() as u64 - 1, Vec::new()).unwrap();
    assert!(replay.push(text, &mut Work::of_a_package()).is_err(), "longer than announced");
    let replay = Replay::new(&script, text.len() as u64, Vec::new()).unwrap();
    assert!(replay.finish(&mut Work::of_a_package()).is_err(), "nothing of it came");
    assert!(Replay::new(&[18], 1, Vec::new()).is_err(), "unknown settings");
    assert!(Replay::new(&[], 1, Vec::new()).is_err());
}

#[test]
fn searches_have_an_end() {
    // Chains of four thousand places, and no copy that is long enough to stop at.
    let text: Vec<u8> = (0..20_000u64).map(|n| (Digest::of(&n.to_le_bytes()).0[0] & 1) + b'a').collect();
    let mut work = Work(100_000);
    let mut replay = Replay::new(&[2, LAST_BLOCK], text.len() as u64, Vec::new()).unwrap();
    let error = replay.push(&text, &mut work).unwrap_err();
    assert!(error.to_string().contains("too many steps"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_recorded_stream_comes_back(
        text in proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), any::<u8>()], 0..5_000),
        level in 1i64..10,
        settings: u8,
    ) {
        let stream = other_stream(&text, level);
        if let Ok(recorded) = record(stream.as_slice(), usize::MAX, settings, &mut Work::of_a_package()) {
            prop_assert_eq!(recorded.text, Digest::of(&text));
            prop_assert_eq!(replayed(&recorded.script, &text, 333).unwrap(), stream);
        }
    }

    #[test]
    fn any_bytes_are_recorded_truly_or_not_at_all(stream: Vec<u8>) {
        if let Ok(recorded) = record(stream.as_slice(), usize::MAX, 0, &mut Work::of_a_package()) {
            prop_assert!(!recorded.script.is_empty());
        }
    }

    #[test]
    fn any_script_is_played_or_refused(script: Vec<u8>, text: Vec<u8>) {
        let script = [vec![script.first().copied().unwrap_or(0) % 18], script].concat();
        let _ = replayed(&script, &text, 50);
    }
}
