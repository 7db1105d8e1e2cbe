//! The text of an API key in Portcullis's own format.
//!
//! `pcl_`, 43 characters for 32 random bytes, 6 for a CRC-32 of the 47 characters before: a typing
//! error is found without a look-up, and a secret scanner can know a key when it sees one. Numbers
//! are written in base 62 (`0-9A-Za-z`), the most significant digit first.

use std::borrow::Cow;

use crate::bytes::holds;

/// What every key of this format begins with.
pub const PREFIX: &str = "pcl_";
/// Characters that hold the random bytes.
const BODY: usize = 43;
/// Characters that hold the checksum.
const CHECKSUM: usize = 6;
/// Length of a key in characters.
pub const LENGTH: usize = PREFIX.len() + BODY + CHECKSUM;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// What a text is, judged by its form alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A key in this format with a matching checksum.
    Portcullis,
    /// Begins like a key of this format and is none: mistyped or cut.
    Damaged,
    /// Something else.
    Other,
}

/// Judges a text by prefix, length, alphabet and checksum.
pub fn form(text: &[u8]) -> Form {
    if !text.starts_with(PREFIX.as_bytes()) {
        return Form::Other;
    }
    let Some((head, checksum)) = text.split_at_checked(LENGTH - CHECKSUM) else {
        return Form::Damaged;
    };
    let body = head.get(PREFIX.len()..).unwrap_or_default();
    let good = body.iter().all(u8::is_ascii_alphanumeric) && checksum == checksum_of(head);
    if good { Form::Portcullis } else { Form::Damaged }
}

/// Writes 32 random bytes as a key.
pub fn write(random: &[u8; 32]) -> String {
    let mut key = PREFIX.as_bytes().to_vec();
    key.extend_from_slice(&base62::<BODY>(random));
    let checksum = checksum_of(&key);
    key.extend_from_slice(&checksum);
    key.into_iter().map(char::from).collect()
}

/// The text with a mark in place of what follows each key prefix: keys do get sent in places where
/// they do not belong, and must not be found in a log.
pub(crate) fn without_keys(text: &[u8]) -> Cow<'_, [u8]> {
    // Looked for first because it is rare, and found faster than four bytes.
    if !holds(text, b'_') {
        return Cow::Borrowed(text);
    }
    let mut shown = Vec::new();
    let mut rest = text;
    while let Some(found) = rest.windows(PREFIX.len()).position(|part| part == PREFIX.as_bytes()) {
        let after = found.saturating_add(PREFIX.len());
        let (kept, key) = rest.split_at_checked(after).unwrap_or((rest, &[]));
        let length = key.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        shown.extend_from_slice(kept);
        shown.extend_from_slice(b"***");
        rest = key.get(length..).unwrap_or_default();
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.extend_from_slice(rest);
    Cow::Owned(shown)
}

fn checksum_of(head: &[u8]) -> [u8; CHECKSUM] {
    base62(&CRC.checksum(head).to_be_bytes())
}

/// A big-endian number in base 62, padded with zeros to `N` digits.
fn base62<const N: usize>(number: &[u8]) -> [u8; N] {
    let mut number: Vec<u8> = number.to_vec();
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        let remainder = number.iter_mut().fold(0_u16, |carry, byte| {
            let value = carry << 8 | u16::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            value % 62
        });
        *digit = DIGITS.get(usize::from(remainder)).copied().unwrap_or(b'0');
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn numbers_are_written_in_base_62() {
        assert_eq!(&base62::<6>(&[0, 0, 0, 0]), b"000000");
        assert_eq!(&base62::<6>(&[0, 0, 0, 61]), b"00000z");
        assert_eq!(&base62::<6>(&[0, 0, 1, 0]), b"000048");
        assert_eq!(&base62::<6>(&[255; 4]), b"4gfFC3");
        // 2^256 - 1 needs all 43 digits and fits them.
        assert_eq!((base62::<44>(&[255; 32])[0], base62::<44>(&[255; 32])[1] > b'0'), (b'0', true));
    }

    #[test]
    fn a_stray_key_is_not_repeated() {
        // K12
        let key = write(&[7; 32]);
        let text = format!("/a/{key}/b/pcl_x?{key}");
        assert_eq!(*without_keys(text.as_bytes()), *b"/a/pcl_***/b/pcl_***?pcl_***");
        assert!(matches!(without_keys(b"/orders/1"), Cow::Borrowed(b"/orders/1")));
    }

    #[test]
    fn a_damaged_key_is_known_by_its_form() {
        // K02, K03
        let key = write(&[7; 32]);
        assert_eq!((key.len(), form(key.as_bytes())), (LENGTH, Form::Portcullis));
        for cut in PREFIX.len()..LENGTH {
            assert_eq!(form(&key.as_bytes()[..cut]), Form::Damaged, "{cut}");
        }
        for position in PREFIX.len()..LENGTH {
            let mut other = key.clone().into_bytes();
            other[position] = if other[position] == b'a' { b'b' } else { b'a' };
            assert_eq!(form(&other), Form::Damaged, "{position}");
        }
        assert_eq!(form(format!("{key}x").as_bytes()), Form::Damaged);
        assert_eq!(form(b"legacy"), Form::Other);
    }
}
