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

/// A policy whose limits are of every kind.
fn limited() -> String {
    let limits = "plans: {gold: {limits: [monthly, quiet]}}
limits:
  several: {key: [consumer, route], windows: [{rate: 10/s, burst: 20}, {rate: 1000/h, burst: 5}]}
  monthly: {key: [credential], quota: 100/month}
  quiet:   {key: [consumer], rate: 2/s, mode: observe}
";
    let policy =
        policy().replace("limits:\n", limits).replace("[per-address]", "[per-address, several]");
    policy
        .replace("roles: [reader]", "roles: [reader]\n    plan: gold")
        .replace("methods: [GET]\n", "methods: [GET]\n    cost: 2\n")
}

#[test]
fn limits_show_their_key_and_their_arithmetic() {
    let header = format!("x-api-key: {KEY}");
    let request =
        ["--path", "/orders/1", "--peer", "2001:db8:1:2::3", "--header", &header, "--repeat"];
    let repeated = |times, more: &[&str]| {
        explain("limited.yaml", &limited(), &[&request[..], &[times], more].concat())
    };
    let first = repeated("1", &[]);
    assert_eq!(first.code, 0, "{}{}", first.out, first.err);
    for expected in [
        "  address limits  `per-address` of address `2001:db8:1:2::/64`: 3 at once, one each 1 s; 3 there, costs 2, 1 left; full at 2026-11-22T12:00:02.000Z",
        "  limits          `several;10/s` of consumer `mobile` route `orders`: 20 at once, one each 0.1 s; 20 there, costs 2, 18 left; full at 2026-11-22T12:00:00.200Z",
        "  limits          `several;1000/h` of consumer `mobile` route `orders`: 5 at once, one each 3.6 s; 5 there, costs 2, 3 left; full at 2026-11-22T12:00:07.200Z",
        "  limits          `monthly` of credential `mobile-1`: 100 a month; 100 there, costs 2, 98 left; all back at 2026-12-01T00:00:00.000Z",
        "  limits          `quiet` of consumer `mobile`: 2 at once, one each 0.5 s; 2 there, costs 2, 0 left; only looks on; full at 2026-11-22T12:00:01.000Z",
    ] {
        assert!(first.out.contains(expected), "`{expected}` in\n{}", first.out);
    }
    let second = repeated("2", &["--format", "json"]);
    assert_eq!(second.code, 4, "{}{}", second.out, second.err);
    let seen: serde_json::Value = serde_json::from_str(&second.out).expect("json");
    let expected = serde_json::json!([{
        "stage": "address limits", "name": "per-address", "window": null, "mode": "enforce", "scope": "process",
        "key": {"address": "2001:db8:1:2::/64"}, "tokens": 3, "interval_ns": 1_000_000_000, "per": null,
        "counts": "requests", "charge": null, "cost": 2, "before": 1, "after": 1,
        "enough_at": "2026-11-22T12:00:01.000Z", "full_at": "2026-11-22T12:00:02.000Z",
    }]);
    assert_eq!(seen["limits"], expected);
    assert_eq!(seen["rule"], "per-address");
}

#[test]
fn limits_that_refuse_leave_the_others_alone() {
    let header = format!("x-api-key: {KEY}");
    let text = limited().replace("rate: 1/s, burst: 3", "rate: 100/s");
    let request = ["--path", "/orders/1", "--peer", "192.0.2.1", "--header", &header];
    let third = explain("third.yaml", &text, &[&request[..], &["--repeat", "3"]].concat());
    assert_eq!(third.code, 4, "{}{}", third.out, third.err);
    for expected in [
        "`several;1000/h` of consumer `mobile` route `orders`: 5 at once, one each 3.6 s; 1 there, costs 2, too few until 2026-11-22T12:00:03.600Z; full at 2026-11-22T12:00:14.400Z",
        "`several;10/s` of consumer `mobile` route `orders`: 20 at once, one each 0.1 s; 16 there, costs 2, none taken; full at",
        "`monthly` of credential `mobile-1`: 100 a month; 96 there, costs 2, none taken; all back at 2026-12-01",
        "`quiet` of consumer `mobile`: 2 at once, one each 0.5 s; 0 there, costs 2, too few until 2026-11-22T12:00:01.000Z; only looks on; full at",
        "refused: rate_limited by `several`",
        "  retry-after: 4",
    ] {
        assert!(third.out.contains(expected), "`{expected}` in\n{}", third.out);
    }
    let json = [&request[..], &["--repeat", "3", "--format", "json"]].concat();
    let seen: serde_json::Value =
        serde_json::from_str(&explain("third-json.yaml", &text, &json).out).expect("json");
    let monthly =
        seen["limits"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "monthly"));
    let monthly = monthly.expect("it was looked at");
    assert_eq!(
        (&monthly["per"], &monthly["interval_ns"]),
        (&"month".into(), &serde_json::Value::Null)
    );
    assert_eq!(monthly["full_at"], "2026-12-01T00:00:00.000Z");
}

