//! Sets of ASCII bytes: whether all bytes of a text are in one, sixteen at a time where the machine has
//! vectors of 128 bits.

/// A set of ASCII bytes.
///
/// The ASCII table has eight rows of sixteen. Here is what is not in the set, by columns: entry `c` has bit
/// `r` if byte `16 * r + c` is missing.
#[derive(Clone, Copy)]
pub(crate) struct ByteSet([u8; 16]);

impl ByteSet {
    /// The set of these bytes, in ASCII and none of them a control character: `has_all` relies on both.
    #[expect(clippy::indexing_slicing, reason = "the compiler evaluates it, for statics alone")]
    pub(crate) const fn of(mut members: &[u8]) -> Self {
        let mut missing = [u8::MAX; 16];
        while let [byte, rest @ ..] = members {
            assert!(byte.is_ascii() && !byte.is_ascii_control());
            missing[(*byte & 15) as usize] &= !(1 << (*byte >> 4));
            members = rest;
        }
        Self(missing)
    }

    /// Whether a byte is in the set.
    pub(crate) fn has(&self, byte: u8) -> bool {
        let missing = self.0.get(usize::from(byte & 15)).copied().unwrap_or(u8::MAX);
        byte.is_ascii() && missing & 1_u8.wrapping_shl((byte >> 4).into()) == 0
    }

    /// Whether all bytes of a text are in the set.
    #[inline(never)]
    pub(crate) fn has_all(&self, text: &[u8]) -> bool {
        // The last ones overlap with those before, so that none is left over.
        if let Some(last) = text.last_chunk() {
            return text
                .as_chunks()
                .0
                .iter()
                .all(|block| self.has_block(u128::from_le_bytes(*block)))
                && self.has_block(u128::from_le_bytes(*last));
        }
        if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
            let [first, last] = [first, last].map(|half| u128::from(u64::from_le_bytes(*half)));
            return self.has_block(first | last << 64);
        }
        text.iter().all(|byte| self.has(*byte))
    }

    #[cfg(target_feature = "simd128")]
    #[inline]
    fn has_block(&self, block: u128) -> bool {
        use std::arch::wasm32::{
            i8x16_swizzle, u8x16, u8x16_shr, u8x16_splat, v128_and, v128_any_true,
        };
        let all = u8::MAX;
        // The bit of each row. Rows outside ASCII have all bits, one of which every column has: that of
        // control characters, which are in no set.
        let rows = u8x16(1, 2, 4, 8, 16, 32, 64, 128, all, all, all, all, all, all, all, all);
        let block = vector(block);
        let row = i8x16_swizzle(rows, u8x16_shr(block, 4));
        let missing = vector(u128::from_le_bytes(self.0));
        let missing = i8x16_swizzle(missing, v128_and(block, u8x16_splat(15)));
        !v128_any_true(v128_and(row, missing))
    }

    #[cfg(not(target_feature = "simd128"))]
    fn has_block(&self, block: u128) -> bool {
        block.to_le_bytes().iter().all(|byte| self.has(*byte))
    }
}

#[cfg(target_feature = "simd128")]
#[expect(clippy::cast_possible_truncation, reason = "each half is one")]
fn vector(both: u128) -> std::arch::wasm32::v128 {
    std::arch::wasm32::u64x2(both as u64, (both >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_byte_counts_in_every_place() {
        let members = b"!/09AZaz~";
        let set = ByteSet::of(members);
        for byte in 0..=u8::MAX {
            assert_eq!(set.has(byte), members.contains(&byte), "{byte}");
            for length in 0..40 {
                for place in 0..length {
                    let mut text = vec![b'a'; length];
                    text[place] = byte;
                    assert_eq!(set.has_all(&text), set.has(byte), "{text:?}");
                }
            }
        }
        assert!(set.has_all(b""));
    }
}
