//! Base64url as JOSE has it (RFC 7515 section 2): one spelling for every sequence of bytes.

#[cfg(target_feature = "simd128")]
mod vector;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// In the place of a character's value where it has none.
const NONE: u8 = 64;

/// The value of every character.
static VALUES: [u8; 256] = values();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "runs in the compiler"
)]
#[expect(clippy::arithmetic_side_effects, reason = "runs in the compiler")]
const fn values() -> [u8; 256] {
    let (mut values, mut at) = ([NONE; 256], 0);
    while at < ALPHABET.len() {
        values[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    values
}

fn value(character: u8) -> u32 {
    u32::from(VALUES.get(usize::from(character)).copied().unwrap_or(NONE))
}

/// Without vectors all is done by fours.
#[cfg(not(target_feature = "simd128"))]
mod vector {
    pub(super) fn decode(_: &[u8; 16], _: &mut [[u8; 4]; 3]) -> bool {
        false
    }
}

/// Three bytes of four characters, if all of them are of the alphabet.
fn four([a, b, c, d]: [u8; 4]) -> Option<[u8; 3]> {
    let [a, b, c, d] = [value(a), value(b), value(c), value(d)];
    let [_, bytes @ ..] = (a << 18 | b << 12 | c << 6 | d).to_be_bytes();
    ((a | b | c | d) < u32::from(NONE)).then_some(bytes)
}

/// The bytes of a text, if it is the one spelling of them: no padding, no spare bits, no character
/// outside the alphabet. Two spellings of one token would be two entries of a cache and two texts to
/// revoke.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    decode_start(text).filter(|(_, rest)| rest.is_empty()).map(|(bytes, _)| bytes)
}

/// The same of the text before the first character that is outside the alphabet, and what stands from
/// there on.
pub(crate) fn decode_start(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut bytes = vec![0; text.len().div_ceil(4).saturating_mul(3)];
    let mut read = text;
    for slot in bytes.as_chunks_mut::<4>().0.as_chunks_mut::<3>().0 {
        let Some((sixteen, rest)) = read.split_first_chunk() else { break };
        if !vector::decode(sixteen, slot) {
            break;
        }
        read = rest;
    }
    let written = |read: &[u8]| (text.len().saturating_sub(read.len()) / 4).saturating_mul(3);
    for slot in bytes.get_mut(written(read)..).unwrap_or_default().as_chunks_mut().0 {
        let Some((quad, rest)) = read.split_first_chunk() else { break };
        let Some(three) = four(*quad) else { break };
        (*slot, read) = (three, rest);
    }
    bytes.truncate(written(read));
    // At most three characters of the alphabet are left. Those that are not there stand for zeros.
    let is_good = |character: &&u8| value(**character) < u32::from(NONE);
    let (last, rest) = read.split_at_checked(read.iter().take_while(is_good).count())?;
    let mut quad = [b'A'; 4];
    quad.iter_mut().zip(last).for_each(|(place, character)| *place = *character);
    match (last.len(), four(quad)?) {
        (0, _) => {}
        (2, [first, 0, _]) => bytes.push(first),
        (3, [first, second, 0]) => bytes.extend([first, second]),
        _ => return None,
    }
    Some((bytes, rest))
}

#[cfg(test)]
pub(crate) fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_text_has_one_spelling() {
        assert_eq!(decode(b""), Some(Vec::new()));
        assert_eq!(decode(b"-_8"), Some(vec![0xfb, 0xff]));
        // J26, J27, J28, J29
        for text in [
            "A", "AAAAA", "AA=", "AA==", "AAA=", "=", "+/8", "-_9", "-_+", "A A", "AA\n", "\tAA",
            "AA\0", "A?A", "AA AA", "AB", "AAB", "\u{e9}A",
        ] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
        for length in 0..100_u8 {
            let bytes: Vec<u8> = (0..length).collect();
            let text = encode(&bytes);
            assert_eq!(decode(text.as_bytes()), Some(bytes.clone()));
            let last = text.len().saturating_sub(1);
            let others = (0..=255_u8).filter(|other| text.as_bytes().get(last) != Some(other));
            for other in others {
                let mut changed = text.clone().into_bytes();
                if let Some(byte) = changed.get_mut(last) {
                    *byte = other;
                }
                assert_ne!(decode(&changed), Some(bytes.clone()).filter(|_| length > 0));
            }
        }
    }

    #[test]
    fn it_reads_what_the_crate_reads() {
        // The crate as strict as it can be.
        use base64::engine::{DecodePaddingMode, Engine as _, general_purpose};
        let strict = general_purpose::GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(false)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone);
        let strict = general_purpose::GeneralPurpose::new(&base64::alphabet::URL_SAFE, strict);
        // Every byte at every place of texts that are vectors, fours and a rest.
        let good = encode(&(0..54).map(|byte: u8| byte.wrapping_mul(147)).collect::<Vec<u8>>());
        for length in 0..=good.len() {
            let good = good.as_bytes().get(..length).unwrap_or_default();
            assert_eq!(decode(good), strict.decode(good).ok());
            for (place, byte) in
                (0..length).flat_map(|place| (0..=255_u8).map(move |byte| (place, byte)))
            {
                let mut text = good.to_vec();
                if let Some(there) = text.get_mut(place) {
                    *there = byte;
                }
                assert_eq!(decode(&text), strict.decode(&text).ok(), "{text:?}");
                // The start ends where the alphabet does.
                let end = if ALPHABET.contains(&byte) { length } else { place };
                let start = text.get(..end).unwrap_or_default();
                let read = decode_start(&text)
                    .map(|(bytes, rest)| (bytes, length.saturating_sub(rest.len())));
                assert_eq!(read, strict.decode(start).ok().map(|bytes| (bytes, end)), "{text:?}");
            }
        }
    }
}
