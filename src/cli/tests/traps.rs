//! What YAML makes of words and digits without quotes, and other ways to write one thing and mean another.

use crate::support::{check, policy};

#[test]
fn a_word_that_became_a_boolean_is_to_be_quoted() {
    let with = |countries: &str| {
        policy()
            .replace("{cidrs: [203.0.113.0/24]}", &format!("{{countries: [{countries}]}}"))
            .replace("gateway: external", "gateway: external\ncountry_header: x-geo")
    };
    let ran = check(&with("SE, NO"));
    assert_eq!(ran.code, 1);
    let expected = "-:5:29: error[wrong_type] at /networks/abusive/countries/1: ";
    assert!(ran.out.contains(expected), "{}", ran.out);
    assert!(ran.out.contains("put it in quotes"), "{}", ran.out);
    assert_eq!(check(&with("SE, \"NO\"")).code, 0);
}

#[test]
fn digits_that_became_a_number_are_to_be_quoted() {
    let ran = check(&policy().replace("name: mobile", "name: 010"));
    assert!(ran.out.contains("-:8:5: error[wrong_type] at /consumers/0/name: "), "{}", ran.out);
    assert!(ran.out.contains("put it in quotes"), "{}", ran.out);
    // 010 is eight to Envoy, whatever its author meant; what is no octal number stays text.
    assert_eq!(check(&policy().replace("burst: 3", "burst: 010")).code, 0);
    assert_eq!(check(&policy().replace("name: mobile", "name: 089")).code, 0);
}

#[test]
fn numbers_beyond_32_bits_reach_the_filter_as_text() {
    let struct_ = check(&policy().replace("burst: 3", "burst: 3000000000"));
    assert!(
        struct_.out.contains("error[wrong_type] at /limits/per-address/burst"),
        "{}",
        struct_.out
    );
    let json = r#"{"version": 1, "gateway": "g", "limits": {"l": {"key": ["address"], "rate": "1/s", "burst": 3000000000}},
        "global_limits": ["l"], "routes": [{"name": "a", "paths": ["/a"], "methods": ["GET"], "access": "public"}]}"#;
    let json = check(json);
    assert!(json.out.contains("error[out_of_bounds] at /limits/l/burst"), "{}", json.out);
}

#[test]
fn duplicate_keys_are_found_anywhere() {
    // row: C01
    let ran = check(&policy().replace("gateway: external", "gateway: external\nversion: 1"));
    assert_eq!(ran.code, 1);
    let expected = "-:1:1: error[duplicate_key] at /version: the key is written again at line 3 ";
    assert!(ran.out.contains(expected), "{}", ran.out);
    let ran = check("{\"version\": 1, \"version\": 1, \"gateway\": \"g\"}");
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("error[duplicate_member]"), "{}", ran.out);
    assert!(!ran.out.contains("duplicate_key"), "{}", ran.out);
}

#[test]
fn anchors_and_documents_are_followed() {
    let text = policy()
        .replace("roles: {reader: [orders:read]}", "roles: {reader: &read [orders:read]}")
        .replace("{all_of: [orders:read]}", "{all_of: *read}");
    assert_eq!(check(&text).code, 0);
    let two = format!("{}---\n{}", policy(), policy().replace("gateway: external", "gateway: 7"));
    let ran = check(&two);
    assert!(ran.out.contains("-:23:1: error[wrong_type] at /gateway"), "{}", ran.out);
    assert!(ran.out.ends_with("2 policies, 1 error, 0 warnings\n"), "{}", ran.out);
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    // row: C05
    let laughs: Vec<_> = (1..30)
        .map(|level| format!("l{level}: &l{level} [*l{}, *l{}]\n", level - 1, level - 1))
        .collect();
    let laughs = laughs.concat();
    let ran = check(&format!("l0: &l0 x\n{laughs}"));
    assert_eq!(ran.code, 3);
    assert!(ran.out.contains("error[not_parsable]: aliases that stand for more"), "{}", ran.out);
    assert_eq!(check(&"[".repeat(100_000)).code, 3);
    assert_eq!(check(&"{\"a\":".repeat(100_000)).code, 3);
}
