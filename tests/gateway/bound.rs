//! The bound of a limit, measured: what each of thousands of keys got, against what it may get at most.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{at_once, connect, dice, envoy_without_log, pipelined, size};

const WORKERS: u32 = 4;
/// A worker leases one of 32 tokens of such a bucket at most.
const BURST: u32 = 128;
const RATE: u32 = 8;
const LEASES: u32 = BURST / 32 * WORKERS;

/// Keys that are used up at the same time, and the requests that all of them get.
const GROUP: u64 = 40;
const REQUESTS: u64 = 240 * GROUP;
/// Groups that are used up at the least.
const FEWEST: u64 = 4;
/// So many seconds before a group is used up, some of its requests come: workers take leases of full buckets,
/// which are full again when everybody comes, and the leases are not over yet.
const AHEAD: f64 = 3.5;
/// One in so many requests is of the group that comes then.
const TOUCHES: u64 = 20;

/// Requests that a connection sends before it waits for their answers. Envoy closes one on which three of
/// its own replies follow one another in one read.
const BATCH: usize = 2;
const THREADS: usize = 4;
/// Envoy's workers take connections at random: that one of four gets none of 40 happens once in 25,000.
const CONNECTIONS: u64 = 40;

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

/// What all threads have sent, and when the first request of each group was.
struct Sent {
    begun: Instant,
    count: AtomicU64,
    groups: Mutex<Vec<Instant>>,
}

impl Sent {
    fn new() -> Self {
        Self { begun: Instant::now(), count: AtomicU64::new(0), groups: Mutex::default() }
    }

    fn total(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The group whose turn it is, and the one that comes [`AHEAD`] at the pace of the last one.
    fn group(&self) -> (u64, u64) {
        let group = self.count.fetch_add(BATCH as u64, Ordering::Relaxed) / REQUESTS;
        let mut groups = self.groups.lock().unwrap();
        let known = usize::try_from(group).unwrap();
        while groups.len() <= known {
            groups.push(Instant::now());
        }
        let pace = match groups[..] {
            [.., one, other] => other.duration_since(one).as_secs_f64(),
            _ => 1.0,
        };
        // A fast machine sends faster than buckets fill.
        let ahead = (1..32_u32).find(|groups| f64::from(*groups) * pace >= AHEAD).unwrap_or(32);
        (group, group + u64::from(ahead))
    }
}

/// Sends until then, counts what it sends, and tells what was let in.
fn send(gateway: SocketAddr, sent: &Sent, end: Duration, seed: usize) -> Vec<Admitted> {
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| connect(gateway)).collect();
    let (mut state, mut admitted) = (seed as u64 + 1, Vec::new());
    let begun = sent.begun;
    // A slow machine takes longer, and has as many groups that are used up.
    while begun.elapsed() < end || sent.total() < FEWEST * REQUESTS {
        let (now, later) = sent.group();
        let key = |state: &mut u64| {
            let group = if dice(state, TOUCHES) == 0 { later } else { now };
            group * GROUP + dice(state, GROUP)
        };
        let keys: Vec<_> = (0..BATCH).map(|_| key(&mut state)).collect();
        let line = |key: &u64| {
            let ip = Ipv4Addr::from_bits(0x6440_0000 + u32::try_from(*key).unwrap());
            format!("GET /x HTTP/1.1\r\nhost: api.example.com\r\nx-forwarded-for: {ip}\r\n\r\n")
        };
        let requests = keys.iter().map(line).collect::<Vec<_>>().concat();
        let client = usize::try_from(dice(&mut state, CONNECTIONS)).unwrap();
        let at = begun.elapsed().as_secs_f64();
        let statuses = pipelined(&mut clients[client], requests.as_bytes(), BATCH);
        let until = begun.elapsed().as_secs_f64();
        for (key, status) in keys.into_iter().zip(statuses) {
            assert!(matches!(status, 401 | 429), "{status}");
            if status == 401 {
                admitted.push((key, at, until));
            }
        }
    }
    admitted
}

/// By how much the requests of one key exceed `burst + rate * time` in the worst of all stretches of time.
/// A stretch is from the sending of its first request to the answer of its last one, so it is no shorter than
/// what the gateway saw.
fn excess(requests: &[Admitted]) -> f64 {
    let rate = f64::from(RATE);
    let (mut number, mut best, mut last, mut worst) = (0.0, f64::MIN, 0.0_f64, f64::MIN);
    for (_, sent, answered) in requests {
        best = best.max(rate * sent - number);
        last = last.max(*answered);
        number += 1.0;
        worst = worst.max(number + best - rate * last);
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
    let (sent, end) = (Sent::new(), Duration::from_secs(seconds));
    let all = at_once(THREADS, |thread| send(gateway, &sent, end, thread));
    let mut admitted = all.concat();
    admitted.sort_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)));
    let keys = admitted.chunk_by(|one, other| one.0 == other.0);
    let excesses: Vec<_> = keys.map(|of_key| (of_key[0].0, excess(of_key))).collect();
    let sent = sent.total();
    // Keys of the last groups have not had all their requests.
    let whole = |key: u64| key / GROUP < sent / REQUESTS;
    let more_than =
        |least: f64| excesses.iter().filter(|(key, excess)| whole(*key) && *excess > least).count();
    let (seen, used_up, above) = (more_than(f64::MIN), more_than(-1.0), more_than(0.0));
    let worst = excesses.iter().map(|(_, excess)| *excess).fold(f64::MIN, f64::max);
    println!(
        "{} requests of {} keys in {seconds} s over {WORKERS} workers, {} let in; {used_up} keys used all \
         they had, {above} got more than burst and rate give, {worst:.2} at most; the bound is {LEASES}",
        sent,
        excesses.len(),
        admitted.len(),
    );
    assert!(worst <= f64::from(LEASES), "{worst} of {LEASES}");
    // Otherwise it says nothing, of leases neither: in a short run few come in time.
    assert!(used_up * 2 > seen, "{used_up} of {seen}");
    assert!(seconds < 30 || above > 0, "no lease was seen");
}
