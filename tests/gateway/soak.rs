//! Millions of requests of every kind: no trap, every answer as it should be, every request counted once, and
//! memory that stays where it was.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis_mint::TestKey;
use portcullis_tests::envoy::Envoy;
use portcullis_tests::http1::Client;
use portcullis_tests::template::{api_key, real_now};
use portcullis_tests::token::keys;
use serde_json::{Value, json};

use super::support::{at_once, connect, dice, envoy_without_log, get, size, stats};

const THREADS: usize = 4;
/// Of each thread. Envoy's workers take connections at random.
const CONNECTIONS: u64 = 4;

/// How long it takes at most, unless a size is asked for.
const LONGEST: Duration = Duration::from_secs(15);

/// KiB by which Envoy's memory may grow behind the first tenth. Caches and tables are full by then.
const GROWTH: u64 = 4_096;

/// Tokens that come again and again.
const HOT: u64 = 16;

fn policy() -> Value {
    json!({
        "version": 1, "gateway": "soak",
        "client_address": {"source": "forwarded_for", "trusted_proxies": ["10.0.0.0/8"]},
        "networks": {"bad": {"cidrs": ["203.0.113.0/24"]}},
        "deny": ["bad"],
        "jwt": {"cache_tokens": 256},
        "issuers": [
            {"name": "main", "issuer": "https://issuer.example", "audiences": ["orders-api"], "algorithms": ["ES256"],
             "keys": {"jwks": "{{jwks:ec-1}}"}},
            {"name": "shared", "issuer": "https://shared.example", "audiences": ["orders-api"], "algorithms": ["HS256"],
             "keys": {"secrets": ["PORTCULLIS_TEST_HS_1"]}},
        ],
        "consumers": [{
            "name": "alpha", "scopes": ["orders:read"], "limits": ["at-once", "enough"],
            "api_keys": [{"id": "alpha-1", "sha256": "{{sha256:alpha}}"}],
        }],
        "limits": {
            // What would be left in flight by those who hang up would soon be too much.
            "at-once": {"key": ["consumer"], "concurrent": 500},
            "enough": {"key": ["address"], "rate": "1000000/s", "burst": 1_000_000},
            "few": {"key": ["address"], "rate": "1/d", "burst": 1},
        },
        "routes": [
            {"name": "public", "paths": ["/public/**"], "methods": ["GET"], "access": "public", "limits": ["enough"]},
            {"name": "limited", "paths": ["/limited"], "methods": ["GET"], "access": "public", "limits": ["few"]},
            {"name": "orders", "paths": ["/orders/**"], "methods": ["GET"], "credentials": ["api_key", "jwt"],
             "scopes": {"all_of": ["orders:read"]}},
            {"name": "upload", "paths": ["/upload"], "methods": ["POST"], "credentials": ["api_key"]},
            {"name": "hasty", "paths": ["/hasty"], "methods": ["POST"], "credentials": ["api_key"]},
            {"name": "admin", "paths": ["/admin"], "methods": ["GET"], "credentials": ["api_key"],
             "scopes": {"all_of": ["admin"]}},
            {"name": "secret", "paths": ["/orders/secret/**"], "methods": ["*"], "access": "deny"},
        ],
    })
}

/// One kind of request, and what becomes of it.
struct Kind {
    name: &'static str,
    /// How often it comes, against all others.
    weight: u64,
    status: u16,
    way: Way,
    /// Outcome, reason and route under which it is counted; empty where the filter never sees it.
    counted: &'static str,
    request: fn(&Callers, &mut u64, u64) -> String,
}

/// What a caller does with its connection.
enum Way {
    /// It waits for the answer, and comes again on it.
    Stay,
    /// It waits for the answer, behind which Envoy closes.
    Closed,
    /// It hangs up behind the first head of an answer.
    Leave,
    /// It hangs up as soon as it has sent what it sends.
    LeaveAtOnce,
}

use Way::{Closed, Leave, LeaveAtOnce, Stay};

/// Where those are counted that hang up at once: some are gone before the filter sees them.
const HASTY: &str = "allowed none hasty";

