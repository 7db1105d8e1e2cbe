use super::*;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Texts that mean the same, in other words than others do.
fn same(form: &Form, text: &str, other: &str) {
    let canonical = |text: &str| {
        let mut out = Vec::new();
        (form.check)(text, &mut out).is_ok().then_some(out)
    };
    assert!(canonical(text).is_some() && canonical(text) == canonical(other), "{text} {other}");
}

/// The canonical spelling, or code, reason and help.
fn checked(form: &Form, text: &str) -> String {
    let mut out = Vec::new();
    match (form.check)(text, &mut out) {
        Ok(()) => String::from_utf8_lossy(&out).into_owned(),
        Err(fault) => format!("{}: {} ({})", fault.code, fault.why, fault.help),
    }
}

fn good(form: &Form, texts: &[&str]) {
    for text in texts {
        assert_eq!(checked(form, text), *text);
    }
}

fn bad(form: &Form, texts: &[&str]) {
    for text in texts {
        assert!(!form.holds(text), "{text:?} is taken for {}", form.name);
    }
}

#[test]
fn names_and_scopes_are_safe_in_headers() {
    // row: H07
    good(&NAME, &["a", "0", "A.b_c-d", &"x".repeat(64)]);
    bad(&NAME, &["", "-a", "_a", "a b", "a,b", "a\r\nb", "a:b", "é", "a\u{202e}", &"x".repeat(65)]);
    good(&SCOPE, &["orders:read", "*", "https://example.com/scope", &"x".repeat(128)]);
    bad(
        &SCOPE,
        &["", "a b", "a,b", "a\tb", "a\r\nb", "a\"b", "a\\b", "é", "\u{7f}", &"x".repeat(129)],
    );
    good(&REALM, &["orders", "the orders' API"]);
    bad(&REALM, &["", "a\"b", "a\\b", "a\nb", "é", &"x".repeat(257)]);
}

#[test]
fn header_names_are_folded_and_some_are_reserved() {
    assert_eq!(checked(&HEADER, "X-Api-Key"), "x-api-key");
    good(&HEADER, &["authorization", "x_api_key"]);
    bad(
        &HEADER,
        &[
            "",
            ":path",
            "a b",
            "a:",
            "host",
            "Content_Length",
            "transfer-encoding",
            "x-forwarded-for",
            "é",
        ],
    );
    bad(&HEADER, &[&"x".repeat(64)]);
    bad(&COOKIE, &["", "a=b", "a;b", "a b"]);
    bad(&PARAMETER, &["", "a=b", "a&b", "a%20", "a+b"]);
}

#[test]
fn digests_are_digests() {
    // row: K11
    let digest = "0123456789abcdef".repeat(4);
    assert!(DIGEST.holds(&digest));
    assert!(checked(&DIGEST, &digest[1..]).starts_with("bad_text: it has 63 digits, not 64"));
    assert!(
        checked(&DIGEST, &digest.to_uppercase())
            .starts_with("bad_text: it has digits in upper case")
    );
    let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert!(checked(&DIGEST, nothing).starts_with("key_empty"));
    assert_eq!(DIGEST.canonical(&digest), None, "a digest is kept as bytes");
    for plain in ["s3cret", "pcl_0123", "g123456789abcdef", "0123 4567"] {
        let found = checked(&DIGEST, plain);
        assert!(found.starts_with("key_plaintext") && !found.contains(plain), "{found}");
    }
    assert!(checked(&KEY_ID, "pcl_0123").starts_with("key_plaintext"));
}

