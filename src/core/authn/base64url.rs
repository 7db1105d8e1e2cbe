//! Base64url as JOSE has it (RFC 7515 section 2): one spelling for every sequence of bytes.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// No padding, no spare bits, no character outside the alphabet.
const STRICT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// The bytes of a text, if it is the one spelling of them. Two spellings of one token would be two
/// entries of a cache and two texts to revoke.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    STRICT.decode(text).ok()
}

#[cfg(test)]
pub(crate) fn encode(bytes: &[u8]) -> String {
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
        for length in 0..70_u8 {
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
}
