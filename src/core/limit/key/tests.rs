use super::*;
use crate::authn::claim_value::{ClaimValue, Scalar};
use crate::authn::token::ClaimId;
use crate::limit::{Named, Quota};
use crate::request::Field;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

const ALL: KeyParts = KeyParts {
    consumer: true,
    credential: true,
    address: Some(Prefix::PLAIN),
    route: true,
    more: None,
};

fn encoded(limit: &str, parts: KeyParts, subject: &Subject<'_>) -> Vec<u8> {
    let quota = Quota::new(1, 1, 1).unwrap_or_else(|| panic!("one"));
    written(&Limit::new("gw", limit, None, quota, parts), subject)
}

fn written(limit: &Limit, subject: &Subject<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    BucketKey::new(limit, subject).encode(&mut out);
    out
}

fn address(text: &str) -> Option<Address> {
    Address::parse(text.as_bytes())
}

#[test]
fn no_two_keys_are_written_alike() {
    // L09
    let subject = |consumer, route| Subject { consumer, route, ..Subject::default() };
    let keys = [
        subject(Some("a:b"), Some("c")),
        subject(Some("a"), Some("b:c")),
        subject(Some("abc"), None),
        subject(None, Some("abc")),
        subject(None, None),
        Subject { credential: Some("abc"), ..Subject::default() },
        Subject { address: address("1.2.3.4"), ..Subject::default() },
        Subject { address: address("102:304::"), ..Subject::default() },
    ];
    let mut all: Vec<_> = keys.iter().map(|key| encoded("l", ALL, key)).collect();
    all.push(encoded("l2", ALL, &keys[0]));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), keys.len() + 1);
}

#[test]
fn addresses_count_by_subscriber() {
    // L12, L13
    let key = |text| encoded("l", ALL, &Subject { address: address(text), ..Subject::default() });
    assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:ffff:ffff:ffff"));
    assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    assert_eq!(key("::ffff:198.51.100.7"), key("198.51.100.7"));
    assert_ne!(key("198.51.100.7"), key("198.51.100.8"));
}

#[test]
fn only_named_parts_count() {
    let one = Subject { consumer: Some("a"), credential: Some("k1"), ..Subject::default() };
    let two = Subject { credential: Some("k2"), ..one };
    let by_consumer = KeyParts { consumer: true, ..KeyParts::default() };
    // L15: keys of one consumer share its bucket, unless the limit says otherwise.
    let by_consumer = || by_consumer.clone();
    assert_eq!(encoded("l", by_consumer(), &one), encoded("l", by_consumer(), &two));
    assert_ne!(encoded("l", ALL, &one), encoded("l", ALL, &two));
}

/// A key of a method, a country, a claim and a header.
fn more() -> KeyParts {
    let named = vec![("t".into(), Named::Claim(ClaimId(0))), ("x".into(), Named::Header(3))];
    let more = More { method: true, country: true, named };
    KeyParts { more: Some(Box::new(more)), ..KeyParts::default() }
}

fn text(text: &str) -> ClaimValue {
    ClaimValue::One(Scalar::Text(text.into()))
}

#[test]
fn no_two_values_of_further_parts_are_written_alike() {
    // L09
    let number = |number| Some(ClaimValue::One(Scalar::Number(number)));
    let claims = [
        Some(text("")),
        Some(text("a")),
        Some(text("1")),
        Some(text(&"a".repeat(70_000))),
        number(1.0),
        number(0.0),
        Some(ClaimValue::One(Scalar::Bool(true))),
        Some(ClaimValue::One(Scalar::Bool(false))),
        None,
    ];
    let lines: [&[u8]; 4] = [b"", b"a", b"-", b"\x00\x00\x00\x01a"];
    let mut all = Vec::new();
    for claim in &claims {
        for line in lines.map(Some).into_iter().chain([None]) {
            for country in [*b"SE", *b"??"] {
                let trusted: Vec<_> = line.map(|line| (3, Field::One(line))).into_iter().collect();
                let subject = Subject {
                    method: Some("GET"),
                    country: Some(Country(country)),
                    claims: std::slice::from_ref(claim),
                    trusted: &trusted,
                    ..Subject::default()
                };
                all.push(encoded("l", more(), &subject));
            }
        }
    }
    let keys = all.len();
    // Nor like keys of other parts.
    for key in [ALL, KeyParts::default()] {
        all.push(encoded("l", key, &Subject::default()));
    }
    all.sort();
    all.dedup();
    assert_eq!((keys, all.len()), (9 * 5 * 2, keys + 1));
    // What cannot be told apart by its value is one.
    let of = |claim: &Option<ClaimValue>| {
        let claims = std::slice::from_ref(claim);
        encoded("l", more(), &Subject { claims, ..Subject::default() })
    };
    assert_eq!(of(&number(0.0)), of(&number(-0.0)));
    assert_eq!(of(&Some(ClaimValue::List([].into()))), of(&None));
}

