//! A key that was sent is in no output, and every output says what it must.

use portcullis_tests::case::policy_named;
use portcullis_tests::template::{api_key, digest, real_now};
use portcullis_tests::token::{keys, mint};
use serde_json::{Map, json};

use super::support::{connect, envoy, get, reference, stats};

/// K12: neither the access log, Envoy's own log, the statistics nor the config dump hold a key.
#[test]
fn no_key_shows_anywhere() {
    let mut policy = reference();
    let sources = json!([{"header": "x-api-key"}, {"query": "api_key"}, {"cookie": "key"}]);
    policy["api_key"] = json!({"sources": sources});
    let envoy = envoy(&policy, 2);
    let address = envoy.listeners["only"];
    for name in ["alpha", "nobody", "revoked", "expired", "admin"] {
        let key = api_key(name);
        let lines = [
            format!("x-api-key: {key}"),
            format!("cookie: a=b; key={key}"),
            format!("x_api_key: {key}"),
        ];
        for line in &lines {
            for path in ["/orders/1", "/public/x", "/admin/x", "/nowhere", "/orders/../x"] {
                let from: &[u8] = b"x-forwarded-for: 198.51.100.7";
                get(&mut connect(address), path, &[line.as_bytes(), from]);
                get(&mut connect(address), &format!("{path}?api_key={key}"), &[from]);
                get(
                    &mut connect(address),
                    &format!("{path}?api_key={key}"),
                    &[line.as_bytes(), from],
                );
            }
        }
    }
    get(
        &mut connect(address),
        "/public/x",
        &[b"x-request-id: case-last", b"x-forwarded-for: 192.0.2.1"],
    );
    envoy.log_line("case-last").expect("the last request is in the access log");
    let access_log = std::fs::read_to_string(envoy.folder.join("access.log")).unwrap();
    let stats = stats(&envoy);
    let outputs = [
        ("access log", access_log),
        ("envoy's log", envoy.own_log()),
        ("stats", stats),
        ("prometheus", envoy.ask("/stats/prometheus").unwrap()),
        ("config dump", envoy.ask("/config_dump").unwrap()),
    ];
    for name in ["alpha", "nobody", "revoked", "expired", "admin"] {
        let key = api_key(name);
        for (output, text) in &outputs {
            assert!(!text.contains(key.trim_start_matches("pcl_")), "{name} in {output}");
            if *output != "config dump" {
                assert!(!text.contains(&digest(key.as_bytes())), "digest of {name} in {output}");
            }
        }
    }
}

/// J73: the same of tokens, whatever is wrong with them and wherever they stand, and of the secrets that
/// some are signed with.
#[test]
fn no_token_shows_anywhere() {
    let mut policy = policy_named(&json!("tokens"));
    let sources =
        json!([{"header": "authorization"}, {"query": "access_token"}, {"cookie": "session"}]);
    policy["jwt"] = json!({"sources": sources});
    let envoy = envoy(&policy, 2);
    let address = envoy.listeners["only"];
    let shared = "https://shared.example";
    let tokens = [
        json!("T"),
        json!({"signature": {"flip": 0}}),
        json!({"claims": {"exp": 1}}),
        json!({"claims": {"sub": "closed"}}),
        json!({"header": {"kid": "nobody"}}),
        json!({"key": "hs-1", "claims": {"iss": shared}}),
        json!({"key": "hs-3", "claims": {"iss": shared}}),
        json!({"size": 9000}),
    ]
    .map(|recipe| mint(&recipe, &Map::new(), real_now()));
    let from: &[u8] = b"x-forwarded-for: 198.51.100.7";
    for token in &tokens {
        for line in [format!("authorization: Bearer {token}"), format!("cookie: session={token}")] {
            for path in ["/orders/1", "/public/x", "/keys/x", "/nowhere", "/orders/../x"] {
                get(&mut connect(address), path, &[line.as_bytes(), from]);
                let target = format!("{path}?access_token={token}");
                get(&mut connect(address), &target, &[from]);
                get(&mut connect(address), &target, &[line.as_bytes(), from]);
            }
        }
    }
    let last: &[u8] = b"x-request-id: case-last";
    get(&mut connect(address), "/public/x", &[last, from]);
    envoy.log_line("case-last").expect("the last request is in the access log");
    let outputs = [
        ("access log", std::fs::read_to_string(envoy.folder.join("access.log")).unwrap()),
        ("envoy's log", envoy.own_log()),
        ("stats", stats(&envoy)),
        ("config dump", envoy.ask("/config_dump").unwrap()),
    ];
    assert!(outputs[0].1.contains("token_signature") && outputs[0].1.contains("\"jwt\""));
    let parts = tokens.iter().flat_map(|token| token.split('.').skip(1)).map(str::to_owned);
    let secrets = keys::environment().into_iter().map(|(_, value)| value);
    let hidden: Vec<String> = parts.chain(secrets).filter(|text| text.len() >= 24).collect();
    assert!(hidden.len() >= 2 * tokens.len());
    for (output, text) in &outputs {
        assert!(hidden.iter().all(|part| !text.contains(part)), "{output}");
    }
}

/// R44 over HTTP/2: gRPC callers get a status that their library understands.
#[test]
fn grpc_over_http2() {
    let envoy = envoy(&reference(), 2);
    let url = format!("http://{}/orders.v1.Orders/Get", envoy.listeners["only"]);
    let ask = |more: &[&str]| {
        let mut command = std::process::Command::new("curl");
        command.args(["-si", "--http2-prior-knowledge", "--haproxy-protocol", "-X", "POST"]);
        command.args(["-H", "host: api.example.com", "-H", "content-type: application/grpc"]);
        let output = command.args(more).arg(&url).output().expect("curl is there");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let refused = ask(&[]);
    assert!(refused.starts_with("HTTP/2 200") && refused.contains("grpc-status: 16"), "{refused}");
    let key = format!("x-api-key: {}", api_key("alpha"));
    let allowed = ask(&["-H", &key]);
    assert!(allowed.starts_with("HTTP/2 200") && !allowed.contains("grpc-status"), "{allowed}");
    let key = format!("x-api-key: {}", api_key("admin"));
    assert!(ask(&["-H", &key]).contains("grpc-status: 7"));
}