#[rustfmt::skip]
const KINDS: [Kind; 20] = [
    Kind { name: "good key", weight: 20, status: 200, way: Stay, counted: "allowed none orders", request: |it, dice, _| get_of(dice, "/orders/1", &it.key) },
    Kind { name: "unknown key", weight: 8, status: 401, way: Stay, counted: "refused key_unknown orders", request: |it, dice, _| get_of(dice, "/orders/1", &it.unknown_key) },
    Kind { name: "key without the scope", weight: 4, status: 403, way: Stay, counted: "refused scope_missing admin", request: |it, dice, _| get_of(dice, "/admin", &it.key) },
    Kind { name: "token seen before", weight: 16, status: 200, way: Stay, counted: "allowed none orders", request: |it, dice, _| { let at = self::dice(dice, HOT); get_of(dice, "/orders/1", &bearer(it.hot(at))) } },
    Kind { name: "new token, HS256", weight: 7, status: 200, way: Stay, counted: "allowed none orders", request: |it, dice, number| get_of(dice, "/orders/1", &bearer(&it.shared.token(&it.claims("https://shared.example", number)))) },
    Kind { name: "new token, ES256", weight: 1, status: 200, way: Stay, counted: "allowed none orders", request: |it, dice, number| get_of(dice, "/orders/1", &bearer(&it.main.token(&it.claims("https://issuer.example", number)))) },
    Kind { name: "forged token", weight: 6, status: 401, way: Stay, counted: "refused token_signature orders", request: |it, dice, number| get_of(dice, "/orders/1", &bearer(&it.forged(number))) },
    Kind { name: "malformed token", weight: 2, status: 401, way: Stay, counted: "refused token_malformed orders", request: |_, dice, number| get_of(dice, "/orders/1", &bearer(&format!("{number}.a.b"))) },
    Kind { name: "public route", weight: 12, status: 200, way: Stay, counted: "allowed none public", request: |_, dice, number| get_of(dice, &format!("/public/{number}"), "accept: */*") },
    Kind { name: "unknown route", weight: 5, status: 403, way: Stay, counted: "refused route_unknown none", request: |it, dice, number| get_of(dice, &format!("/nowhere/{number}"), &it.key) },
    Kind { name: "denied address", weight: 4, status: 403, way: Stay, counted: "refused address_denied none", request: |it, _, number| get_from(&format!("203.0.113.{}", number % 250), "/orders/1", &it.key) },
    Kind { name: "denied route", weight: 3, status: 403, way: Stay, counted: "refused route_denied secret", request: |it, dice, _| get_of(dice, "/orders/secret/1", &it.key) },
    Kind { name: "limited", weight: 5, status: 429, way: Stay, counted: "refused rate_limited limited", request: |_, _, _| get_from(LIMITED, "/limited", "accept: */*") },
    Kind { name: "malformed path", weight: 4, status: 400, way: Closed, counted: "refused request_malformed none", request: |it, dice, number| get_of(dice, &format!("/orders/{number}/%2e%2e/1"), &it.key) },
    Kind { name: "with a body", weight: 3, status: 200, way: Stay, counted: "allowed none upload", request: |it, _, _| upload("/upload", &it.key, "content-length: 1000", &"b".repeat(1_000)) },
    Kind { name: "with trailers", weight: 3, status: 200, way: Stay, counted: "allowed none upload", request: |it, _, number| upload("/upload", &it.key, "transfer-encoding: chunked", &format!("3\r\nabc\r\n0\r\nx-portcullis-consumer: root\r\nx-t: {number}\r\n\r\n")) },
    Kind { name: "hangs up in the body", weight: 1, status: 100, way: Leave, counted: "allowed none upload", request: |it, _, _| upload("/upload", &it.key, "expect: 100-continue\r\ncontent-length: 1000", "b") },
    Kind { name: "hangs up in the answer", weight: 1, status: 200, way: Leave, counted: "allowed none public", request: |_, dice, number| get_of(dice, &format!("/public/{number}"), "accept: */*") },
    Kind { name: "hangs up at once", weight: 1, status: 0, way: LeaveAtOnce, counted: HASTY, request: |it, _, _| upload("/hasty", &it.key, "content-length: 1000", "b") },
    Kind { name: "hangs up in the headers", weight: 1, status: 0, way: LeaveAtOnce, counted: "", request: |it, dice, _| { let mut half = get_of(dice, "/orders/1", &it.key); half.truncate(60); half } },
];

