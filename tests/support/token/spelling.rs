//! What can be done to a signature, and to the text of a token.

use serde_json::Value;

/// The order of P-256 (SEC 2 section 2.4.2).
const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

/// The signature after a change: `flip: BIT`, `cut: BYTES`, `add: HEX`, `zero: BYTES`, `r` and `s` of
/// P-256 by name, `negate` for (r, n - s), `der` for the form of X.509.
pub(super) fn changed(mut signature: Vec<u8>, change: Option<&Value>) -> Vec<u8> {
    let Some(change) = change else { return signature };
    let number = |value: &Value| {
        usize::try_from(value.as_u64().expect("a number")).expect("a number of this machine")
    };
    for (name, value) in change.as_object().unwrap_or_else(|| panic!("a map, not {change}")) {
        match name.as_str() {
            "flip" => signature[number(value) / 8] ^= 0x80 >> (number(value) % 8),
            "cut" => signature.truncate(signature.len() - number(value)),
            "add" => signature.extend(hex(value.as_str().expect("hex digits"))),
            "zero" => signature = vec![0; number(value)],
            "r" => signature[..32].copy_from_slice(&scalar(value)),
            "s" => signature[32..].copy_from_slice(&scalar(value)),
            "negate" => {
                let negated = minus(&hex(ORDER), &signature[32..]);
                signature[32..].copy_from_slice(&negated);
            }
            "der" => signature = der(&signature),
            other => panic!("nothing is called `{other}` of a signature"),
        }
    }
    signature
}

/// A number at the edges of what P-256 allows.
fn scalar(name: &Value) -> Vec<u8> {
    let order = hex(ORDER);
    let mut one = vec![0; 32];
    one[31] = 1;
    match name.to_string().trim_matches('"') {
        "0" => vec![0; 32],
        "1" => one,
        "n-1" => minus(&order, &one),
        "n" => order,
        "n+1" => minus(&order, &[0xff; 32]),
        "max" => vec![0xff; 32],
        other => panic!("no number is called `{other}`"),
    }
}

/// The difference of two numbers of one length, modulo what the length holds.
fn minus(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut borrow = false;
    let mut difference = one.to_vec();
    for (digit, other) in difference.iter_mut().zip(other).rev() {
        let (first, under) = digit.overflowing_sub(*other);
        let (second, again) = first.overflowing_sub(u8::from(borrow));
        (*digit, borrow) = (second, under || again);
    }
    difference
}

/// `Ecdsa-Sig-Value` of a P-256 signature.
fn der(signature: &[u8]) -> Vec<u8> {
    let mut numbers = Vec::new();
    for half in signature.chunks(32) {
        let start = half.iter().position(|byte| *byte != 0).unwrap_or(31);
        let sign = half[start] >= 0x80;
        let length = half.len() - start + usize::from(sign);
        numbers.extend([2, u8::try_from(length).expect("at most 33 bytes")]);
        numbers.extend(sign.then_some(0));
        numbers.extend(&half[start..]);
    }
    let length = u8::try_from(numbers.len()).expect("at most 70 bytes");
    [&[0x30, length], &numbers[..]].concat()
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The text of a token by a form such as `{h}.{p}.{s}`. `{h!}` is the part with its last character
/// changed so that a lenient decoder reads the same bytes, `{h/}` the part in plain base64, `{h..2}`
/// and `{h2..}` are its first two characters and the rest.
pub(super) fn spell(form: &str, token: &str) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let mut text = String::new();
    let mut rest = form;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').expect("a `}`");
        let (part, how) = name.split_at(1);
        let position = "hps".find(part).unwrap_or_else(|| panic!("no part is called `{part}`"));
        text.push_str(before);
        text.push_str(&spelled(parts[position], how));
        rest = after;
    }
    text.push_str(rest);
    text
}

fn spelled(part: &str, how: &str) -> String {
    let number = |text: &str| text.parse::<usize>().expect("a number of characters");
    match (how, how.split_once("..")) {
        ("", _) => part.to_owned(),
        ("!", _) => with_spare_bits(part),
        ("/", _) => {
            let plain = part.replace('-', "+").replace('_', "/");
            assert_ne!(plain, part, "the part has neither `-` nor `_`");
            plain
        }
        (_, Some(("", end))) => part[..number(end)].to_owned(),
        (_, Some((start, ""))) => part[number(start)..].to_owned(),
        _ => panic!("no spelling is called `{how}`"),
    }
}

/// The same bytes to whoever ignores the bits that no byte needs.
fn with_spare_bits(part: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(part.len() % 4, 0, "the part has no spare bits: `{part}`");
    let (head, last) = part.split_at(part.len() - 1);
    let value = DIGITS.iter().position(|digit| *digit == last.as_bytes()[0]).expect("a digit");
    format!("{head}{}", char::from(DIGITS[value ^ 1]))
}
