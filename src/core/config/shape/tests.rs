use super::*;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn lines(document: &str) -> Vec<String> {
    let mut report = Report::default();
    let document = document.replace('\'', "\"");
    match Node::from_json(document.as_bytes()) {
        Ok(node) => drop(check(&node, &mut report)),
        Err(fault) => return vec![fault.to_string()],
    }
    let mut lines: Vec<_> = report.finish().iter().map(ToString::to_string).collect();
    lines.sort();
    lines
}

/// Findings about a document that is otherwise good.
fn with(members: &str) -> Vec<String> {
    let route = "{'name': 'r', 'paths': ['/'], 'methods': ['GET'], 'access': 'public'}";
    lines(&format!("{{'version': 1, 'gateway': 'g', 'routes': [{route}], {members}}}"))
}

#[test]
fn every_finding_is_reported_with_its_place() {
    // row: C01, C02
    assert_eq!(
        lines(
            "{'version': '1', 'gatway': 'g', 'mode': 'observed', 'deny': [], 'realm': null, 'routes': {'a': 1}}"
        ),
        [
            "error[empty] at /deny: a list must not be empty (help: leave the field out, or say what belongs in it)",
            "error[missing_field]: `gateway` is missing (help: a name)",
            "error[unknown_field] at /gatway: the policy has no field `gatway` (help: did you mean `gateway`?)",
            "error[unknown_word] at /mode: `observed` is none of the known words (help: did you mean `observe`?)",
            "error[wrong_type] at /realm: is empty where a realm belongs (help: give it a value, or leave the field out)",
            "error[wrong_type] at /routes: is an object where a list belongs (help: a list it is even with one entry: put it in `[]`)",
            "error[wrong_type] at /version: is a text where a number belongs (help: write it without quotes)",
        ]
    );
    assert_eq!(lines("[]"), ["error[wrong_type]: is a list where the policy belongs"]);
}

#[test]
fn values_that_yaml_made_of_a_text_say_to_quote_it() {
    assert_eq!(
        with("'networks': {'e': {'countries': [false, 10]}}"),
        [
            "error[wrong_type] at /networks/e/countries/0: is a boolean where a country belongs (help: put it in quotes: YAML takes words such as `NO`, `yes` and `off` for booleans)",
            "error[wrong_type] at /networks/e/countries/1: is a number where a country belongs (help: put it in quotes: YAML takes it for a number)",
        ]
    );
}

#[test]
fn numbers_have_bounds() {
    // row: L07
    for number in ["0", "-1", "1.5", "1000001", "9223372036854775808", "1e308", "1e-12"] {
        let found = with(&format!(
            "'limits': {{'l': {{'key': ['route'], 'rate': '1/s', 'burst': {number}}}}}"
        ));
        let expected =
            "error[out_of_bounds] at /limits/l/burst: must be a whole number from 1 to 1000000";
        assert_eq!(found, [expected], "{number}");
    }
}

#[test]
fn fields_depend_on_each_other() {
    let route =
        |members: &str| with(&format!("'routes': [{{'name': 'r', 'methods': ['*'], {members}}}]"));
    assert!(
        route("'paths': ['/'], 'access': 'deny'").len() == 1,
        "the second `routes` is a duplicate"
    );
    let route = |members: &str| {
        lines(&format!(
            "{{'version': 1, 'gateway': 'g', 'routes': [{{'name': 'r', 'methods': ['*'], {members}}}]}}"
        ))
    };
    assert_eq!(route("'paths': ['/'], 'access': 'deny'"), [""; 0]);
    assert_eq!(
        route(
            "'hosts': ['a'], 'envoy_routes': ['e'], 'access': 'public', 'credentials': ['api_key']"
        ),
        [
            "error[field_without_effect] at /routes/0/hosts: has no effect without `paths` (help: leave `hosts` out, or add `paths`)",
            "error[fields_conflict] at /routes/0: a route takes only one of `access`, `credentials` (help: leave the others out)",
        ]
    );
    assert_eq!(
        route("'paths': ['/a', '/b', '/a']"),
        [
            "error[duplicate_entry] at /routes/0/paths/2: is the same as entry 0 (help: leave one out)",
            "error[missing_field] at /routes/0: a route needs `access` or `credentials`",
        ]
    );
}

#[test]
fn nothing_of_a_key_is_repeated() {
    // row: C07, K11
    let secret = "Sup3r-Secret";
    let found = with(&format!(
        "'consumers': [{{'name': 'c', 'api_keys': [{{'id': '{secret}!', 'sha256': '{secret}', 'state': '{secret}', 'scopes': ['{secret} x'], 'expires': '{secret}', '{secret}': 1, 'key': 2}}]}}], 'pcl_abc': 1"
    ));
    assert_eq!(
        found,
        [
            "error[bad_text] at /consumers/0/api_keys/0/expires: this text is not a time",
            "error[bad_text] at /consumers/0/api_keys/0/id: this text is not an id (help: 1 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit)",
            "error[bad_text] at /consumers/0/api_keys/0/scopes/0: this text is not a scope",
            "error[key_plaintext] at /consumers/0/api_keys/0/sha256: this text is not the SHA-256 of a key: this may be the key itself, so it is not shown (help: `portcullis key hash` prints the digest of a key)",
            "error[unknown_field] at /consumers/0/api_keys/0/key: an API key has no field `key` (help: fields: `id`, `sha256`, `state`, `not_before`, `expires`, `scopes`, `format`)",
            "error[unknown_field] at /consumers/0/api_keys/0: an API key has no field of this name (help: fields: `id`, `sha256`, `state`, `not_before`, `expires`, `scopes`, `format`)",
            "error[unknown_field]: the policy has no field of this name (help: fields: `version`, `gateway`, `realm`, `mode`, `client_address`, `country_header`, `trusted_headers`, `api_key`, `jwt`, `precedence`, `share_keys`, `identity_headers`, `hand_over`, `strip_headers`, `networks`, `deny`, `roles`, `consumers`, `issuers`, `limits`, `fleet`, `global_limits`, `plans`, `limit_headers`, `routes`)",
            "error[unknown_word] at /consumers/0/api_keys/0/state: this text is none of the known words (help: one of: `active`, `retiring`, `revoked`)",
        ]
    );
}