/// Whose bucket is used up before the first of them comes.
const LIMITED: &str = "198.51.100.200";

/// What callers have.
struct Callers {
    key: String,
    unknown_key: String,
    main: TestKey,
    shared: TestKey,
    hot: Vec<String>,
    /// When it began, in unix seconds.
    began: u64,
}

impl Callers {
    fn new() -> Self {
        let key = |name: &str| format!("x-api-key: {}", api_key(name));
        let mut callers = Self {
            key: key("alpha"),
            unknown_key: key("nobody"),
            main: keys::signer("ec-1"),
            shared: keys::signer("hs-1"),
            hot: Vec::new(),
            began: real_now().unix_nanos() / 1_000_000_000,
        };
        let hot = |number| {
            callers.main.token(&callers.claims("https://issuer.example", u64::MAX - number))
        };
        callers.hot = (0..HOT).map(hot).collect();
        callers
    }

    fn claims(&self, issuer: &str, number: u64) -> Value {
        json!({
            "iss": issuer, "aud": "orders-api", "sub": "alice", "iat": self.began, "exp": self.began + 7_200,
            "jti": number.to_string(), "scope": "orders:read",
        })
    }

    fn hot(&self, number: u64) -> &str {
        &self.hot[usize::try_from(number % HOT).unwrap()]
    }

    /// A token that was seen before, under a signature that nobody has seen.
    fn forged(&self, number: u64) -> String {
        let (signed, signature) = self.hot(number).rsplit_once('.').unwrap();
        let begin = keys::base64url(&number.to_be_bytes()[2..]);
        format!("{signed}.{begin}{}", signature.get(begin.len()..).unwrap())
    }
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

fn get_from(address: &str, path: &str, line: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: api.example.com\r\nx-forwarded-for: {address}\r\n{line}\r\n\r\n"
    )
}

/// From one of a hundred addresses.
fn get_of(state: &mut u64, path: &str, line: &str) -> String {
    get_from(&format!("198.51.100.{}", dice(state, 100)), path, line)
}

fn upload(path: &str, key: &str, framing: &str, rest: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: api.example.com\r\n{key}\r\n{framing}\r\n\r\n{rest}")
}

/// How many were sent of each kind.
type Sent = [u64; KINDS.len()];

/// Sends up to that number or until the time is over. No two requests have the same number.
fn send(
    gateway: SocketAddr,
    callers: &Callers,
    seed: u64,
    (next, until): (&AtomicU64, u64),
    end: Option<Instant>,
) -> Sent {
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| connect(gateway)).collect();
    let (mut state, mut sent) = (seed, Sent::default());
    let weights: u64 = KINDS.iter().map(|kind| kind.weight).sum();
    while end.is_none_or(|end| Instant::now() < end) {
        let take = |next: u64| (next < until).then_some(next + 1);
        let Ok(number) = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) else {
            break;
        };
        let mut rest = dice(&mut state, weights);
        let is_it = |kind: &Kind| rest.checked_sub(kind.weight).map(|less| rest = less).is_none();
        let at = KINDS.iter().position(is_it).unwrap();
        let kind = &KINDS[at];
        sent[at] += 1;
        let request = (kind.request)(callers, &mut state, number);
        let bytes = request.as_bytes();
        let status = match kind.way {
            Stay => {
                let client = usize::try_from(dice(&mut state, CONNECTIONS)).unwrap();
                clients[client].exchange(bytes).unwrap().status
            }
            Closed => connect(gateway).exchange(bytes).unwrap().status,
            Leave => {
                let mut client = connect(gateway);
                client.write(bytes).unwrap();
                client.response_head().unwrap().status
            }
            LeaveAtOnce => connect(gateway).write(bytes).map(|()| 0).unwrap(),
        };
        assert_eq!(status, kind.status, "{}", kind.name);
    }
    sent
}

