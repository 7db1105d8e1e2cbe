use crate::support::{File, KEY, policy, run};

fn explain(name: &str, policy: &str, more: &[&str]) -> crate::support::Ran {
    let file = File::new(name, policy);
    run(&[&["explain", "--policy", &file.0, "--at", "2026-11-22T12:00:00Z"], more].concat(), "")
}

#[test]
fn a_request_without_a_key() {
    let ran =
        explain("no-key.yaml", &policy(), &["--path", "/orders/1?x=y", "--peer", "192.0.2.1"]);
    assert_eq!(ran.code, 4, "{}{}", ran.out, ran.err);
    for expected in [
        "policy `external`, revision ",
        ", at 2026-11-22T12:00:00",
        "  route           GET localhost/orders/1: `orders`",
        "refused: credential_missing",
        "reply: status 401, details `credential_missing`",
        "  www-authenticate: ApiKey realm=\"external\"",
        "audit: {\"time\":\"2026-11-22T12:00:00",
    ] {
        assert!(ran.out.contains(expected), "`{expected}` in\n{}", ran.out);
    }
}

#[test]
fn a_request_with_a_key_never_shows_it() {
    // row: K12
    let header = format!("X-API-Key: {KEY}");
    let arguments = [
        "--path",
        "/orders/1",
        "--peer",
        "192.0.2.1:4711",
        "--header",
        &header,
        "--header",
        "cookie: a=hidden",
    ];
    for format in ["human", "json"] {
        let ran = explain("key.yaml", &policy(), &[&arguments[..], &["--format", format]].concat());
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        assert!(!ran.out.contains(KEY) && !ran.out.contains("hidden"), "{}", ran.out);
        assert!(ran.out.contains("x-portcullis-consumer"), "{}", ran.out);
    }
    let sources = "gateway: external\napi_key: {sources: [{cookie: key}, {query: key}]}";
    let text = policy().replace("gateway: external", sources);
    let header = format!("cookie: a=hidden; key={KEY}");
    let in_cookie = ["--path", "/orders/1", "--peer", "192.0.2.1", "--header", &header];
    let path = format!("/orders/1?a=b&key={KEY}");
    let in_query = ["--path", &path, "--peer", "192.0.2.1"];
    for arguments in [&in_cookie[..], &in_query[..]] {
        let ran = explain("elsewhere.yaml", &text, arguments);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        assert!(!ran.out.contains(KEY) && !ran.out.contains("hidden"), "{}", ran.out);
    }
}

#[test]
fn limits_run_out_when_a_request_is_repeated() {
    // row: L01
    let header = format!("x-api-key: {KEY}");
    let request = ["--path", "/orders/1", "--peer", "192.0.2.1", "--header", &header, "--repeat"];
    let repeated = |times| explain("repeat.yaml", &policy(), &[&request[..], &[times]].concat());
    assert_eq!(repeated("3").code, 0);
    let fourth = repeated("4");
    assert_eq!(fourth.code, 4);
    assert!(
        fourth.out.contains("after 3 of the same requests, 3 of them allowed"),
        "{}",
        fourth.out
    );
    assert!(fourth.out.contains("refused: rate_limited by `per-address`"), "{}", fourth.out);
    assert!(fourth.out.contains("  retry-after: 1"), "{}", fourth.out);
}

#[test]
fn requests_that_are_repeated_are_all_in_flight() {
    let text = policy()
        .replace(
            "limits:\n  per-address",
            "limits:\n  flights: {key: [route], concurrent: 2}\n  per-address",
        )
        .replace("limits: [per-address]", "limits: [per-address, flights]");
    let header = format!("x-api-key: {KEY}");
    let request = ["--path", "/orders/1", "--peer", "192.0.2.1", "--header", &header, "--repeat"];
    let repeated = |times| explain("flights.yaml", &text, &[&request[..], &[times]].concat());
    let second = repeated("2");
    assert_eq!(second.code, 0, "{}{}", second.out, second.err);
    assert!(
        second.out.contains("`flights` of route `orders`: 2 at once, 2 in flight"),
        "{}",
        second.out
    );
    let third = repeated("3");
    assert_eq!(third.code, 4);
    assert!(third.out.contains("refused: concurrency_limited by `flights`"), "{}", third.out);
}

