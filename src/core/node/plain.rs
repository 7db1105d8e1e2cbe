//! JSON as most tokens hold it: few levels, no white space, no escapes, whole numbers. It is read several
//! times as fast as by the reader for everything, and never otherwise: a text that is not plain is left to
//! that one, and so is every fault.

use std::num::NonZeroUsize;

use super::flat::{Kind, Slot, close};
use crate::bytes::same;

/// How deep plain text is nested.
const DEPTH: usize = 4;
/// Digits of a number that a double holds, whichever they are.
const DIGITS: usize = 15;
/// Most members of an object in plain text: each may have to be held against those before it.
const MEMBERS: usize = 32;
/// Room for the claims of most tokens.
const ROOM: usize = 16;

/// A place behind something that was read: never the first one.
type End = NonZeroUsize;

/// The values of a plain text. `None` says nothing: it may be not plain, or not JSON.
pub(super) fn read(text: &str) -> Option<Vec<Slot<'_>>> {
    let mut slots = Vec::with_capacity(ROOM);
    let end = value(text, &mut slots, b"", 0, DEPTH)?;
    (end.get() == text.len()).then_some(slots)
}

/// Reads the value at a place, which may nest so deep.
fn value<'t>(
    text: &'t str,
    slots: &mut Vec<Slot<'t>>,
    name: &'t [u8],
    at: usize,
    depth: usize,
) -> Option<End> {
    let (kind, end) = match byte(text, at) {
        b'"' => {
            let end = string(text, at)?.get();
            (Kind::Text(text.get(after(at)..end)?), after(end))
        }
        b'0'..=b'9' => number(text, at)?,
        b'[' => (Kind::List, after(at)),
        b'{' => (Kind::Map, after(at)),
        b't' => (Kind::Bool(true), word(text, at, "true")?.get()),
        b'f' => (Kind::Bool(false), word(text, at, "false")?.get()),
        b'n' => (Kind::Null, word(text, at, "null")?.get()),
        _ => return None,
    };
    let place = slots.len();
    slots.push(Slot { name, kind, size: 1 });
    if !matches!(kind, Kind::List | Kind::Map) {
        return End::new(end);
    }
    let is_map = matches!(kind, Kind::Map);
    let end = inside(text, slots, end, depth.checked_sub(1)?, is_map)?;
    close(slots, place);
    Some(end)
}

/// The byte at a place; behind the end 0, which begins and ends nothing.
fn byte(text: &str, at: usize) -> u8 {
    text.as_bytes().get(at).copied().unwrap_or(0)
}

/// The place behind another one. No text is so long that there is none.
const fn after(at: usize) -> usize {
    at.wrapping_add(1)
}

/// The place behind a word.
fn word(text: &str, at: usize, word: &str) -> Option<End> {
    let is_there = text.as_bytes().get(at..)?.starts_with(word.as_bytes());
    if is_there { End::new(at.wrapping_add(word.len())) } else { None }
}

/// A whole number. A point, an exponent or one more digit is not what may follow a value.
fn number(text: &str, at: usize) -> Option<(Kind<'_>, usize)> {
    let digits = text.as_bytes().get(at..)?;
    if digits.first() == Some(&b'0') {
        return Some((Kind::Number(0.0), after(at))); // A zero stands alone.
    }
    let eight =
        digits.split_first_chunk().and_then(|(eight, rest)| Some((eight_digits(*eight)?, rest)));
    let (mut number, rest) = eight.unwrap_or((0, digits));
    let mut end = text.len().wrapping_sub(rest.len());
    for byte in rest.iter().take(at.wrapping_add(DIGITS).wrapping_sub(end)) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        end = after(end);
    }
    #[expect(clippy::cast_precision_loss, reason = "it has 15 digits at most")]
    Some((Kind::Number(number as f64), end))
}

/// The number of eight digits, which a date has at least. Neighbours are added up three times over: digits to
/// numbers below 100, these to numbers below 10,000, and these.
const fn eight_digits(text: [u8; 8]) -> Option<u64> {
    const EACH: u64 = u64::MAX / 0xff;
    let digits = u64::from_le_bytes(text) ^ EACH.wrapping_mul(0x30);
    // The high bit of those above nine; beyond a byte that has one itself there may be more.
    if (digits | digits.wrapping_add(EACH.wrapping_mul(0x80 - 10))) & (EACH << 7) != 0 {
        return None;
    }
    let twos = digits.wrapping_mul(10).wrapping_add(digits >> 8) & (0x00ff_00ff_00ff_00ff);
    let fours = twos.wrapping_mul(100).wrapping_add(twos >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff)
}

/// The place of the quotation mark after the one at a place, if nothing between them is escaped.
fn string(text: &str, at: usize) -> Option<End> {
    let mut end = after(at);
    loop {
        let rest = text.as_bytes().get(end..)?;
        // Zeros behind the end are control characters, at which plain text ends.
        let mut eight = [0; 8];
        match rest.first_chunk() {
            Some(chunk) => eight = *chunk,
            None => eight.iter_mut().zip(rest).for_each(|(byte, from)| *byte = *from),
        }
        let special = special(u64::from_le_bytes(eight));
        end = end.wrapping_add(usize::try_from(special.trailing_zeros() / 8).ok()?);
        if special != 0 {
            return if byte(text, end) == b'"' { End::new(end) } else { None };
        }
    }
}

