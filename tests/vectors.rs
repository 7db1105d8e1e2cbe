//! Public test data of others: paths, addresses, JSON.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it did not expect should stop there and say where"
)]

use portcullis_core::config::Node;
use portcullis_core::{Address, MemoryStore, Path, Policy, Request};
use portcullis_tests::policy::tokens;
use portcullis_tests::template::FIXED_NOW;
use portcullis_tests::vectors::{document, folder};
use serde_json::{Value, json};

fn canonical(target: &str) -> Result<String, &'static str> {
    Path::parse(target.as_bytes()).map(|path| path.as_str().to_owned())
}

/// Whatever Envoy, Istio or a URL parser makes of a path: a path that is taken here is read alike
/// before and after it was rewritten, so what the rule saw is what the upstream sees.
#[test]
fn no_rewriting_changes_what_a_rule_saw() {
    let mut pairs = Vec::new();
    let mut add = |cases: &Value, from: &str, to: &str| {
        for case in cases.as_array().expect("a list of cases") {
            if let (Some(input), Some(output)) = (case[from].as_str(), case[to].as_str()) {
                pairs.push((input.to_owned(), output.to_owned()));
            }
        }
    };
    let Some(envoy) = document("path-normalization", "envoy.json") else { return };
    add(&envoy["normalize_path"], "input", "expected");
    add(&envoy["merge_slashes"], "input", "expected");
    add(&envoy["uhv"], "input", "expected");
    add(&document("path-normalization", "istio.json").unwrap()["cases"], "input", "expected");
    add(
        &document("path-normalization", "wpt_paths.json").unwrap()["cases"],
        "raw_path",
        "whatwg_pathname",
    );
    assert!(pairs.len() > 200);
    for (input, output) in pairs {
        let Ok(read) = canonical(&input) else { continue };
        // A normaliser may decode or encode what RFC 3986 calls equivalent; nothing else may differ.
        // The query does not take part.
        assert_eq!(Ok(read), canonical(&output), "`{input}` became `{output}`");
    }
}

/// RFC 3986, section 6.2.2: equal spellings are equal, others are not.
#[test]
fn equivalent_paths_are_one_path() {
    let Some(rfc) = document("path-normalization", "rfc3986.json") else { return };
    for (list, equal) in [("equivalent", true), ("not_equivalent", false)] {
        for pair in rfc[list].as_array().unwrap() {
            let read = |at: usize| canonical(pair[at].as_str().unwrap());
            if let (Ok(first), Ok(second)) = (read(0), read(1)) {
                assert_eq!(first == second, equal, "{pair}");
            }
        }
    }
}

/// I12: a text that a URL parser would turn into an address is none here.
#[test]
fn odd_spellings_are_no_addresses() {
    let Some(forms) = document("client-ip", "wpt_ip_host_forms.json") else { return };
    for case in forms["cases"].as_array().unwrap() {
        let text = case["host_text"].as_str().unwrap();
        let read = Address::parse(text.as_bytes()).is_some();
        match case["strict_client_ip"].as_str().unwrap() {
            "accept" => assert!(read, "{text}"),
            "accept without brackets only" => {
                let inside = text.trim_matches(['[', ']']);
                assert!(!read && Address::parse(inside.as_bytes()).is_some(), "{text}");
            }
            _ => assert!(!read, "{text}"),
        }
    }
}

/// I13: every spelling of RFC 5952 is one address.
#[test]
fn ipv6_spellings_are_one_address() {
    let Some(forms) = document("client-ip", "rfc5952_ipv6_text.json") else { return };
    for case in forms["cases"].as_array().unwrap() {
        let read = |name: &str| Address::parse(case[name].as_str().unwrap().as_bytes());
        assert!(read("input").is_some() && read("input") == read("canonical"), "{case}");
    }
}

/// Envoy's own cases for trusted proxies: the same address, or none where Envoy would guess.
#[test]
fn forwarded_for_agrees_with_envoy() {
    let Some(xff) = document("client-ip", "envoy_xff.json") else { return };
    let mut compared = 0;
    for case in xff["cases"].as_array().unwrap() {
        let (Some(peer), Some(trusted)) = (case["peer"].as_str(), case.get("trusted_cidrs")) else {
            continue;
        };
        let found = forwarded_for(trusted, peer, &case["xff"]);
        let Some(found) = found else { continue };
        compared += 1;
        let expected = case["expected"].as_str().unwrap_or(peer);
        assert_eq!(found, expected, "{case}");
    }
    assert!(compared > 0);
}