#[test]
fn whose_bucket_and_what_counts_is_told() {
    // rows: L09, L16
    let limits = "limits:\n  \
        paid: {key: [consumer, method, {header: x-tenant}], rate: 10/s, charge: {header: x-cost, max: 500}}\n  \
        guesses: {key: [{address: {v4: 24}}], rate: 3/m, counts: failures}\n\
        trusted_headers: [x-tenant]\nglobal_limits: [guesses, paid]\n";
    let text = format!(
        "version: 1\ngateway: external\n{limits}routes: [{{name: open, paths: [/open], methods: [GET], access: public}}]\n"
    );
    let tenant = ["--path", "/open", "--peer", "192.0.2.1", "--header", "x-tenant: hidden"];
    let ran = explain("keys.yaml", &text, &tenant);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    for expected in [
        "`guesses` of address `192.0.2.0/24`: 3 failures at once",
        "`paid` of no consumer method `GET` header x-tenant `(6 bytes)`: 10 at once",
        "9 left; by `x-cost` the response costs up to 500",
    ] {
        assert!(ran.out.contains(expected), "`{expected}` in\n{}", ran.out);
    }
    assert!(!ran.out.contains("hidden"), "{}", ran.out);
    let guess = ["--path", "/open", "--peer", "192.0.2.1", "--header", "x-api-key: nobody"];
    let ran = explain("guess.yaml", &text, &guess);
    assert!(ran.out.contains("refused: key_unknown"), "{}", ran.out);
    assert!(ran.out.contains("authenticate    `guesses` of address"), "{}", ran.out);
    assert!(ran.out.contains("2 left"), "{}", ran.out);
    let ran = explain("guesses.yaml", &text, &[&guess[..], &["--repeat", "4"]].concat());
    assert!(ran.out.contains("refused: rate_limited by `guesses`"), "{}", ran.out);
}

#[test]
fn a_request_from_a_file_is_the_same_request() {
    let request = File::new(
        "request.yaml",
        &format!("path: /orders/1\npeer: 203.0.113.9\nheaders:\n  - \"x-api-key: {KEY}\"\n"),
    );
    let ran = explain("from-file.yaml", &policy(), &["--request", &request.0, "--format", "json"]);
    assert_eq!(ran.code, 4, "{}{}", ran.out, ran.err);
    let seen: serde_json::Value = serde_json::from_str(&ran.out).expect("json");
    assert_eq!(seen["outcome"], "refused");
    assert_eq!(seen["reason"], "address_denied");
    assert_eq!(seen["rule"], "abusive");
    assert_eq!(seen["effects"]["reply"]["status"], 403);
    assert_eq!(seen["audit"]["address"], "203.0.113.9");
    for (text, why) in [
        ("paht: /", "1:7: a request has the fields method, path"),
        ("headers: [no-colon]", "1:11: a header is written as `name: value`"),
        ("at: noon", "1:5: a time is written as"),
        ("repeat: 0", "1:9: `repeat` is not written like this"),
        ("[]", "1:1: a request is an object"),
    ] {
        let bad = File::new("bad-request.yaml", text);
        let ran = explain("bad.yaml", &policy(), &["--request", &bad.0]);
        assert_eq!(ran.code, 2, "{text}");
        assert!(ran.err.contains(why), "{}", ran.err);
    }
}

#[test]
fn observe_mode_is_told_apart() {
    let text = policy().replace("gateway: external", "gateway: external\nmode: observe");
    let ran = explain("observe.yaml", &text, &["--path", "/orders/1", "--peer", "192.0.2.1"]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(ran.out.contains("observed: would be refused, credential_missing"), "{}", ran.out);
}

#[test]
fn one_of_several_policies_is_chosen() {
    let both = format!("{}---\n{}", policy(), policy().replace("external", "internal"));
    let ran = explain("both.yaml", &both, &["--path", "/healthz"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("with `--gateway`: `external`, `internal`"), "{}", ran.err);
    let chosen = ["--path", "/healthz", "--gateway", "internal", "--peer", "192.0.2.1"];
    let ran = explain("chosen.yaml", &both, &chosen);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("policy `internal`"), "{}", ran.out);
    assert_eq!(explain("none.yaml", &both, &["--gateway", "other"]).code, 2);
}

#[test]
fn a_policy_with_errors_is_not_explained() {
    let ran = explain("wrong.yaml", &policy().replace("version: 1", "version: 2"), &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("wrong.yaml:1:1: error["), "{}", ran.err);
    assert_eq!(run(&["explain", "--policy", "/nowhere.yaml"], "").code, 3);
    assert_eq!(run(&["explain"], "").code, 2);
}
