//! Looking at bytes eight at a time. On `wasm32-wasip1` a comparison of slices is the C library's, which
//! takes one at a time: a token of 700 bytes would cost more than all other checks of its request.

mod set;

pub(crate) use set::ByteSet;

/// A bit for every byte.
const ONES: u64 = u64::MAX / 0xff;
/// The top bit of every byte.
const TOPS: u64 = ONES << 7;

/// Whether two texts are the same, byte by byte.
#[inline]
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    // Sixteen at a time where there are so many, from the end on. The first ones overlap with those behind
    // them, so that none is left over.
    if let (Some(first), Some(other_first)) = (one.first_chunk(), other.first_chunk()) {
        let pairs = one.as_rchunks().1.iter().zip(other.as_rchunks().1);
        let differences = pairs.fold(0, |seen, (a, b)| seen | differ(a, b));
        return differences | differ(first, other_first) == 0;
    }
    if let (Some(first), Some(other_first)) = (one.first_chunk(), other.first_chunk())
        && let (Some(last), Some(other_last)) = (one.last_chunk(), other.last_chunk())
    {
        return word(*first) == word(*other_first) && word(*last) == word(*other_last);
    }
    one.iter().zip(other).all(|(a, b)| a == b)
}

/// The bits in which sixteen bytes differ.
const fn differ(one: &[u8; 16], other: &[u8; 16]) -> u128 {
    u128::from_le_bytes(*one) ^ u128::from_le_bytes(*other)
}

/// Whether a byte stands in a text.
#[inline]
pub(crate) fn holds(text: &[u8], byte: u8) -> bool {
    let (words, rest) = text.as_chunks();
    words.iter().any(|bytes| is_in(byte, word(*bytes)) & TOPS != 0)
        || !rest.iter().all(|other| *other != byte)
}

/// Sets the top bit of the first place where a byte stands in a word, and perhaps others after it.
const fn is_in(byte: u8, word: u64) -> u64 {
    let word = word ^ ONES.wrapping_mul(byte as u64);
    word.wrapping_sub(ONES) & !word
}

const fn word(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_byte_counts_in_every_place() {
        for byte in 0..=u8::MAX {
            for other in [b'a', b' ', b'~', 0x80, 0x00, b'"', b'_', b'^'] {
                for place in 0..9 {
                    let mut text = [other; 9];
                    text[place] = byte;
                    let mut long = [other; 35];
                    long[4 * place] = byte;
                    assert_eq!(same(&long, &[other; 35]), byte == other, "{long:?}");
                    assert_eq!(holds(&text, b'_'), text.contains(&b'_'));
                    assert_eq!(same(&text, &[other; 9]), byte == other, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn texts_of_other_lengths_differ() {
        for length in 0..20 {
            for other in 0..20 {
                let (one, two) = (vec![b'x'; length], vec![b'x'; other]);
                assert_eq!(same(&one, &two), length == other);
            }
        }
    }
}
