//! What fixed requests cost in instructions of the module, held against checked-in figures.
//!
//! The module that `scripts/build` made runs in a Wasm runtime that counts fuel, in front of a fake
//! host. Keys, tokens, clock and randomness are the same in every run, so the figures are, too, and a
//! machine that is busy does not change them. `fuel.txt` has them, one row a line;
//! `PORTCULLIS_RENEW_FUEL=1 scripts/test build fuel build` writes it anew, and with it which way the
//! branches of the module go in these requests, which the second build writes into the module.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests stop at the first surprise"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use libtest_mimic::{Arguments, Failed, Trial};
use portcullis_core::Algorithm;
use portcullis_mint::{TestKey, key_set};
use portcullis_tests::envoy::root;
use portcullis_tests::fake_host::{Meddle, Outcome, Process, Request, Vm};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

#[path = "fuel/hints.rs"]
mod hints;

/// Percent that a figure may be off before its row fails.
const TOLERANCE: u64 = 5;
const RENEW: &str = "PORTCULLIS_RENEW_FUEL";

/// 2027-01-15T08:00:00Z
const NOW: u64 = 1_800_000_000 * 1_000_000_000;
const CONSUMERS: u32 = 100;
const ROUTES: u32 = 20;
/// Requests of the same kind before the one that counts: what is made once is made then.
const BEFORE: u32 = 3;
const SECRET: &str = "PORTCULLIS_FUEL_SECRET";
const ENVOY_VERIFIES: &[u8] = &[8, 1];
const ENVOY_REFUSES: &[u8] = b"\x12\x28Failed to verify digest. Error code: 0";

/// A kind of request: its number `turn`, and the status that it must get.
struct Row {
    name: &'static str,
    status: u32,
    request: fn(turn: u32) -> Request,
}

const ROWS: [Row; 10] = [
    Row { name: "api key", status: 200, request: |_| get().with("x-api-key", key(7)) },
    Row {
        name: "api key unknown",
        status: 401,
        request: |_| get().with("x-api-key", key(CONSUMERS)),
    },
    Row { name: "token seen before", status: 200, request: |_| bearer(Algorithm::Es256, 0) },
    Row {
        name: "token new, Envoy verifies",
        status: 200,
        request: |turn| bearer(Algorithm::Es256, turn),
    },
    Row { name: "token new, HS256", status: 200, request: |turn| bearer(Algorithm::Hs256, turn) },
    Row { name: "token new, EdDSA", status: 200, request: |turn| bearer(Algorithm::EdDsa, turn) },
    Row { name: "public route", status: 200, request: |_| on("/public/about") },
    Row { name: "address denied", status: 403, request: |_| get().from("203.0.66.7:1234") },
    Row { name: "limit used up", status: 429, request: |_| on("/limited/about") },
    Row { name: "browser, 20 headers", status: 200, request: |_| browser() },
];

fn main() {
    let arguments = Arguments::from_args();
    if std::env::var_os(RENEW).is_some() {
        let figures = ROWS.iter().map(|row| (row.name, measured(row)));
        let text = figures.fold(String::new(), |mut text, (name, fuel)| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}: {fuel}");
            text
        });
        std::fs::write(file(), &text).expect("the figures can be written");
        println!("{} is renewed:\n{text}", file().display());
        hints::renew();
    }
    let mut expected = figures();
    let mut trials: Vec<_> = ROWS
        .iter()
        .map(|row| {
            let figure = expected.remove(row.name);
            Trial::test(row.name, move || judge(row.name, figure, measured(row)))
        })
        .collect();
    let strangers: Vec<_> = expected.into_keys().collect();
    trials.push(Trial::test("every figure has its row", move || {
        if strangers.is_empty() { Ok(()) } else { Err(format!("no rows: {strangers:?}").into()) }
    }));
    trials.push(Trial::test("branch hints are of this module", hints::judge));
    libtest_mimic::run(&arguments, trials).exit();
}

