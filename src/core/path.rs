//! The path of a request in the one form that rules are matched against.
//!
//! A path that two programs could read in two ways is refused, never repaired: what the rule saw
//! must be what the upstream sees. What is left differs only in spellings that RFC 3986 calls
//! equivalent, and those are folded:
//!
//! - percent-encoded characters that a segment may hold as they are (`pchar`) are decoded,
//! - every other character is percent-encoded, with upper-case hex digits.

use std::borrow::Cow;

use crate::bytes::ByteSet;

/// Longest path, in bytes before the query, that is read at all.
pub(crate) const MAX_PATH: usize = 8 * 1024;

/// A path in canonical form: begins with `/`, holds no empty segment but possibly the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'r> {
    text: Cow<'r, str>,
    query: Option<&'r [u8]>,
}

/// What makes a path unreadable, in words for the operator.
pub(crate) type Fault = &'static str;

impl<'r> Path<'r> {
    /// Splits a request target into its canonical path and the query as it was sent.
    ///
    /// # Errors
    /// Says what cannot be read one way only; the rule set is in the policy reference.
    #[inline]
    pub fn parse(target: &'r [u8]) -> Result<Self, Fault> {
        let (path, query) = match target.iter().position(|byte| *byte == b'?') {
            Some(mark) => {
                let (path, rest) = target.split_at_checked(mark).unwrap_or((target, &[]));
                (path, rest.split_first().map(|(_, query)| query))
            }
            None => (target, None),
        };
        if path.len() > MAX_PATH {
            return Err("the path is longer than 8192 bytes");
        }
        if let Some(query) = query {
            check_query(query)?;
        }
        if is_canonical(path) {
            let text = str::from_utf8(path).map_err(|_| "the path holds a byte outside ASCII")?;
            return Ok(Self { text: Cow::Borrowed(text), query });
        }
        let text = Cow::Owned(canonical(path)?);
        check_segments(&text)?;
        Ok(Self { text, query })
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The query as it was sent, without its question mark.
    pub fn query(&self) -> Option<&'r [u8]> {
        self.query
    }
}

/// The segments of a path between its slashes: `/a/b/` has `a`, `b` and an empty one. A slash at the
/// start may be missing.
#[derive(Clone, Debug)]
pub(crate) struct Segments<'t>(Option<&'t str>);

impl<'t> Segments<'t> {
    #[inline]
    pub(crate) fn of(path: &'t str) -> Self {
        Self(Some(path.strip_prefix('/').unwrap_or(path)))
    }

    /// Whether there is no further segment.
    fn is_over(&self) -> bool {
        self.0.is_none()
    }
}

impl<'t> Iterator for Segments<'t> {
    type Item = &'t str;

    #[inline]
    fn next(&mut self) -> Option<&'t str> {
        let text = self.0?;
        // Segments are short: looking byte by byte is over before a search of words has begun.
        let end = text.bytes().position(|byte| byte == b'/');
        let Some((segment, rest)) = end.and_then(|end| text.split_at_checked(end)) else {
            self.0 = None;
            return Some(text);
        };
        self.0 = rest.strip_prefix('/');
        Some(segment)
    }
}

/// Whether a path is in canonical form by the looks of it: nothing to decode or to encode, no segment
/// that is empty or begins with a dot. Nearly all are.
#[inline]
fn is_canonical(path: &[u8]) -> bool {
    let is_odd = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.']);
    path.first() == Some(&b'/') && PCHAR_OR_SLASH.has_all(path) && !path.windows(2).any(is_odd)
}

fn check_query(query: &[u8]) -> Result<(), Fault> {
    if query.contains(&b'#') {
        return Err("the target holds a fragment");
    }
    if !query.iter().all(|byte| matches!(byte, 0x21..=0x7e)) {
        return Err("the query holds a byte outside printable ASCII");
    }
    Ok(())
}

fn check_segments(text: &str) -> Result<(), Fault> {
    if !text.starts_with('/') {
        return Err("the path does not begin with a slash");
    }
    let mut segments = Segments::of(text);
    while let Some(segment) = segments.next() {
        match segment {
            "" if !segments.is_over() => return Err("the path holds an empty segment"),
            "." | ".." => return Err("the path holds a dot segment"),
            _ => {}
        }
    }
    Ok(())
}

