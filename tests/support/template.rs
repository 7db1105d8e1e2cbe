//! Templates of the case files: times relative to now, keys by name, and bytes that YAML cannot hold.
//!
//! A case names `{{now-1h}}` or `{{key:alpha}}`, so that the same file runs with a fixed clock and with
//! the real one, and no key text is written down anywhere.

use crate::token::{self, keys};
use portcullis_core::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

const SECOND: u64 = 1_000_000_000;

/// The clock of every run without a real one: 2027-01-15T08:00:00Z.
pub const FIXED_NOW: Timestamp = Timestamp::from_unix_nanos(1_800_000_000 * SECOND);

/// The real clock, in whole seconds.
pub fn real_now() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_unix_nanos(now.expect("a clock after 1970").as_secs() * SECOND)
}

/// Fills the templates of every text in a document, the names of members included.
pub fn fill_value(value: Value, now: Timestamp) -> Value {
    match value {
        Value::String(text) => Value::String(fill(&text, now)),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| fill_value(item, now)).collect())
        }
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| (fill(&name, now), fill_value(value, now)))
                .collect(),
        ),
        other => other,
    }
}

/// Fills the templates of one text.
pub fn fill(text: &str, now: Timestamp) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inner, after) =
            after.split_once("}}").unwrap_or_else(|| panic!("no `}}}}` in `{text}`"));
        filled.push_str(before);
        filled.push_str(&expand(inner, now));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

fn expand(inner: &str, now: Timestamp) -> String {
    if let Some(offset) = inner.strip_prefix("now") {
        return shifted(now, offset).to_string();
    }
    if let Some(offset) = inner.strip_prefix("unix") {
        return (shifted(now, offset).unix_nanos() / SECOND).to_string();
    }
    if let Some(offset) = inner.strip_prefix("http") {
        return http_date(shifted(now, offset));
    }
    if inner == "claims" {
        return token::claims(now).to_string();
    }
    let (verb, argument) =
        inner.split_once(':').unwrap_or_else(|| panic!("unknown template `{inner}`"));
    match verb {
        "key" => api_key(argument),
        "sha256" => digest(api_key(argument).as_bytes()),
        "digest" => digest(argument.as_bytes()),
        "cut" => {
            let (name, by) = argument.split_once(':').expect("cut:NAME:CHARACTERS");
            let mut key = api_key(name);
            key.truncate(key.len() - by.parse::<usize>().expect("a number of characters"));
            key
        }
        "swapcase" => api_key(argument).chars().map(swap_case).collect(),
        "jwk" => keys::jwk(argument),
        "jwks" => keys::jwks(argument),
        "private" => keys::private(argument),
        "repeat" => {
            let (times, what) = argument.split_once(':').expect("repeat:TIMES:TEXT");
            what.repeat(times.parse().expect("a number of times"))
        }
        _ => panic!("unknown template `{inner}`"),
    }
}

/// The time as HTTP writes it (RFC 9110 section 5.6.7).
fn http_date(time: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = time.to_string();
    let days = usize::try_from(time.unix_nanos() / SECOND / 86400).expect("a day");
    let month = text[5..7].parse::<usize>().expect("a month");
    format!(
        "{}, {} {} {} {} GMT",
        DAYS[days % 7],
        &text[8..10],
        MONTHS[month - 1],
        &text[..4],
        &text[11..19]
    )
}

fn swap_case(letter: char) -> char {
    if letter.is_ascii_lowercase() {
        letter.to_ascii_uppercase()
    } else {
        letter.to_ascii_lowercase()
    }
}

fn shifted(now: Timestamp, offset: &str) -> Timestamp {
    let Some(sign) = offset.chars().next() else { return now };
    let by = nanos(&offset[1..]);
    let now = now.unix_nanos();
    Timestamp::from_unix_nanos(if sign == '-' { now - by } else { now + by })
}

/// Nanoseconds of `199ms`, `30s`, `5m`, `2h` or `14d`.
pub fn nanos(text: &str) -> u64 {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ns" => 1,
        "ms" => SECOND / 1000,
        "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        "d" => 86400 * SECOND,
        other => panic!("unknown unit `{other}` in `{text}`"),
    };
    digits.parse::<u64>().unwrap_or_else(|_| panic!("no number in `{text}`")) * unit
}

/// The API key of that name: always the same, in the portcullis format, its checksum right.
pub fn api_key(name: &str) -> String {
    let secret = Sha256::digest(format!("a key of the portcullis tests: {name}"));
    let body = format!("pcl_{}", base62(&secret, 43));
    let checksum = base62(&crc32(body.as_bytes()).to_be_bytes(), 6);
    format!("{body}{checksum}")
}

pub fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The big-endian number in base 62, most significant digit first, zero-padded to `width`.
fn base62(number: &[u8], width: usize) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut number = number.to_vec();
    let mut text = vec![b'0'; width];
    for place in text.iter_mut().rev() {
        let mut remainder = 0u32;
        for byte in &mut number {
            let value = remainder * 256 + u32::from(*byte);
            *byte = u8::try_from(value / 62).expect("a quotient below 256");
            remainder = value % 62;
        }
        *place = DIGITS[remainder as usize];
    }
    String::from_utf8(text).expect("digits are ASCII")
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
        crc
    })
}

/// The bytes of a text with `\xff`, `\r`, `\n`, `\t`, `\0` and `\\` read as escapes.
pub fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, tail) = match (first, tail) {
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let pair = [*high, *low];
                let pair = std::str::from_utf8(&pair).expect("two hex digits");
                (u8::from_str_radix(pair, 16).expect("two hex digits"), tail)
            }
            (b'\\', [b'r', tail @ ..]) => (b'\r', tail),
            (b'\\', [b'n', tail @ ..]) => (b'\n', tail),
            (b'\\', [b't', tail @ ..]) => (b'\t', tail),
            (b'\\', [b'0', tail @ ..]) => (0, tail),
            (b'\\', [b'\\', tail @ ..]) => (b'\\', tail),
            _ => (*first, tail),
        };
        out.push(byte);
        rest = tail;
    }
    out
}