fn judge(name: &str, figure: Option<u64>, now: u64) -> Result<(), Failed> {
    let renew = format!("`{RENEW}=1 scripts/test build fuel build` renews tests/fuel.txt");
    let Some(before) = figure else {
        return Err(format!("`{name}` takes {now} fuel and has no figure yet: {renew}").into());
    };
    let change =
        format!("`{name}` took {before} fuel and takes {now} now, {:+.1} %", percent(before, now));
    if now * 100 > before * (100 + TOLERANCE) {
        return Err(format!("{change}: it has become dearer. If that is meant, {renew}").into());
    }
    if now * 100 < before * (100 - TOLERANCE) {
        return Err(
            format!("{change}: it has become cheaper, so that is its figure: {renew}").into()
        );
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn percent(before: u64, now: u64) -> f64 {
    (now as f64 / before as f64 - 1.0) * 100.0
}

/// Fuel of one request of this kind, after some others.
fn measured(row: &Row) -> u64 {
    after_others(row, Vm::counting, Vm::fuel_of)
}

/// What is measured of one request of this kind, in a VM that has seen some others.
fn after_others<T>(
    row: &Row,
    vm: fn(&Process) -> Vm,
    measure: fn(&mut Vm, &Request) -> (Outcome, T),
) -> T {
    let process = Process::at(NOW);
    process.set_environment(vec![(SECRET, secret().secret().expect("a key of HMAC"))]);
    let mut vm = vm(&process);
    envoy_proves_itself(&mut vm);
    let configured = vm.configure(policy().to_string());
    assert!(configured.accepted, "{configured:?}");
    let native = configured.log.iter().any(|line| line.contains("by Envoy for RS256"));
    assert!(native, "the stand-in for Envoy's cryptography was not believed: {configured:?}");
    vm.behave();
    vm.meddle(VERIFY, 0, usize::MAX, Meddle::HandOver(ENVOY_VERIFIES.to_vec()));
    for turn in 0..BEFORE {
        vm.request(&(row.request)(turn));
    }
    let (outcome, measured) = measure(&mut vm, &(row.request)(BEFORE));
    assert_eq!(outcome.status(), row.status, "{}: {outcome:?}", row.name);
    measured
}

const VERIFY: &str = "proxy_call_foreign_function";

/// The filter asks about known signatures, each good and then wrong, before it believes Envoy.
fn envoy_proves_itself(vm: &mut Vm) {
    const KNOWN: &str = include_str!("../src/filter/native/known.json");
    let known: Value = serde_json::from_str(KNOWN).expect("JSON");
    for _ in known["tokens"].as_array().expect("tokens") {
        vm.meddle(VERIFY, 0, 1, Meddle::HandOver(ENVOY_VERIFIES.to_vec()));
        vm.meddle(VERIFY, 0, 1, Meddle::HandOver(ENVOY_REFUSES.to_vec()));
    }
}

fn policy() -> Value {
    let ranges: Vec<_> = (0..CONSUMERS).map(|number| format!("203.0.{number}.0/24")).collect();
    let issuer = |algorithm: Algorithm, keys: Value| {
        json!({
            "name": algorithm.name().to_lowercase(),
            "issuer": issuer(algorithm),
            "audiences": ["orders-api"],
            "algorithms": [algorithm.name()], "keys": keys,
            "claims": {"consumer": "client_id", "scopes": "scope"},
        })
    };
    let issuers = [
        issuer(Algorithm::Es256, json!({"jwks": key_set([&signer(Algorithm::Es256)])})),
        issuer(Algorithm::EdDsa, json!({"jwks": key_set([&signer(Algorithm::EdDsa)])})),
        issuer(Algorithm::Hs256, json!({"secrets": [SECRET]})),
    ];
    let consumers: Vec<_> = (0..CONSUMERS).map(consumer).collect();
    let mut routes: Vec<_> = (0..ROUTES)
        .map(|number| {
            json!({
                "name": format!("route-{number}"),
                "paths": [format!("/v1/resource-{number}/{{id}}")],
                "methods": ["GET"],
                "credentials": ["api_key", "jwt"],
                "scopes": {"all_of": ["orders:read"]},
            })
        })
        .collect();
    let public = |name: &str| {
        let paths = [format!("/{name}/**")];
        json!({"name": name, "paths": paths, "methods": ["GET"], "access": "public"})
    };
    let mut limited = public("limited");
    limited["limits"] = json!(["few"]);
    routes.extend([public("public"), limited]);
    json!({
        "version": 1,
        "gateway": "fuel",
        "realm": "fuel",
        "networks": {"blocked": {"cidrs": ranges}},
        "deny": ["blocked"],
        "identity_headers": {"consumer": "x-client"},
        "roles": {"reader": ["orders:read", "orders:write"]},
        "limits": {
            "per-client": {"key": ["consumer"], "rate": "1000/s", "burst": 1000},
            "few": {"key": ["address"], "rate": "1/m", "burst": 1},
        },
        "issuers": issuers,
        "consumers": consumers,
        "routes": routes,
    })
}

fn consumer(number: u32) -> Value {
    let name = format!("client-{number}");
    let tokens: Vec<_> = ["es256", "eddsa", "hs256"]
        .into_iter()
        .map(|issuer| json!({"issuer": issuer, "value": name}))
        .collect();
    let digest = Sha256::digest(key(number));
    let digest = digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    json!({
        "name": name, "limits": ["per-client"], "roles": ["reader"], "tokens": tokens,
        "api_keys": [{"id": format!("key-{number}"), "sha256": digest, "format": "opaque"}],
    })
}

// --- requests ---

fn on(path: &str) -> Request {
    let lines = [
        (":authority", "api.example.com"),
        (":path", path),
        (":method", "GET"),
        (":scheme", "https"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "0b8f6f0e-0000-4000-8000-000000000000"),
    ];
    Request::new(&lines).from("198.51.100.7:1234").on_route("")
}

fn get() -> Request {
    on("/v1/resource-10/7")
}

fn key(number: u32) -> String {
    format!("fixed-key-of-client-{number:06}")
}

/// What a browser sends along, with an API key.
fn browser() -> Request {
    let lines = [
        (
            "accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        ),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
        ("cache-control", "max-age=0"),
        (
            "cookie",
            "session=3f2a9c17d8e64b0fa1c5; theme=dark; consent=a%3D1%26b%3D0; _ga=GA1.2.1234567890.1700000000",
        ),
        ("dnt", "1"),
        ("priority", "u=0, i"),
        ("referer", "https://www.example.com/orders?page=3&sort=date"),
        ("sec-ch-ua", r#""Chromium";v="141", "Not?A_Brand";v="8""#),
        ("sec-ch-ua-mobile", "?0"),
        ("sec-ch-ua-platform", r#""Linux""#),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-user", "?1"),
        ("sec-gpc", "1"),
        ("upgrade-insecure-requests", "1"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
        ),
        ("x-forwarded-for", "198.51.100.7"),
    ];
    let request = get().with("x-api-key", key(7));
    lines.into_iter().fold(request, |request, (name, value)| request.with(name, value))
}

/// Another token with every turn, always of the same length.
fn bearer(algorithm: Algorithm, turn: u32) -> Request {
    let seconds = NOW / 1_000_000_000;
    let claims = json!({
        "iss": issuer(algorithm), "aud": "orders-api", "sub": "user-7", "client_id": "client-7",
        "iat": seconds, "nbf": seconds, "exp": seconds + 3600, "jti": format!("fixed-{turn:06}"),
        "scope": "orders:read orders:write profile",
    });
    get().with("authorization", format!("Bearer {}", signer(algorithm).token(&claims)))
}

fn issuer(algorithm: Algorithm) -> String {
    format!("https://{}.example.com", algorithm.name().to_lowercase())
}

fn signer(algorithm: Algorithm) -> TestKey {
    TestKey::generate(algorithm, Some("fixed"), b"fuel")
}

fn secret() -> TestKey {
    signer(Algorithm::Hs256)
}

// --- figures ---

fn file() -> PathBuf {
    root().join("tests/fuel.txt")
}

/// The checked-in figures by the names of their rows.
fn figures() -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(file()).unwrap_or_default();
    let figure = |line: &str| {
        let (name, fuel) = line.rsplit_once(": ").expect("a name and a figure");
        (name.to_owned(), fuel.parse().expect("a number"))
    };
    text.lines().map(figure).collect()
}
