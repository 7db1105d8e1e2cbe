//! Tokens as text: what is one, and what is refused.

use super::*;
use crate::authn::base64url::encode;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn token(header: &str) -> String {
    format!("{}.{}.{}", encode(header.as_bytes()), encode(b"{}"), encode(b"signature"))
}

fn parse(text: &str) -> Result<Jws<'_>, Denial> {
    Jws::parse(text.as_bytes(), DEFAULT_SIZE).map_err(|fault| fault.denial)
}

fn header(text: &str) -> Result<(), Denial> {
    parse(&token(text)).map(|_| ())
}

#[test]
fn what_was_received_is_what_was_signed() {
    // J35: the header of RFC 7515 appendix A.1 has CRLF and spaces between its members.
    let text = token("{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\", \"kid\":\"a b\"}");
    let jws = parse(&text).unwrap_or_else(|denial| panic!("{denial:?}"));
    assert_eq!(jws.algorithm, Algorithm::Hs256);
    assert_eq!((jws.kind.as_deref(), jws.key_id.as_deref()), (Some("JWT"), Some("a b")));
    assert_eq!((&jws.payload[..], &jws.signature[..]), (&b"{}"[..], &b"signature"[..]));
    assert_eq!(text.as_bytes()[..text.len() - 13], *jws.signed);
}

