//! Names of buckets are read back: what can be read in one way only was never written for two.

use std::collections::BTreeMap;

use super::*;
use crate::authn::claim_value::{ClaimValue, Scalar};
use crate::authn::token::ClaimId;
use crate::limit::{Calendar, FleetPart, Named};
use crate::request::Field;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// The rest of a name.
struct Reader<'n>(&'n [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let Some((taken, rest)) = self.0.split_first_chunk() else {
            panic!("a part is cut off: {}", self.0.escape_ascii());
        };
        self.0 = rest;
        *taken
    }

    fn text(&mut self, length: usize) -> String {
        let Some((taken, rest)) = self.0.split_at_checked(length) else {
            panic!("no {length} bytes: {}", self.0.escape_ascii());
        };
        self.0 = rest;
        taken.escape_ascii().to_string()
    }

    fn short(&mut self) -> String {
        let length = u16::from_be_bytes(self.array());
        self.text(length.into())
    }

    fn long(&mut self) -> String {
        let length = u32::from_be_bytes(self.array());
        self.text(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// What the name stands for, in words.
    fn identity(mut self) -> Vec<String> {
        let mut all = Vec::new();
        if let Some(rest) = self.0.strip_prefix(&[u8::MAX; 2]) {
            self.0 = rest;
            all.push("share".to_owned());
        }
        all.extend([format!("gateway {}", self.short()), format!("limit {}", self.short())]);
        while !self.0.is_empty() {
            let [letter] = self.array();
            all.push(match letter {
                b'C' => format!("consumer {}", self.short()),
                b'K' => format!("credential {}", self.short()),
                b'R' => format!("route {}", self.short()),
                b'4' => {
                    let [size] = self.array();
                    format!("address {}/{size}", Address::V4(u32::from_be_bytes(self.array())))
                }
                b'6' => {
                    let [size] = self.array();
                    format!("address {}/{size}", Address::V6(u128::from_be_bytes(self.array())))
                }
                b'm' => format!("method {}", self.short()),
                b'g' => format!("country {}", self.text(2)),
                b'c' => format!("claim \"{}\" {}", self.long(), self.value()),
                b'h' => format!("header \"{}\" {}", self.long(), self.value()),
                _ => panic!("no part begins with {letter}"),
            });
        }
        all
    }

    fn value(&mut self) -> String {
        match self.array() {
            [b'-'] => "none".to_owned(),
            [b't'] => format!("text {}", self.long()),
            [b'n'] => format!("number {:?}", f64::from_be_bytes(self.array())),
            [b'b'] => format!("boolean {}", self.array() == [1]),
            [other] => panic!("no value begins with {other}"),
        }
    }
}

/// The same throws every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 40).unwrap_or(0) % sides
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// One of them, or none.
    fn some<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        self.flip().then(|| self.pick(of))
    }

    fn claim(&mut self, texts: &[&str]) -> (Option<ClaimValue>, String) {
        let one = |scalar, told| (Some(ClaimValue::One(scalar)), told);
        match self.below(5) {
            0 => (None, "none".to_owned()),
            1 => (Some(ClaimValue::List([].into())), "none".to_owned()),
            2 => {
                let flag = self.flip();
                one(Scalar::Bool(flag), format!("boolean {flag}"))
            }
            3 => {
                let numbers = [(0.0, "0.0"), (-0.0, "0.0"), (1.0, "1.0"), (-1.0, "-1.0")];
                let (number, told) = self.pick(&numbers);
                one(Scalar::Number(number), format!("number {told}"))
            }
            _ => {
                let text = self.pick(texts);
                let told = format!("text {}", text.as_bytes().escape_ascii());
                one(Scalar::Text(text.into()), told)
            }
        }
    }
}

/// Windows as a policy writes them, and what a name has behind the limit's.
const WINDOWS: [(Option<&str>, Option<Calendar>, &str); 12] = [
    (None, None, ""),
    (Some("3/s"), None, ";s"),
    (Some("9/s"), None, ";s"),
    (Some("3/m"), None, ";m"),
    (Some("3/h"), None, ";h"),
    (None, Some(Calendar::Hour), ";hour0"),
    (Some("5/hour"), Some(Calendar::Hour), ";hour0"),
    (None, Some(Calendar::Week(0)), ";week0"),
    (None, Some(Calendar::Week(1)), ";week1"),
    (None, Some(Calendar::Month(1)), ";month1"),
    (None, Some(Calendar::Month(11)), ";month11"),
    (None, Some(Calendar::Year), ";year0"),
];

/// Sorted, as a policy has them.
const NAMES: [&str; 3] = ["t", "t.x", "x"];