#[test]
fn requests_that_are_repeated_are_all_in_flight_or_each_by_itself() {
    let text = policy()
        .replace(
            "limits:\n  per-address",
            "limits:\n  flights: {key: [route], concurrent: 2}\n  per-address",
        )
        .replace("limits: [per-address]", "limits: [per-address, flights]");
    let header = format!("x-api-key: {KEY}");
    let request = ["--path", "/orders/1", "--peer", "192.0.2.1", "--header", &header, "--repeat"];
    let repeated = |times| explain("flights.yaml", &text, &[&request[..], &[times]].concat());
    let in_turn =
        |times| explain("turns.yaml", &text, &[&request[..], &[times, "--sequential"]].concat());
    let second = repeated("2");
    assert_eq!(second.code, 0, "{}{}", second.out, second.err);
    assert!(
        second.out.contains("`flights` of route `orders`: 2 in flight at once; 2 are"),
        "{}",
        second.out
    );
    let third = repeated("3");
    assert_eq!(third.code, 4);
    assert!(third.out.contains("refused: concurrency_limited by `flights`"), "{}", third.out);
    let third = in_turn("3");
    assert_eq!(third.code, 0, "{}", third.out);
    assert!(
        third.out.contains("`flights` of route `orders`: 2 in flight at once; 1 are"),
        "{}",
        third.out
    );
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
fn what_the_response_costs_is_charged() {
    let text = "version: 1\ngateway: external\n\
        limits: {work: {key: [route], rate: 10/s, charge: {header: x-cost, max: 500}}}\nglobal_limits: [work]\n\
        routes: [{name: open, paths: [/open], methods: [GET], access: public}]\n";
    let costs = |cost: &str, times: &str| {
        let header = format!("X-Cost: {cost}");
        let more = ["--path", "/open", "--response-header", &header, "--repeat", times];
        explain("charged.yaml", text, &more)
    };
    let full = "full at 2026-11-22T12:00:0";
    for (cost, times, charge) in [
        ("4", "1", format!("`work`: costs 4, 1 were taken, so 3 more; 6 left; {full}0.4")),
        ("4", "2", format!("`work`: costs 4, 1 were taken, so 3 more; 2 left; {full}0.8")),
        ("4", "3", format!("`work`: costs 4, 1 were taken, so 3 more; 0 left; {full}1.2")),
        ("1", "1", "`work`: costs 1, and 1 were taken".to_owned()),
        ("501", "1", "`work`: costs 500, 1 were taken, so 499 more; 0 left".to_owned()),
        ("many", "1", "`work`: `x-cost` is no number, so it is the most".to_owned()),
    ] {
        let ran = costs(cost, times);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        assert!(ran.out.contains(&format!("  charge          {charge}")), "{charge}:\n{}", ran.out);
    }
    let ran = costs("4", "4");
    assert!(ran.out.contains("refused: rate_limited by `work`"), "{}", ran.out);
    let request =
        File::new("charged-request.yaml", "path: /open\nresponse_headers: [\"x-cost: 4\"]\n");
    let ran = explain("charged.yaml", text, &["--request", &request.0]);
    assert!(ran.out.contains("so 3 more; 6 left"), "{}", ran.out);
    let ran = explain("charged.yaml", text, &["--path", "/open"]);
    assert!(ran.out.contains("`work`: no `x-cost` in the response"), "{}", ran.out);
    assert_eq!(explain("charged.yaml", text, &["--response-header", "x-cost"]).code, 2);
}

#[test]
fn a_charge_says_from_which_window_it_is_taken() {
    let text = "version: 1\ngateway: external\n\
        limits: {work: {key: [route], windows: [{rate: 10/s}, {quota: 100/month}], charge: {header: x-cost, max: 500}}}\n\
        global_limits: [work]\n\
        routes: [{name: open, paths: [/open], methods: [GET], access: public}]\n";
    let charges = |header: &[&str]| {
        let ran = explain("windows.yaml", text, &[&["--path", "/open"], header].concat());
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        let lines = ran.out.lines().filter_map(|line| line.strip_prefix("  charge          "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        charges(&["--response-header", "x-cost: 4"]),
        [
            "`work;10/s`: costs 4, 1 were taken, so 3 more; 6 left; full at 2026-11-22T12:00:00.400Z",
            "`work;100/month`: costs 4, 1 were taken, so 3 more; 96 left; all back at 2026-12-01T00:00:00.000Z",
        ]
    );
    for (header, says) in [
        (&["--response-header", "x-cost: 1"][..], "costs 1, and 1 were taken"),
        (&[], "no `x-cost` in the response"),
    ] {
        let expected = ["10/s", "100/month"].map(|window| format!("`work;{window}`: {says}"));
        assert_eq!(charges(header), expected);
    }
    let many = charges(&["--response-header", "x-cost: many"]);
    for (at, window) in [(0, "10/s"), (2, "100/month")] {
        assert_eq!(many[at], format!("`work;{window}`: `x-cost` is no number, so it is the most"));
    }
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

#[test]
fn what_filters_behind_are_told_is_shown() {
    let text =
        policy().replace("gateway: external", "gateway: external\nhand_over: [cost, consumer]");
    let header = format!("x-api-key: {KEY}");
    let arguments = ["--path", "/orders/1", "--peer", "192.0.2.1:4711", "--header", &header];
    let ran = explain("told.yaml", &text, &arguments);
    let told: Vec<_> = ran.out.lines().filter(|line| line.starts_with("  hand over")).collect();
    assert_eq!(told, ["  hand over consumer: mobile", "  hand over cost: 1"], "{}", ran.out);
    let ran = explain("told.yaml", &text, &["--path", "/orders/1", "--peer", "192.0.2.1:4711"]);
    assert!(ran.code == 4 && !ran.out.contains("hand over"), "{}", ran.out);
}