#[test]
fn the_last_header_is_only_itself() {
    let mut last = LastHeader::default();
    let good = token(r#"{"alg":"HS256","kid":"a","typ":"JWT"}"#);
    last.keep(&parse(&good).unwrap_or_else(|denial| panic!("{denial:?}")));
    let good_header = good.split('.').next().unwrap_or_default();
    let again = |text: &str| {
        let seen = |jws: Result<Jws<'_>, Fault>| {
            jws.map(|jws| {
                let kid = jws.key_id.as_deref().map(str::to_owned);
                let kind = jws.kind.as_deref().map(str::to_owned);
                (jws.algorithm, kid, kind, jws.signed.to_vec(), jws.payload, jws.signature)
            })
        };
        let after = Jws::parse_after(text.as_bytes(), DEFAULT_SIZE, &last).map(|(jws, _)| jws);
        let alone = seen(Jws::parse(text.as_bytes(), DEFAULT_SIZE));
        assert_eq!(seen(after), alone, "{text}");
        alone.is_ok()
    };
    assert!(again(&good) && again(&format!("{good_header}.W10.cw")));
    assert!(again(&token(r#"{"alg":"HS256","kid":"b","typ":"JWT"}"#)));
    assert!(again(&token(r#"{"alg":"HS256"}"#)));
    for bad in [
        good_header.to_owned(),
        format!("{good_header}."),
        format!("{good_header}.."),
        format!("{good_header}A.e30.cw"),
        format!("{good_header}=.e30.cw"),
        format!("{good_header}.e30.cw.cw"),
        format!("{good_header}.e30.c"),
        format!("{good_header}.e3.cw"),
        format!("{good_header}.e30.cw="),
        format!("={good_header}.e30.cw"),
        format!(".{good_header}.e30"),
        format!("{}.e30.cw", good_header.replacen('e', "E", 1)),
    ] {
        assert!(!again(&bad), "{bad}");
    }
}

#[test]
fn the_fault_names_the_part() {
    let why = |text: &str| Jws::parse(text.as_bytes(), DEFAULT_SIZE).err().map(|fault| fault.why);
    let header = encode(br#"{"alg":"HS256"}"#);
    let three = Some("not three parts with dots between them");
    for text in ["=", "", "=.e30", "=.=.=.=", "e30.e30.cw.", "e30.e30.cw.="] {
        assert_eq!(why(text), three, "{text}");
    }
    for (text, part) in [
        ("=.=.=", "the header is not base64url"),
        (".e30.cw", "the header is not base64url"),
        ("A.e30.cw", "the header is not base64url"),
        ("e30.=.=", "the payload is not base64url"),
        ("e30..cw", "the payload is not base64url"),
        ("e30.e31.cw", "the payload is not base64url"),
        ("e30.e30.", "the signature is not base64url"),
        ("e30.e30.c", "the signature is not base64url"),
        ("e30.e30.cw=", "the signature is not base64url"),
        // The header is read last.
        ("AA.e30.cw=", "the signature is not base64url"),
        ("AA.e30.cw", "the header is not JSON"),
    ] {
        assert_eq!(why(text), Some(part), "{text}");
    }
    assert_eq!(why(&format!("{header}.e30.cw")), None);
}

#[test]
fn three_parts_and_none_empty() {
    // J21, J23
    for text in [
        "",
        ".",
        "..",
        "...",
        "a..b",
        ".e30.cw",
        "e30.e30.",
        "e30.e30",
        "e30.e30.cw.",
        "e30..e30.cw",
        "e30.e30.cw.x",
        "a.b.c.d.e",
        "....",
        ".e30.e30.cw",
    ] {
        assert_eq!(parse(text).err(), Some(Denial::TokenMalformed), "{text}");
    }
    // J01: an empty signature has no form, whatever `alg` says.
    let unsigned = format!("{}.{}.", encode(br#"{"alg":"none"}"#), encode(b"{}"));
    assert_eq!(parse(&unsigned).err(), Some(Denial::TokenMalformed));
}

#[test]
fn size_is_bounded_before_anything_else() {
    // J24
    assert!(parse(&".".repeat(100_000)).is_err());
    assert!(Jws::parse(&vec![b'.'; 1 << 20], 65_536).is_err());
    let fill = |length: usize| {
        let head = format!("{}.", encode(br#"{"alg":"ES256"}"#));
        format!("{head}{}.c2ln", "A".repeat(length - head.len() - 5))
    };
    let ok = |length| parse(&fill(length)).is_ok();
    assert!(ok(DEFAULT_SIZE) && !ok(DEFAULT_SIZE + 4));
    let why = Jws::parse(fill(DEFAULT_SIZE + 1).as_bytes(), DEFAULT_SIZE).err();
    assert_eq!(why.map(|fault| fault.why), Some("longer than the policy allows"));
}

#[test]
fn every_part_has_one_spelling() {
    // J26, J27, J28, J29
    let good = token(r#"{"alg":"ES256"}"#);
    let parts: Vec<&str> = good.split('.').collect();
    for position in 0..3 {
        let spellings: [&dyn Fn(&str) -> String; 8] = [
            &|part| format!("{part}="),
            &|part| format!("{part}=="),
            &|part| format!("{part} "),
            &|part| format!("\t{part}"),
            &|part| format!("{part}\n"),
            &|part| format!("{}?{}", &part[..1], &part[1..]),
            &|part| format!("{}\0{}", &part[..1], &part[1..]),
            &|part| format!("+{}", &part[1..]),
        ];
        for spelling in spellings {
            let mut other: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            other[position] = spelling(parts[position]);
            let other = other.join(".");
            assert_eq!(parse(&other).err(), Some(Denial::TokenMalformed), "{other}");
        }
    }
}

#[test]
fn algorithms_that_are_none() {
    // J01, J02, J03, J04
    for value in [
        "\"none\"",
        "\"None\"",
        "\"NONE\"",
        "\"nOnE\"",
        "\"none \"",
        "\"n\\u006fne\"",
        "\"\"",
        "null",
        "256",
        "[\"RS256\"]",
        "{}",
        "true",
        "\"rs256\"",
        "\"RS256 \"",
        "\"RS2566\"",
        "\"ES256K\"",
        "\"ES512\"",
        "\"Ed448\"",
    ] {
        let text = format!("{{\"alg\":{value}}}");
        assert_eq!(header(&text), Err(Denial::TokenAlgorithm), "{text}");
    }
    assert_eq!(header("{}"), Err(Denial::TokenAlgorithm));
    assert_eq!(header("{\"alg\":\"RS256\"}"), Ok(()));
}

#[test]
fn a_header_is_one_strict_object() {
    // J32
    for text in [
        "[]",
        "\"alg\"",
        "1",
        "null",
        "",
        "{",
        "\u{feff}{\"alg\":\"RS256\"}",
        "{\"alg\":\"RS256\"} x",
        "{\"alg\":\"RS256\"}{}",
        "{\"alg\":\"RS256\",}",
        "{\"alg\":\"RS256\"/**/}",
        "{\"alg\":\"RS256\",\"a\":NaN}",
        "{'alg':'RS256'}",
        "{\"alg\":\"RS256\",\"alg\":\"RS256\"}",
        "{\"alg\":\"RS256\",\"a\":{\"b\":1,\"b\":1}}",
        "{\"alg\":\"none\",\"alg\":\"RS256\"}",
        "{\"alg\":\"RS256\",\"a\":\"\\ud800\"}",
    ] {
        assert_eq!(header(text), Err(Denial::TokenMalformed), "{text}");
    }
    let deep = format!("{{\"alg\":\"RS256\",\"a\":{}}}", "[".repeat(2_000));
    assert_eq!(header(&deep), Err(Denial::TokenMalformed));
    let utf16: Vec<u8> = "{\"alg\":\"RS256\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let text = format!("{}.e30.cw", encode(&utf16));
    assert_eq!(parse(&text).err(), Some(Denial::TokenMalformed));
    assert_eq!(header("{\"alg\":\"RS256\",\"unknown\":[1,{}]}"), Ok(()));
}

#[test]
fn nothing_in_a_header_is_followed() {
    // J10, J11, J12, J19, J20
    for member in [
        "\"crit\":[]",
        "\"crit\":[\"exp\"]",
        "\"b64\":true",
        "\"b64\":false",
        "\"b64\":null",
        "\"zip\":\"DEF\"",
        "\"jwk\":{}",
        "\"jwk\":null",
        "\"jku\":\"https://evil.example\"",
        "\"x5u\":\"https://evil.example\"",
        "\"x5c\":[]",
        "\"enc\":\"A128GCM\"",
        "\"cty\":\"JWT\"",
        "\"cty\":\"jwt\"",
        "\"cty\":\"application/JWT\"",
        "\"cty\":1",
        "\"typ\":1",
        "\"typ\":null",
        "\"x5t\":[]",
    ] {
        let text = format!("{{\"alg\":\"RS256\",{member}}}");
        assert_eq!(header(&text), Err(Denial::TokenMalformed), "{text}");
    }
    assert_eq!(header(r#"{"alg":"RS256","x5t":"AQ","cty":"application/json"}"#), Ok(()));
}

#[test]
fn a_key_id_is_a_short_text() {
    // J15, J16
    for value in ["1", "null", "[]", "{}", "true", "\"\""] {
        let text = format!("{{\"alg\":\"RS256\",\"kid\":{value}}}");
        assert_eq!(header(&text), Err(Denial::TokenMalformed), "{text}");
    }
    let of = |length: usize| {
        header(&format!("{{\"alg\":\"RS256\",\"kid\":\"{}\"}}", "k".repeat(length)))
    };
    assert_eq!((of(MAX_KEY_ID), of(MAX_KEY_ID + 1)), (Ok(()), Err(Denial::TokenMalformed)));
    for value in ["../../dev/null", "' OR 1=1--", "a\\u0000", "a\\r\\nX: y"] {
        assert_eq!(header(&format!("{{\"alg\":\"RS256\",\"kid\":\"{value}\"}}")), Ok(()));
    }
}