/// The address that a policy with these proxies records.
fn forwarded_for(trusted: &Value, peer: &str, lines: &Value) -> Option<String> {
    let policy = json!({
        "version": 1, "gateway": "g",
        "client_address": {"source": "forwarded_for", "trusted_proxies": trusted},
        "networks": {"n": {"cidrs": ["203.0.113.0/24"]}}, "deny": ["n"],
        "routes": [{"name": "r", "paths": ["/x"], "methods": ["GET"], "access": "public"}],
    });
    let compiled = Policy::compile(policy.to_string().as_bytes());
    let policy = compiled.policy.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let mut values: Vec<String> = lines
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|line| line.as_str())
        .map(str::to_owned)
        .collect();
    values.push(peer.to_owned()); // Envoy appends the peer.
    let mut headers =
        vec![(&b":method"[..], &b"GET"[..]), (b":path", b"/x"), (b":authority", b"a")];
    headers.extend(values.iter().map(|value| (&b"x-forwarded-for"[..], value.as_bytes())));
    let address: std::net::IpAddr = peer.parse().ok()?;
    let source = std::net::SocketAddr::new(address, 4711).to_string();
    let request =
        Request { headers: &headers, source_address: Some(source.as_bytes()), route_name: None };
    let decision = policy.decide_now(
        &request,
        FIXED_NOW,
        &mut MemoryStore::default(),
        &mut tokens(&policy),
        &mut (),
    );
    let mut audit = Vec::new();
    decision.write_audit(&mut audit);
    let audit: Value = serde_json::from_slice(&audit).unwrap();
    audit["address"].as_str().map(str::to_owned)
}

/// The suite of JSON tests: what must be taken is taken, what must be refused is refused.
#[test]
fn json_is_read_as_its_grammar_says() {
    let Some(folder) = folder("json-parsing/test_parsing") else { return };
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let taken = Node::from_json(&bytes).is_ok();
        match name.split('_').next().unwrap() {
            // A member twice is refused in a policy; RFC 8259 only warns of it.
            "y" if name.contains("duplicated_key") => assert!(!taken, "{name}"),
            "y" => assert!(taken, "{name}"),
            "n" => assert!(!taken, "{name}"),
            // Free to choose: nothing that is not UTF-8 is taken.
            _ => assert!(!taken || std::str::from_utf8(&bytes).is_ok(), "{name}"),
        }
        read += 1;
    }
    assert!(read > 100);
}

/// L19: our `RateLimit` fields have the form of the draft's newest examples.
#[test]
fn rate_limit_fields_are_structured_fields() {
    let Some(draft) = document("ratelimit-headers", "draft_examples.json") else { return };
    for example in draft["examples"].as_array().unwrap() {
        let newest = example["draft"].as_str().unwrap().contains("-11");
        let value = example["value"].as_str().unwrap();
        assert_eq!(is_list_of_strings(value), newest, "{value}");
    }
    for ours in ["\"one\";r=0;t=3600", "\"one\";q=1;w=3600, \"a.b_c-d\";q=999999999999999;w=1"] {
        assert!(is_list_of_strings(ours), "{ours}");
    }
}

/// A list of strings with integer parameters (RFC 9651): the part of Structured Fields that is used.
fn is_list_of_strings(field: &str) -> bool {
    let integer = |text: &str| {
        !text.is_empty() && text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    field.split(',').map(|item| item.trim_matches(' ')).all(|item| {
        let mut parts = item.split(';');
        let name = parts.next().unwrap_or_default();
        let quoted = name.len() > 2 && name.starts_with('"') && name.ends_with('"');
        let parameters = |part: &str| {
            part.split_once('=').is_some_and(|(key, value)| {
                !key.is_empty()
                    && key.bytes().all(|byte| byte.is_ascii_lowercase())
                    && integer(value)
            })
        };
        quoted && parts.all(parameters)
    })
}
