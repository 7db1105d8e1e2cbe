//! The host of a request in the one form that routes are matched against.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use crate::bytes::ByteSet;
use crate::path::Fault;

/// Longest host, in bytes with its port: a name of 253 and `:65535`, or an address in brackets.
const MAX_HOST: usize = 260;

/// What a host is made of that is in canonical form, unless it is an IPv6 address.
static LOWER_NAME: ByteSet = ByteSet::of(b"abcdefghijklmnopqrstuvwxyz0123456789-_.");

/// Lower-case host without port and without the root's trailing dot (RFC 9110 section 4.2.3).
///
/// # Errors
/// Says what is wrong: user information, an empty label, a character outside letters, digits, `-`,
/// `_` and `.`, a port that is no port.
#[inline]
pub(crate) fn canonical(authority: &[u8]) -> Result<Cow<'_, str>, Fault> {
    if authority.len() > MAX_HOST {
        return Err("the host is too long");
    }
    let Ok(text) = str::from_utf8(authority) else {
        return Err("the host holds a byte outside ASCII");
    };
    if is_canonical(authority) {
        return Ok(Cow::Borrowed(text));
    }
    let host = without_port(text)?;
    if let Some(inside) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        // An address has many spellings (RFC 4291 section 2.2) and one recommended one (RFC 5952).
        let address: Ipv6Addr = inside.parse().map_err(|_| "the host is not an IPv6 address")?;
        return Ok(Cow::Owned(format!("[{address}]")));
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if is_canonical(host.as_bytes()) { Ok(Cow::Owned(host)) } else { Err("the host is not a name") }
}

/// Whether a host is in canonical form by the looks of it: a name without anything to fold or to take off.
/// Nearly all are.
#[inline]
fn is_canonical(host: &[u8]) -> bool {
    let is_dot = |byte: Option<&u8>| byte.is_none_or(|byte| *byte == b'.');
    let is_empty_label = |pair: &[u8]| matches!(pair, b"..");
    LOWER_NAME.has_all(host)
        && !is_dot(host.first())
        && !is_dot(host.last())
        && !host.windows(2).any(is_empty_label)
}

fn without_port(text: &str) -> Result<&str, Fault> {
    let find = |wanted| text.bytes().position(|byte| byte == wanted);
    let end = if text.starts_with('[') {
        find(b']').ok_or("the host has no closing bracket")?.saturating_add(1)
    } else {
        find(b':').unwrap_or(text.len())
    };
    let (host, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok(host),
        Some(digits) if port(digits.as_bytes()).is_some() => Ok(host),
        _ => Err("the host is followed by something that is not a port"),
    }
}

/// The number of a port: decimal digits and nothing else, up to 65535.
#[inline]
pub(crate) fn port(digits: &[u8]) -> Option<u16> {
    let number = digits.iter().try_fold(0_u32, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte & 0x0f))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })?;
    u16::try_from(number).ok().filter(|_| !digits.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn folds_case_port_and_trailing_dot() {
        // R33
        for spelling in [
            "api.example.com",
            "API.EXAMPLE.COM",
            "api.example.com:8443",
            "api.example.com.",
            "api.example.com.:443",
        ] {
            assert_eq!(canonical(spelling.as_bytes()).as_deref(), Ok("api.example.com"));
        }
        for spelling in ["[2001:DB8::1]:443", "[2001:db8:0:0::1]", "[2001:0db8::0001]"] {
            assert_eq!(canonical(spelling.as_bytes()).as_deref(), Ok("[2001:db8::1]"));
        }
    }

    #[test]
    fn refuses_what_is_no_host() {
        // R35
        for text in [
            "",
            ".",
            "..",
            ":80",
            "a@api.example.com",
            "api.example.com#",
            "api.example.com\\",
            "api example.com",
            "api.example.com:",
            "api.example.com:x",
            "api.example.com:99999",
            "a..b",
            ".a",
            "api.example.com..",
            "caf\u{e9}.example",
            "[::1",
            "[::1]x",
            "[x]",
            "a%2eb",
        ] {
            assert!(canonical(text.as_bytes()).is_err(), "{text}");
        }
    }
}