#[test]
fn networks_count_by_their_size() {
    // L12, L13
    let key = |v4, v6| KeyParts { address: Some(Prefix { v4, v6 }), ..KeyParts::default() };
    let of = |v4, v6, text| {
        encoded("l", key(v4, v6), &Subject { address: address(text), ..Subject::default() })
    };
    assert_eq!(of(24, 48, "198.51.100.7"), of(24, 48, "::ffff:198.51.100.255"));
    assert_ne!(of(24, 48, "198.51.100.7"), of(24, 48, "198.51.101.7"));
    assert_eq!(of(32, 48, "2001:db8:1:1::1"), of(32, 48, "2001:db8:1:ffff::"));
    assert_ne!(of(32, 48, "2001:db8:1::"), of(32, 48, "2001:db8:2::"));
    assert_ne!(of(32, 128, "2001:db8::1"), of(32, 128, "2001:db8::2"));
    // Another size is another bucket, also for the first address of a network.
    assert_ne!(of(24, 64, "198.51.100.0"), of(25, 64, "198.51.100.0"));
    // The size stands before the address, the usual one too.
    assert_eq!(of(32, 64, "198.51.100.7").last_chunk(), Some(&[b'4', 32, 198, 51, 100, 7]));
}

#[test]
fn methods_are_those_of_the_registry() {
    let of = |method| encoded("l", more(), &Subject { method: Some(method), ..Subject::default() });
    assert_ne!(of("GET"), of("PUT"));
    assert_eq!(of("FOO"), of("BAR"));
    assert_ne!(of("GET"), of("FOO"));
}

#[test]
fn what_anybody_can_multiply_is_kept_apart() {
    // L23
    let quota = Quota::new(1, 1, 1).unwrap_or_else(|| panic!("one"));
    let unbounded = |key: KeyParts, subject: &Subject<'_>| {
        BucketKey::new(&Limit::new("gw", "l", None, quota, key), subject).is_unbounded()
    };
    let known = Subject {
        consumer: Some("a"),
        method: Some("GET"),
        country: Some(Country(*b"SE")),
        ..Subject::default()
    };
    let by_consumer = || KeyParts { consumer: true, ..more() };
    assert!(!unbounded(by_consumer(), &known));
    // A method and a country of nobody in particular.
    assert!(unbounded(more(), &known));
    assert!(unbounded(by_consumer(), &Subject { consumer: None, ..known }));
    assert!(unbounded(by_consumer(), &Subject { is_stranger: true, ..known }));
    // A claim and a header, where there are some: a bucket lies in one table, whoever comes to it.
    let (claim, none) = ([Some(text("a"))], [None]);
    assert!(unbounded(by_consumer(), &Subject { claims: &claim, ..known }));
    assert!(!unbounded(by_consumer(), &Subject { claims: &none, ..known }));
    assert!(unbounded(by_consumer(), &Subject { trusted: &[(3, Field::One(b"a"))], ..known }));
    assert!(!unbounded(by_consumer(), &Subject { trusted: &[(1, Field::One(b"a"))], ..known }));
}

#[test]
fn a_key_that_was_written_is_the_same_bucket() {
    let subject = Subject { consumer: Some("a"), method: Some("GET"), ..Subject::default() };
    let quota = Quota::new(1, 1, 1).unwrap_or_else(|| panic!("one"));
    let limit = Limit::new("gw", "l", None, quota, KeyParts { consumer: true, ..more() });
    let key = BucketKey::new(&limit, &subject);
    let (mut first, mut again) = (Vec::new(), Vec::new());
    key.encode(&mut first);
    let written = BucketKey::written(&limit, &first, key.is_unbounded());
    written.encode(&mut again);
    assert_eq!((&first, key.is_unbounded()), (&again, written.is_unbounded()));
    let (mut shared, mut again) = (Vec::new(), Vec::new());
    key.overflow().encode(&mut shared);
    written.overflow().encode(&mut again);
    assert_eq!(shared, again);
}

#[test]
fn a_service_tells_every_value_apart() {
    // L09
    let quota = Quota::new(1, 1, 1).unwrap_or_else(|| panic!("one"));
    let prefix = Some(Prefix { v4: 24, v6: 48 });
    let limit = Limit::new("gw", "l", None, quota, KeyParts { address: prefix, ..more() });
    let told = |claim: Option<ClaimValue>, line: Option<&[u8]>| {
        let trusted: Vec<_> = line.map(|line| (3, Field::One(line))).into_iter().collect();
        let subject = Subject {
            address: address("198.51.100.7"),
            method: Some("GET"),
            country: Some(Country(*b"SE")),
            claims: &[claim],
            trusted: &trusted,
            ..Subject::default()
        };
        let mut parts = Vec::new();
        BucketKey::new(&limit, &subject).write_parts((None, None), &mut |name, value| {
            parts.push(format!("{name}={}", String::from_utf8_lossy(value)));
        });
        parts
    };
    assert_eq!(
        told(Some(text("a b")), Some(b"\xff")),
        ["address=198.51.100.0", "method=GET", "country=SE", "claim:t=a%20b", "header:x=%FF"]
    );
    let number = |number| Some(ClaimValue::One(Scalar::Number(number)));
    let bools = [true, false].map(|flag| Some(ClaimValue::One(Scalar::Bool(flag))));
    let texts = ["", "-", "%", "%2D", "1", "true", "number 1", "boolean true"];
    let mut all: Vec<_> = texts.map(|one| told(Some(text(one)), None)).into_iter().collect();
    all.extend(bools.map(|flag| told(flag, None)));
    all.extend([told(None, None), told(number(1.0), None), told(number(0.0), None)]);
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
    assert_eq!(told(number(0.0), None), told(number(-0.0), None));
}
