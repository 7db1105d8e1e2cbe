//! Words: names, scopes, header names, digests, methods.

use std::borrow::Cow;

use super::{Checked, Fault, MAX_HEADER, MAX_TEXT, NAME_DOC, exactly, fault};
use crate::config::diagnostic::{code, looks_secret};
use crate::config::suggest;
use crate::method;

/// Names and ids are shown in audit records, metrics and messages: a key in their place is refused.
pub(super) fn name(text: &str, out: &mut Vec<u8>) -> Checked {
    if looks_secret(text) {
        return Err(Fault {
            code: code::KEY_PLAINTEXT,
            why: "it looks like a key".into(),
            help: "it is shown in audit records: choose one that says nothing".into(),
        });
    }
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    exactly(first && text.len() <= 64 && text.bytes().all(good), text, NAME_DOC, out)
}

pub(super) fn scope(text: &str, out: &mut Vec<u8>) -> Checked {
    let good = |byte: u8| matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b'\\' | b',');
    let help = "1 to 128 printable ASCII characters without space, comma, `\"` and `\\`";
    exactly(matches!(text.len(), 1..=128) && text.bytes().all(good), text, help, out)
}

pub(super) fn realm(text: &str, out: &mut Vec<u8>) -> Checked {
    let good = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    let help = "1 to 256 printable ASCII characters without `\"` and `\\`";
    exactly(matches!(text.len(), 1..=MAX_TEXT) && text.bytes().all(good), text, help, out)
}

/// SHA-256 of the empty text.
const DIGEST_OF_NOTHING: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Names that frame the message, or that the gateway or Envoy reads for another purpose.
const RESERVED: &str = "connection content-length content-type cookie expect grpc-timeout host keep-alive \
    proxy-connection te trailer transfer-encoding upgrade x-forwarded-for x-request-id";

pub(super) fn header(text: &str, out: &mut Vec<u8>) -> Checked {
    if !matches!(text.len(), 1..=MAX_HEADER) || !text.bytes().all(is_token) {
        return fault("", "a header name has letters, digits, `-` and `_`, at most 63 of them");
    }
    let folded = fold_header(text);
    if RESERVED.split(' ').any(|reserved| reserved == folded) {
        return fault("this one has a purpose of its own", "choose another header");
    }
    out.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
    Ok(())
}

/// A header's name with everything folded that a server behind could fold: case, and `_` to `-`.
pub(crate) fn fold_header(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte == b'_' || byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase().replace('_', "-"))
    } else {
        Cow::Borrowed(text)
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

pub(super) fn parameter(text: &str, out: &mut Vec<u8>) -> Checked {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    let help = "1 to 63 letters, digits, `.`, `_`, `~` and `-`";
    exactly(matches!(text.len(), 1..=MAX_HEADER) && text.bytes().all(good), text, help, out)
}

pub(super) fn cookie(text: &str, out: &mut Vec<u8>) -> Checked {
    let help = "1 to 63 characters of a token, such as letters, digits, `-` and `_`";
    exactly(matches!(text.len(), 1..=MAX_HEADER) && text.bytes().all(is_token), text, help, out)
}

pub(super) fn digest(text: &str, out: &mut Vec<u8>) -> Checked {
    const HELP: &str = "`portcullis key hash` prints the digest of a key";
    match decode_digest(text) {
        Some(DIGEST_OF_NOTHING) => {
            let why = "it is the digest of the empty text".into();
            Err(Fault { code: code::KEY_EMPTY, why, help: HELP.into() })
        }
        Some(digest) => {
            out.extend_from_slice(&digest);
            Ok(())
        }
        None if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            let why = "this may be the key itself, so it is not shown".into();
            Err(Fault { code: code::KEY_PLAINTEXT, why, help: HELP.into() })
        }
        None if text.len() != 64 => fault(format!("it has {} digits, not 64", text.len()), HELP),
        None => fault("it has digits in upper case", "write the digits `a` to `f` in lower case"),
    }
}

/// The value of each hexadecimal digit in lower case, [`NO_DIGIT`] for every other byte.
const NIBBLES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let digits = *b"0123456789abcdef";
    let mut value = 0_u8;
    while value < 16 {
        #[expect(clippy::indexing_slicing, reason = "computed by the compiler, which checks it")]
        {
            values[digits[value as usize] as usize] = value;
        }
        value += 1;
    }
    values
};
const NO_DIGIT: u8 = 0xff;

/// The 32 bytes of 64 hexadecimal digits in lower case.
pub(crate) fn decode_digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != digest.len() || !rest.is_empty() {
        return None;
    }
    let value = |digit: u8| NIBBLES.get(usize::from(digit)).copied().unwrap_or(NO_DIGIT);
    // Judged once at the end: a policy may hold 100,000 digests.
    let mut seen = 0;
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        let (high, low) = (value(*high), value(*low));
        seen |= high | low;
        *byte = high << 4 | low;
    }
    (seen < 0x10).then_some(digest)
}

pub(super) fn note(text: &str, out: &mut Vec<u8>) -> Checked {
    let good = matches!(text.len(), 1..=MAX_TEXT) && !text.chars().any(char::is_control);
    exactly(good, text, "1 to 256 bytes without control characters", out)
}

pub(super) fn method(text: &str, out: &mut Vec<u8>) -> Checked {
    if text == "*" || method::is_registered(text) {
        out.extend_from_slice(text.as_bytes());
        return Ok(());
    }
    match suggest::closest(text, method::registered()) {
        Some(known) => fault("", format!("did you mean `{known}`?")),
        None => fault("", "use a registered method in upper case, or `*`"),
    }
}