/// Reads what is inside a list or an object, from the first item or member on.
fn inside<'t>(
    text: &'t str,
    slots: &mut Vec<Slot<'t>>,
    mut at: usize,
    depth: usize,
    is_map: bool,
) -> Option<End> {
    let last = if is_map { b'}' } else { b']' };
    if byte(text, at) == last {
        return End::new(after(at));
    }
    let (first, mut marks, mut members) = (slots.len(), 0_u64, 0_usize);
    loop {
        let mut name: &[u8] = b"";
        if is_map {
            if byte(text, at) != b'"' || members == MEMBERS {
                return None;
            }
            let end = string(text, at)?.get();
            name = text.as_bytes().get(after(at)..end)?;
            // Equal names have the same one of 64 marks.
            let of = |byte: Option<&u8>| byte.copied().map_or(0, u32::from);
            let mark = 1_u64.wrapping_shl(of(name.first()).wrapping_mul(5) ^ of(name.last()));
            if marks & mark != 0 && has(slots.get(first..)?, name) {
                return None;
            }
            (marks, members) = (marks | mark, after(members));
            at = after(end);
            if byte(text, at) != b':' {
                return None;
            }
            at = after(at);
        }
        let end = value(text, slots, name, at, depth)?.get();
        at = after(end);
        let next = byte(text, end);
        if next == last {
            return End::new(at);
        }
        if next != b',' {
            return None;
        }
    }
}

/// Whether one of these members has a name.
fn has(mut members: &[Slot<'_>], name: &[u8]) -> bool {
    while let Some(member) = members.first() {
        if same(member.name, name) {
            return true;
        }
        members = members.get(member.size..).unwrap_or_default();
    }
    false
}

/// Of eight bytes, the first one in the lowest place, the high bits of those that end plain text: quotation
/// marks, backslashes and control characters. Above the lowest bit that is set there may be more than
/// there should be.
const fn special(bytes: u64) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    let marks = (bytes ^ EACH.wrapping_mul(0x22)).wrapping_sub(EACH);
    let slashes = (bytes ^ EACH.wrapping_mul(0x5c)).wrapping_sub(EACH);
    let controls = bytes.wrapping_sub(EACH.wrapping_mul(0x20));
    (marks | slashes | controls) & !bytes & (EACH << 7)
}

#[cfg(test)]
mod tests {
    use super::super::Node;
    use super::super::flat::Flat;
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Whether a text is plain; it must be what the other reader makes of it.
    fn is_plain(text: &str) -> bool {
        let mut tree = None;
        let flat = Flat::read(text.as_bytes(), &mut tree).map(|flat| flat.root().node());
        assert_eq!(flat, Node::parse(text.as_bytes()).ok(), "{text}");
        read(text).is_some()
    }

    const CLAIMS: &str = r#"{"iss":"https://id.example.com","aud":["orders-api","b"],"sub":"","exp":1795695850,"iat":0,"realm_access":{"roles":["a","b"],"x":{}},"é":"ünïcödé","n":999999999999999,"b":[true,false,null,[]]}"#;

    #[test]
    fn claims_are_plain() {
        assert!(is_plain(CLAIMS));
        for text in ["1234567", "12345678", "99999999", "123456789", "100000000000000"] {
            assert!(is_plain(text), "{text}");
        }
        for text in ["{}", "[]", "0", "9", "\"\"", "\"a\"", "true", "null", "[1,2]", "[[[[]]]]"] {
            assert!(is_plain(text), "{text}");
        }
        assert!(is_plain(&format!("[{}1]", "1,".repeat(1_000))));
        let object = |members: usize| {
            let members: Vec<_> = (0..members).map(|member| format!("\"m{member}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(is_plain(&object(MEMBERS)) && !is_plain(&object(MEMBERS + 1)));
    }

    #[test]
    fn all_else_is_left_to_the_other_reader() {
        for text in [
            "",
            " ",
            "{} ",
            " {}",
            "{}{}",
            "[1,]",
            "[,1]",
            "{\"a\":1,}",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "[1",
            "{\"a\":1",
            "\"",
            "\"a",
            "\"a\\\"",
            "\"\\u0061\"",
            "\"\t\"",
            "\"\u{0}\"",
            "01",
            "00",
            "-1",
            "-0",
            "1.0",
            "1e3",
            "1E3",
            "1000000000000000",
            "12345678a",
            "1234567:",
            "1234567/",
            "1234567\u{b0}",
            "18446744073709551616",
            "tru",
            "truee",
            "nul",
            "True",
            "[[[[[]]]]]",
            "{\"a\":1,\"a\":2}",
            "{\"a\":{\"b\":1,\"c\":2,\"b\":3}}",
            "{a:1}",
            "'a'",
            "[1 2]",
            "{\"a\" :1}",
            "\u{feff}{}",
            "NaN",
            "1\u{0}",
            "{1:2}",
            "[\"a\"\"b\"]",
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }

    #[test]
    fn no_change_of_a_byte_is_read_otherwise() {
        for place in 0..CLAIMS.len() {
            for byte in 0..=0x7f_u8 {
                let mut text = CLAIMS.as_bytes().to_vec();
                if let Some(there) = text.get_mut(place) {
                    *there = byte;
                }
                if let Ok(text) = str::from_utf8(&text) {
                    is_plain(text);
                }
            }
            for (start, end) in [(0, place), (place, CLAIMS.len())] {
                if let Some(text) = CLAIMS.get(start..end) {
                    is_plain(text);
                }
            }
        }
    }
}