/// A shape of the key, and in words what it takes of a subject.
fn shape(
    dice: &mut Dice,
    of: &Subject<'_>,
    method: &str,
    claims: &[String],
    headers: &[String],
) -> (KeyParts, Vec<String>) {
    let mut told = Vec::new();
    let mut part = |dice: &mut Dice, name: &str, value: Option<&str>| {
        let is_part = dice.flip();
        let value = value.filter(|_| is_part);
        told.extend(value.map(|value| format!("{name} {}", value.as_bytes().escape_ascii())));
        is_part
    };
    let consumer = part(dice, "consumer", of.consumer);
    let credential = part(dice, "credential", of.credential);
    let route = part(dice, "route", of.route);
    let sizes = [(32, 64), (24, 48), (25, 64), (8, 32), (32, 48), (1, 128)];
    let address = dice.some(&sizes).map(|(v4, v6)| Prefix { v4, v6 });
    if let (Some(Prefix { v4, v6 }), Some(address)) = (address, of.address) {
        let size = if matches!(address, Address::V4(_)) { v4 } else { v6 };
        told.push(format!("address {}/{size}", address.network(v4, v6)));
    }
    let mut key = KeyParts { consumer, credential, address, route, more: None };
    if dice.flip() {
        return (key, told);
    }
    let mut more = More { method: dice.flip(), country: dice.flip(), named: Vec::new() };
    told.extend(more.method.then(|| format!("method {method}")));
    let country = of.country.unwrap_or(Country::UNKNOWN).0;
    told.extend(more.country.then(|| format!("country {}", country.escape_ascii())));
    // Others may stand before them in the policy.
    let (first_claim, first_header) =
        (of.claims.len() - NAMES.len(), of.trusted.first().map_or(0, |(position, _)| *position));
    for (at, name) in NAMES.into_iter().enumerate() {
        if dice.below(4) == 0 {
            let id = u16::try_from(first_claim + at).unwrap_or(u16::MAX);
            more.named.push((name.into(), Named::Claim(ClaimId(id))));
            told.push(format!("claim \"{name}\" {}", claims[at]));
        }
        if dice.below(4) == 0 {
            let position = u8::try_from(at).unwrap_or(u8::MAX) + first_header;
            more.named.push((name.into(), Named::Header(position)));
            told.push(format!("header \"{name}\" {}", headers[at]));
        }
    }
    key.more = (more != More::default()).then(|| Box::new(more));
    (key, told)
}

#[test]
fn every_name_is_read_back_and_no_bucket_has_two() {
    // L09
    let long = "C".repeat(321);
    let texts = [
        "",
        "a",
        "-",
        "\0",
        "\0\u{1}a",
        "C\0\u{1}a",
        "aR\0\u{1}a",
        "4 \u{1}\u{2}\u{3}\u{4}",
        "m\0\u{3}GET",
        "gSE",
        "c\0\0\0\u{1}t-",
        &long,
        &long[..256],
        &long[..255],
    ];
    let addresses = ["1.2.3.4", "1.2.0.0", "0.0.0.0", "102:304::", "::", "2001:db8::", "::1"]
        .map(|text| Address::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text}")));
    let countries = [Country(*b"SE"), Country(*b"CK"), Country::UNKNOWN];
    let methods = [
        (Some("GET"), "GET"),
        (Some("PUT"), "PUT"),
        (Some("SEARCH"), "SEARCH"),
        (Some("FOO"), ""),
        (None, ""),
    ];
    let mut dice = Dice(1);
    let mut names = BTreeMap::new();
    let mut tried = 0;
    for _ in 0..5_000 {
        let shift = dice.below(3);
        let (values, claims_told): (Vec<_>, Vec<_>) =
            NAMES.map(|_| dice.claim(&texts)).into_iter().unzip();
        let claims: Vec<_> = std::iter::repeat_n(None, shift).chain(values).collect();
        let lines = NAMES.map(|_| dice.some(&texts));
        let header = |line: Option<&str>| match line {
            Some(line) => format!("text {}", line.as_bytes().escape_ascii()),
            None => "none".to_owned(),
        };
        let headers_told = lines.map(header);
        let trusted: Vec<_> = lines
            .iter()
            .zip(u8::try_from(shift).unwrap_or(0)..)
            .map(|(line, position)| {
                let line = line.map_or(Field::Absent, |line| Field::One(line.as_bytes()));
                (position, line)
            })
            .collect();
        let (method, method_told) = dice.pick(&methods);
        let subject = Subject {
            consumer: dice.some(&texts),
            credential: dice.some(&texts),
            address: dice.some(&addresses),
            route: dice.some(&["a", "b", "a-b"]),
            is_stranger: dice.flip(),
            method,
            country: dice.some(&countries),
            claims: &claims,
            trusted: &trusted,
        };
        // The key of a limit may have another shape after a reload.
        for _ in 0..6 {
            let (key, mut parts) =
                shape(&mut dice, &subject, method_told, &claims_told, &headers_told);
            let (gateway, name) = (dice.pick(&["a", "ab", "b"]), dice.pick(&["a", "b-a"]));
            let (window, calendar, called) = dice.pick(&WINDOWS);
            let count = dice.pick(&[3, 7]);
            let quota = calendar.map_or_else(
                || Quota::new(count, 1_000, count),
                |calendar| Quota::of_window(count, calendar),
            );
            let quota = quota.unwrap_or_else(|| panic!("{count}"));
            let whole = Limit::new(gateway, name, window, quota, key);
            let part = FleetPart::new(&whole, 1, 2);
            let is_share = dice.below(4) == 0;
            let limit = if is_share { &part.share } else { &whole };
            let mut key = BucketKey::new(limit, &subject);
            if dice.below(8) == 0 {
                key = key.overflow();
                parts.clear();
            }
            let share = is_share.then(|| "share".to_owned());
            let limit = [format!("gateway {gateway}"), format!("limit {name}{called}")];
            let identity: Vec<_> = share.into_iter().chain(limit).chain(parts).collect();
            let mut written = Vec::new();
            key.encode(&mut written);
            assert_eq!(Reader(&written).identity(), identity, "{}", written.escape_ascii());
            let first = names.entry(identity).or_insert_with(|| written.clone());
            assert_eq!(*first, written);
            tried += 1;
        }
    }
    // Many came again by another way.
    assert!(names.len() + 3_000 < tried, "{} of {tried}", names.len());
}
