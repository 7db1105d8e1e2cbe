//! The bound of a limit, measured: what each of thousands of keys got, against what it may get at most.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_tests::http1::Client;
use serde_json::{Value, json};

use super::support::{at_once, connect, envoy_without_log, pipelined, size};

const WORKERS: u32 = 4;
/// A limit of this burst and rate leases four tokens to a worker at most, one of 32.
const BURST: u32 = 128;
const RATE: u32 = 32;
const LEASES: f64 = (BURST / 32 * WORKERS) as f64;

/// Keys that are used up at the same time, and for how long.
const GROUP: u64 = 100;
const SLOT: Duration = Duration::from_secs(2);

/// Requests that a connection sends before it waits for their answers. Envoy closes one on which three of
/// its own replies follow one another in one read.
const BATCH: usize = 2;
const THREADS: usize = 4;

fn policy() -> Value {
    json!({
        "version": 1, "gateway": "bound",
        "client_address": {"source": "forwarded_for", "trusted_proxies": ["10.0.0.0/8"]},
        "consumers": [{"name": "alpha", "api_keys": [{"id": "alpha-1", "sha256": "{{sha256:alpha}}"}]}],
        "limits": {"l": {"key": ["address"], "rate": format!("{RATE}/s"), "burst": BURST}},
        "routes": [{"name": "r", "paths": ["/x"], "methods": ["GET"], "credentials": ["api_key"], "limits": ["l"]}],
    })
}

/// A request that was let in: its key, and the seconds at which it was sent and its answer was there.
type Admitted = (u64, f64, f64);

/// Connections to every worker.
fn connections(gateway: SocketAddr) -> Vec<Client> {
    // Envoy's workers take connections at random: that one of four gets none of 40 happens once in 25,000.
    (0..40).map(|_| connect(gateway)).collect()
}

/// Sends for so long, and tells what was let in, and how many requests there were.
fn send(gateway: SocketAddr, seconds: u64, seed: usize) -> (Vec<Admitted>, usize) {
    let mut clients: Vec<_> = connections(gateway);
    let (mut state, mut admitted, mut sent) = (seed as u64 + 1, Vec::new(), 0);
    let mut dice = |sides: u64| {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % sides
    };
    let begun = *BEGUN;
    while begun.elapsed() < Duration::from_secs(seconds) {
        // The next group is touched while this one is used up: workers take leases of full buckets, which
        // are full again when everybody comes.
        let slot = begun.elapsed().as_secs() / SLOT.as_secs();
        let keys: Vec<_> =
            (0..BATCH).map(|_| (slot + u64::from(dice(8) == 0)) * GROUP + dice(GROUP)).collect();
        let requests: String = keys
            .iter()
            .map(|key| {
                let ip = std::net::Ipv4Addr::from_bits(0x6440_0000 + u32::try_from(*key).unwrap());
                format!("GET /x HTTP/1.1\r\nhost: api.example.com\r\nx-forwarded-for: {ip}\r\n\r\n")
            })
            .collect();
        let client = usize::try_from(dice(clients.len() as u64)).unwrap();
        let at = begun.elapsed().as_secs_f64();
        let statuses = pipelined(&mut clients[client], requests.as_bytes(), BATCH);
        let until = begun.elapsed().as_secs_f64();
        sent += BATCH;
        for (key, status) in keys.into_iter().zip(statuses) {
            assert!(matches!(status, 401 | 429), "{status}");
            if status == 401 {
                admitted.push((key, at, until));
            }
        }
    }
    (admitted, sent)
}

static BEGUN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

/// By how much the requests of one key exceed `burst + rate * time` in the worst of all stretches of time.
/// A stretch is from the sending of its first request to the answer of its last one, so it is no shorter than
/// what the gateway saw.
fn excess(requests: &[Admitted]) -> f64 {
    let (mut best, mut last, mut worst) = (f64::MIN, 0.0_f64, f64::MIN);
    for (number, (_, sent, answered)) in requests.iter().enumerate() {
        let number = number as f64;
        best = best.max(f64::from(RATE) * sent - number);
        last = last.max(*answered);
        worst = worst.max(number + 1.0 + best - f64::from(RATE) * last);
    }
    worst - f64::from(BURST)
}

/// L04: over every stretch of time each key gets at most what the limit and the leases give.
///
/// `PORTCULLIS_BOUND_SECONDS=60` runs it at full size.
#[test]
fn no_key_gets_more_than_the_bound() {
    let seconds = size("PORTCULLIS_BOUND_SECONDS", 6);
    let envoy = envoy_without_log(&policy(), WORKERS);
    let gateway = envoy.listeners["only"];
    let _ = *BEGUN;
    let (mut admitted, mut sent) = (Vec::new(), 0);
    for (of_thread, count) in at_once(THREADS, |thread| send(gateway, seconds, thread)) {
        admitted.extend(of_thread);
        sent += count;
    }
    admitted.sort_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
    let excesses: Vec<_> = admitted
        .chunk_by(|one, other| one.0 == other.0)
        .map(|key| (excess(key), key.len()))
        .collect();
    let above = excesses.iter().filter(|(excess, _)| *excess > 0.0).count();
    let used_up = excesses.iter().filter(|(excess, _)| *excess > -1.0).count();
    let worst = excesses.iter().map(|(excess, _)| *excess).fold(f64::MIN, f64::max);
    println!(
        "{sent} requests of {} keys in {seconds} s over {WORKERS} workers, {} let in; {used_up} keys \
         used all they had, {above} got more than burst and rate give, {worst:.2} at most; the bound is {LEASES}",
        excesses.len(),
        admitted.len(),
    );
    assert!(worst <= LEASES, "{worst} of {LEASES}");
    // Otherwise it says nothing.
    assert!(used_up * 2 > excesses.len() / 2, "{used_up} of {}", excesses.len());
}
