//! Sixteen characters of base64url at a time, where the machine has vectors of 128 bits.

use std::arch::wasm32::{
    i8x16_shuffle, i8x16_swizzle, u8x16, u8x16_add, u8x16_eq, u8x16_shr, u8x16_splat, u16x8_shl,
    u16x8_shr, u16x8_splat, u32x4_extract_lane, u32x4_shl, u32x4_shr, u32x4_splat, u64x2, v128_and,
    v128_any_true, v128_or,
};

/// Writes the twelve bytes of sixteen characters, if all of them are of the alphabet.
pub(super) fn decode(text: &[u8; 16], out: &mut [[u8; 4]; 3]) -> bool {
    // A character is two hexadecimal digits; every row of the ASCII table, which the first digit names,
    // has a bit. A second digit has the bits of the rows in which it makes no character of the alphabet.
    const MINUS: u8 = 1; // 2_: `-`
    const DIGIT: u8 = 2; // 3_: `0` to `9`
    const FIRST: u8 = 4; // 4_ and 6_: `A` to `O`, `a` to `o`
    const UPPER: u8 = 8; // 5_: `P` to `Z`, `_`
    const LOWER: u8 = 16; // 7_: `p` to `z`
    const OTHER: u8 = 32;
    const ALL: u8 = MINUS | OTHER;
    let rows = u8x16(
        OTHER, OTHER, MINUS, DIGIT, FIRST, UPPER, FIRST, LOWER, OTHER, OTHER, OTHER, OTHER, OTHER,
        OTHER, OTHER, OTHER,
    );
    let past_nine = ALL | DIGIT;
    let past_z = past_nine | UPPER | LOWER;
    let wrong = u8x16(
        ALL | FIRST,
        ALL,
        ALL,
        ALL,
        ALL,
        ALL,
        ALL,
        ALL,
        ALL,
        ALL,
        past_nine,
        past_z,
        past_z,
        past_z ^ MINUS,
        past_z,
        past_z ^ UPPER,
    );
    // What makes a value of a character, by its row.
    let minus = 62_u8.wrapping_sub(b'-');
    let digit = 52_u8.wrapping_sub(b'0');
    let upper = 0_u8.wrapping_sub(b'A');
    let lower = 26_u8.wrapping_sub(b'a');
    let offsets = u8x16(0, 0, minus, digit, upper, upper, lower, lower, 0, 0, 0, 0, 0, 0, 0, 0);
    let underscore = 63_u8.wrapping_sub(b'_').wrapping_sub(upper);

    let [low, high] = halves(u128::from_le_bytes(*text));
    let text = u64x2(low, high);
    let first = u8x16_shr(text, 4);
    let second = v128_and(text, u8x16_splat(15));
    if v128_any_true(v128_and(i8x16_swizzle(rows, first), i8x16_swizzle(wrong, second))) {
        return false;
    }
    let values = u8x16_add(text, i8x16_swizzle(offsets, first));
    let is_underscore = u8x16_eq(text, u8x16_splat(b'_'));
    let values = u8x16_add(values, v128_and(is_underscore, u8x16_splat(underscore)));
    // Six bits each; two become twelve, four become 24, whose bytes are turned round.
    let twos = v128_or(u16x8_shl(v128_and(values, u16x8_splat(0x3f)), 6), u16x8_shr(values, 8));
    let fours = v128_or(u32x4_shl(v128_and(twos, u32x4_splat(0xfff)), 12), u32x4_shr(twos, 16));
    let bytes = i8x16_shuffle::<2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, 0, 0, 0, 0>(fours, fours);
    let [one, two, three] = out;
    *one = u32x4_extract_lane::<0>(bytes).to_le_bytes();
    *two = u32x4_extract_lane::<1>(bytes).to_le_bytes();
    *three = u32x4_extract_lane::<2>(bytes).to_le_bytes();
    true
}

#[expect(clippy::cast_possible_truncation, reason = "each half is one")]
fn halves(both: u128) -> [u64; 2] {
    [both as u64, (both >> 64) as u64]
}
