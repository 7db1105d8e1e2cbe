//! JSON as most tokens hold it: few levels, no white space, no escapes, whole numbers. It is read several
//! times as fast as by the reader for everything, and never otherwise: a text that is not plain is left to
//! that one, and so is every fault.

use std::borrow::Cow;

use super::{Node, duplicate};

/// How deep plain text is nested.
const DEPTH: usize = 4;
/// Digits of a number that a double holds, whichever they are.
const DIGITS: usize = 15;
/// Room for the claims of most tokens.
const MEMBERS: usize = 16;

/// The tree of a plain text. `None` says nothing: it may be not plain, or not JSON.
pub(super) fn read(text: &str) -> Option<Node<'_>> {
    let (node, end) = value(text, 0, DEPTH)?;
    (end == text.len()).then_some(node)
}

/// The value at a place, which may nest so deep, and the place behind it.
fn value(text: &str, at: usize, depth: usize) -> Option<(Node<'_>, usize)> {
    match byte(text, at) {
        b'"' => string(text, at).map(|(text, end)| (Node::Text(Cow::Borrowed(text)), end)),
        b'0'..=b'9' => number(text, at),
        b'{' => map(text, at, depth.checked_sub(1)?),
        b'[' => list(text, at, depth.checked_sub(1)?),
        b't' => word(text, at, "true", Node::Bool(true)),
        b'f' => word(text, at, "false", Node::Bool(false)),
        b'n' => word(text, at, "null", Node::Null),
        _ => None,
    }
}

/// The byte at a place; behind the end 0, which begins and ends nothing.
fn byte(text: &str, at: usize) -> u8 {
    text.as_bytes().get(at).copied().unwrap_or(0)
}

/// The place behind another one. No text is so long that there is none.
fn after(at: usize) -> usize {
    at.wrapping_add(1)
}

fn word<'t>(text: &str, at: usize, word: &str, node: Node<'t>) -> Option<(Node<'t>, usize)> {
    let end = at.checked_add(word.len())?;
    (text.get(at..end)? == word).then_some((node, end))
}

/// A whole number. A point, an exponent or one more digit is not what may follow a value.
fn number(text: &str, at: usize) -> Option<(Node<'_>, usize)> {
    let (mut number, mut end) = (0_u64, at);
    for next in text.as_bytes().get(at..)?.iter().take(DIGITS) {
        let digit = next.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        end = after(end);
        if number == 0 {
            break; // A zero stands alone.
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "it has 15 digits at most")]
    Some((Node::Number(number as f64), end))
}

/// The text between a quotation mark and the next one, if nothing in it is escaped.
fn string(text: &str, at: usize) -> Option<(&str, usize)> {
    let start = after(at);
    let mut end = start;
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
            return (byte(text, end) == b'"').then_some((text.get(start..end)?, after(end)));
        }
    }
}

fn list(text: &str, at: usize, depth: usize) -> Option<(Node<'_>, usize)> {
    let (mut items, mut at) = (Vec::new(), after(at));
    if byte(text, at) == b']' {
        return Some((Node::List(items), after(at)));
    }
    loop {
        let (item, end) = value(text, at, depth)?;
        items.push(item);
        at = after(end);
        match byte(text, end) {
            b',' => {}
            b']' => return Some((Node::List(items), at)),
            _ => return None,
        }
    }
}

fn map(text: &str, at: usize, depth: usize) -> Option<(Node<'_>, usize)> {
    let mut at = after(at);
    if byte(text, at) == b'}' {
        return Some((Node::Map(Vec::new()), after(at)));
    }
    let mut members = Vec::with_capacity(if after(depth) == DEPTH { MEMBERS } else { 0 });
    loop {
        if byte(text, at) != b'"' {
            return None;
        }
        let (name, end) = string(text, at)?;
        if byte(text, end) != b':' {
            return None;
        }
        let (value, end) = value(text, after(end), depth)?;
        members.push((Cow::Borrowed(name), value));
        at = after(end);
        match byte(text, end) {
            b',' => {}
            b'}' => return duplicate(&members).is_none().then_some((Node::Map(members), at)),
            _ => return None,
        }
    }
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
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Whether a text is plain; it must be what the other reader makes of it.
    fn is_plain(text: &str) -> bool {
        let (plain, all) = (read(text), Node::parse(text.as_bytes()).ok());
        assert!(plain.is_none() || plain == all, "{text}");
        assert_eq!(Node::read(text.as_bytes()), all, "{text}");
        plain.is_some()
    }

    const CLAIMS: &str = r#"{"iss":"https://id.example.com","aud":["orders-api","b"],"sub":"","exp":1795695850,"iat":0,"realm_access":{"roles":["a","b"],"x":{}},"é":"ünïcödé","n":999999999999999,"b":[true,false,null,[]]}"#;

    #[test]
    fn claims_are_plain() {
        assert!(is_plain(CLAIMS));
        for text in ["{}", "[]", "0", "9", "\"\"", "\"a\"", "true", "null", "[1,2]", "[[[[]]]]"] {
            assert!(is_plain(text), "{text}");
        }
        assert!(is_plain(&format!("[{}1]", "1,".repeat(1_000))));
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