/// Decodes `pchar`, encodes the rest, refuses what has no single reading.
fn canonical(path: &[u8]) -> Result<String, Fault> {
    let mut text = String::with_capacity(path.len().saturating_add(16));
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.iter().copied();
    while let Some(byte) = rest.next() {
        let (byte, escaped) = match byte {
            b'%' => (unescape(rest.next(), rest.next())?, true),
            other => (other, false),
        };
        check_byte(byte, escaped)?;
        decoded.push(byte);
        if PCHAR_OR_SLASH.has(byte) {
            text.push(char::from(byte));
        } else {
            push_escape(&mut text, byte);
        }
    }
    if decoded.windows(3).any(is_escape) {
        return Err("the path is percent-encoded twice");
    }
    match str::from_utf8(&decoded) {
        Ok(_) => Ok(text),
        Err(_) => Err("the path is not UTF-8 once decoded"),
    }
}

fn check_byte(byte: u8, escaped: bool) -> Result<(), Fault> {
    match (byte, escaped) {
        (b'/', true) => Err("the path holds an encoded slash"),
        (b'\\', _) => Err("the path holds a backslash"),
        (b';', _) => Err("the path holds a `;` parameter"),
        (b'#', false) => Err("the target holds a fragment"),
        (0..=0x1f | 0x7f, _) => Err("the path holds a control character"),
        (b' ', false) => Err("the path holds a raw space"),
        (0x80.., false) => Err("the path holds a byte outside ASCII"),
        _ => Ok(()),
    }
}

fn unescape(high: Option<u8>, low: Option<u8>) -> Result<u8, Fault> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    match (digit(high), digit(low)) {
        (Some(high), Some(low)) => u8::try_from(high << 4 | low).map_err(|_| BAD_ESCAPE),
        _ => Err(BAD_ESCAPE),
    }
}

const BAD_ESCAPE: Fault = "the path holds a `%` that is not followed by two hex digits";

fn is_escape(window: &[u8]) -> bool {
    matches!(window, [b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

fn push_escape(text: &mut String, byte: u8) {
    text.push('%');
    for nibble in [byte >> 4, byte & 0x0f] {
        text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase());
    }
}

/// A `pchar` of RFC 3986 section 3.3 without `;`, or the slash.
static PCHAR_OR_SLASH: ByteSet =
    ByteSet::of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@/");

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn check(target: &str, expected: Option<&str>) {
        let path = Path::parse(target.as_bytes());
        assert_eq!(path.as_ref().ok().map(Path::as_str), expected, "{target}");
    }

    #[test]
    fn folds_equivalent_spellings() {
        check("/", Some("/"));
        check("/orders/1", Some("/orders/1"));
        check("/orders/", Some("/orders/"));
        check("/%61dmin/users", Some("/admin/users"));
        check("/a%20b", Some("/a%20b"));
        check("/a%c3%a9", Some("/a%C3%A9"));
        check("/x%3Acancel%2c%40", Some("/x:cancel,@"));
        check("/orders/{id}", Some("/orders/%7Bid%7D"));
        check("/orders/[", Some("/orders/%5B"));
        check("/100%25", Some("/100%25"));
        check("/public/x?y=/../../admin", Some("/public/x"));
        check("/admin?", Some("/admin"));
        check("/...", Some("/..."));
    }

    #[test]
    fn refuses_what_has_two_readings() {
        // R03 to R14, R17
        for target in [
            "",
            "*",
            "admin/users",
            "?x",
            "//",
            "//admin",
            "/a//b",
            "/.",
            "/..",
            "/./admin",
            "/orders/../admin",
            "/orders/%2e%2e/admin",
            "/orders/.%2e/admin",
            "/orders/%2E./admin",
            "/orders/..%2fadmin",
            "/admin%2Fusers",
            "/orders/..\\admin",
            "/a%5cb",
            "/orders/..;/admin",
            "/;/admin",
            "/admin;x=y/users",
            "/a%3Bb",
            "/orders/%252e%252e/admin",
            "/%2561dmin",
            "/%25%36%31dmin",
            "/admin%00",
            "/admin%",
            "/admin%4",
            "/admin%zz",
            "/admin%0a",
            "/%c0%ae%c0%ae/admin",
            "/%c0%afadmin",
            "/%e0%80%af",
            "/%ff",
            "/\u{ff41}dmin",
            "/public/x#/../../admin",
            "/admin#",
            "/orders/1#?",
            "/x?y#z",
            "/x y",
            "/admin/.",
            "http://api.example.com/admin",
            "/x?\u{e9}",
            "/x?a b",
        ] {
            check(target, None);
        }
        check(&format!("/{}", "a".repeat(MAX_PATH)), None);
    }

    #[test]
    fn is_idempotent() {
        for target in
            ["/%61%7b%7D/%c3%a9", "/100%25", "/a b".replace(' ', "%20").as_str(), "/%25/x"]
        {
            let once = Path::parse(target.as_bytes())
                .map(|path| path.as_str().to_owned())
                .unwrap_or_default();
            check(&once, Some(&once));
        }
    }
}