/// What should be counted, by outcome, reason and route.
fn expected(sent: &Sent) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (kind, sent) in KINDS.iter().zip(sent).filter(|(kind, _)| !kind.counted.is_empty()) {
        *counts.entry(kind.counted.to_owned()).or_default() += sent;
    }
    // The one request that uses up the bucket.
    counts.insert("allowed none limited".to_owned(), 1);
    counts
}

/// What Envoy says was counted.
fn counted(stats: &str) -> BTreeMap<String, u64> {
    let count = |line: &str| {
        let (_, labels) = line.split_once("portcullis.decisions.gateway=.=soak;.;")?;
        let (labels, count) = labels.rsplit_once(": ")?;
        let values = labels.split(";.;").filter_map(|label| label.split_once("=.="));
        let values: Vec<_> = values.map(|(_, value)| value).collect();
        Some((values.join(" "), count.parse().unwrap()))
    };
    stats.lines().filter_map(count).collect()
}

/// What Envoy says of the VMs that it made and that live.
fn vms(envoy: &Envoy) -> Vec<String> {
    let stats = envoy.ask("/stats?filter=wasm.*runtime").unwrap();
    stats.lines().map(str::to_owned).collect()
}

/// S18: requests of every kind without end cause no trap, are answered as they should be, are counted once
/// each, and cost no memory.
///
/// `PORTCULLIS_SOAK=10000000` runs it at full size.
#[test]
fn requests_of_every_kind_without_end() {
    let (is_full, requests) =
        (std::env::var_os("PORTCULLIS_SOAK").is_some(), size("PORTCULLIS_SOAK", 200_000));
    let envoy = envoy_without_log(&policy(), 2);
    let (gateway, callers) = (envoy.listeners["only"], Callers::new());
    let from = format!("x-forwarded-for: {LIMITED}");
    assert_eq!(get(&mut connect(gateway), "/limited", &[from.as_bytes()]).status, 200);
    let before = vms(&envoy);

    let (begun, next) = (Instant::now(), AtomicU64::new(0));
    let (mut sent, mut memory) = (Sent::default(), Vec::new());
    for tenth in 1..=10 {
        let numbers = (&next, requests / 10 * u64::from(tenth));
        let end = (!is_full).then(|| begun + LONGEST / 10 * tenth);
        let seed = |thread| u64::from(tenth) * 1_000 + thread as u64;
        let of_threads =
            at_once(THREADS, |thread| send(gateway, &callers, seed(thread), numbers, end));
        for of_thread in of_threads {
            sent.iter_mut().zip(of_thread).for_each(|(sum, sent)| *sum += sent);
        }
        memory.push(envoy.resident());
    }
    let seconds = begun.elapsed().as_secs_f64();
    let of_kinds: Vec<_> =
        KINDS.iter().zip(&sent).map(|(kind, sent)| format!("{} {sent}", kind.name)).collect();
    println!(
        "{} requests in {seconds:.0} s ({}); KiB after each tenth: {memory:?}",
        sent.iter().sum::<u64>(),
        of_kinds.join(", "),
    );

    let (mut counted, mut expected) = (counted(&stats(&envoy)), expected(&sent));
    let (hasty, most) = (counted.remove(HASTY), expected.remove(HASTY));
    assert_eq!(counted, expected);
    assert!(hasty <= most, "{hasty:?} of {most:?}");
    assert_eq!(vms(&envoy), before);
    let log = envoy.own_log();
    let is_bad =
        |line: &&str| ["[error]", "[critical]", "unreachable"].iter().any(|bad| line.contains(bad));
    assert_eq!(log.lines().find(is_bad), None);
    let (first, last) = (memory[0], memory[9]);
    assert!(last <= first + GROWTH, "{first} KiB grew to {last} KiB");
    // Otherwise it says nothing.
    assert!(sent.iter().all(|sent| *sent > 0), "{sent:?}");
}