#[test]
fn ranges_have_one_spelling() {
    // row: I17
    same(&CIDR, "0.0.0.0/0", "0.0.0.0/0");
    same(&CIDR, "::ffff:10.0.0.0/104", "10.0.0.0/8");
    same(&CIDR, "2001:DB8:0::/32", "2001:db8::/32");
    same(&CIDR, "198.51.100.7", "198.51.100.7/32");
    assert_eq!(
        checked(&CIDR, "10.0.0.5/8"),
        "host_bits: it has bits set behind its prefix (the range is `10.0.0.0/8`)"
    );
    bad(
        &CIDR,
        &[
            "10.0.0/8",
            "010.0.0.0/8",
            "10.0.0.0/33",
            "2001:db8::/129",
            "10.0.0.0/-1",
            "10.0.0.0/08",
            "0x0a.0.0.0/8",
            "",
        ],
    );
    good(&COUNTRY, &["DE", "unknown"]);
    bad(&COUNTRY, &["de", "DEU", "D", "Unknown", "É"]);
}

#[test]
fn times_and_rates_are_exactly_understood() {
    // row: C06, L07
    same(&TIME, "1970-01-01T01:00:01+01:00", "1970-01-01T00:00:01Z");
    bad(
        &TIME,
        &[
            "2026-12-31",
            "2026-12-31T00:00:00",
            "2026-02-30T00:00:00Z",
            "P1D",
            "5",
            "1,5h",
            " 5m",
            "tomorrow",
        ],
    );
    good(&RATE, &["1/s", "100/s", "1000000/s", "60000000/m", "86400000000/d", "1/d"]);
    bad(
        &RATE,
        &[
            "0/s", "-1/s", "+1/s", "01/s", "1.5/s", "1e3/s", "1/w", "1", "1/", "/s", "1 /s", "1/S",
            "NaN/s", "inf/s",
        ],
    );
    bad(
        &RATE,
        &[
            "1000001/s",
            "60000001/m",
            "9223372036854775808/s",
            "18446744073709551615/d",
            "18446744073709551616/s",
        ],
    );
    assert_eq!(parse_rate("30/m"), Some((30, 60_000_000_000)));
}

#[test]
fn paths_are_written_as_requests_have_them() {
    // row: C02
    good(
        &PATH,
        &[
            "/",
            "/**",
            "/orders",
            "/orders/",
            "/orders/**",
            "/orders/{id}/items",
            "/{a}/{b}",
            "/a%20b",
            "/x:y",
            "/{id}/**",
        ],
    );
    bad(
        &PATH,
        &[
            "",
            "orders",
            "*",
            "/orders/../admin",
            "/a//b",
            "/orders/*",
            "/**/x",
            "/a**",
            "/{id}x",
            "/{}",
            "/{a b}",
            "/{a}/{a}",
            "/a;b",
            "/a?b",
            "/a#b",
            "/a b",
            "/a%2fb",
            "/é",
            "/./a",
            "/a//**",
        ],
    );
    assert_eq!(
        checked(&PATH, "/%61dmin"),
        "bad_text: no request has it in this spelling (its canonical form is `/admin`)"
    );
    assert_eq!(checked(&PATH, "/a/{b"), checked(&PATH, "/a/b}"));
}

#[test]
fn hosts_stand_alone() {
    assert_eq!(checked(&HOST, "API.Example.com"), "api.example.com");
    assert_eq!(checked(&HOST, "*.Example.org"), "*.example.org");
    good(&HOST, &["localhost", "10.0.0.1", "[2001:db8::1]"]);
    assert_eq!(
        checked(&HOST, "api.example.com:443"),
        "bad_text:  (write the host alone: `api.example.com`)"
    );
    bad(
        &HOST,
        &[
            "",
            "*",
            "*.",
            "api.example.com.",
            "a.*.b",
            "*a.b",
            "**.b",
            "a b",
            "https://a",
            "a/b",
            "a@b",
            "é",
            "*.[::1]",
        ],
    );
}

#[test]
fn methods_are_registered() {
    // row: C02
    good(&METHOD, &["*", "GET", "PROPFIND", "CONNECT"]);
    assert_eq!(checked(&METHOD, "GTE"), "bad_text:  (did you mean `GET`?)");
    bad(&METHOD, &["get", "", "FOO", "TRACK", "GET ", "PRI"]);
}
