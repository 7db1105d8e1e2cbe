//! Addresses without end: memory stays flat, and nobody who is at a limit gets past it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use portcullis_tests::template::api_key;
use serde_json::{Value, json};

use super::support::{at_once, connect, envoy_without_log, get, pipelined, size};

/// Requests that a connection sends before it waits for their answers. Envoy closes one on which three of
/// its own replies follow one another in one read.
const BATCH: u32 = 2;
const CONNECTIONS: usize = 8;

fn policy() -> Value {
    let consumer = |name: &str| {
        let digest = format!("{{{{sha256:{name}}}}}");
        json!({"name": name, "limits": ["by-consumer"], "api_keys": [{"id": format!("{name}-1"), "sha256": digest}]})
    };
    json!({
        "version": 1, "gateway": "flood",
        "client_address": {"source": "forwarded_for", "trusted_proxies": ["10.0.0.0/8"]},
        "consumers": [consumer("alpha"), consumer("beta")],
        "limits": {
            "by-address": {"key": ["address"], "rate": "1/h", "burst": 2},
            "by-consumer": {"key": ["consumer"], "rate": "1/h", "burst": 2},
        },
        "routes": [
            {"name": "a", "paths": ["/a"], "methods": ["GET"], "access": "public", "limits": ["by-address"]},
            {"name": "c", "paths": ["/c"], "methods": ["GET"], "credentials": ["api_key"]},
            {"name": "x", "paths": ["/x"], "methods": ["GET"], "credentials": ["api_key"], "limits": ["by-address"]},
        ],
    })
}

/// The status of one request from an address that no flood has.
fn from(gateway: SocketAddr, host: u8) -> u16 {
    let line = format!("x-forwarded-for: 198.51.100.{host}");
    get(&mut connect(gateway), "/a", &[line.as_bytes()]).status
}

/// The status of one request of a consumer.
fn of(gateway: SocketAddr, name: &str) -> u16 {
    let line = format!("x-api-key: {}", api_key(name));
    get(&mut connect(gateway), "/c", &[line.as_bytes()]).status
}

/// One request each from so many addresses, and how many of them met the limit.
fn flood(gateway: SocketAddr, first: u32, count: u32) -> u64 {
    let next = AtomicU32::new(0);
    let limited = at_once(CONNECTIONS, |_| {
        let (mut client, mut limited) = (connect(gateway), 0);
        loop {
            let begin = next.fetch_add(BATCH, Ordering::Relaxed);
            if begin >= count {
                return limited;
            }
            let end = count.min(begin + BATCH);
            let line = |number| {
                let ip = Ipv4Addr::from_bits(0x2000_0000 + first + number);
                format!("GET /x HTTP/1.1\r\nhost: api.example.com\r\nx-forwarded-for: {ip}\r\n\r\n")
            };
            let requests = (begin..end).map(line).collect::<Vec<_>>().concat();
            for status in pipelined(&mut client, requests.as_bytes(), (end - begin) as usize) {
                assert!(matches!(status, 401 | 429), "{status}");
                limited += u64::from(status == 429);
            }
        }
    });
    limited.into_iter().sum()
}

/// W09: distinct addresses cost no memory once the table of buckets is full, and who was at a limit before
/// is at it during the flood and after it.
///
/// `PORTCULLIS_ADDRESSES=5000000` runs it at full size.
#[test]
fn addresses_without_end_cost_nothing_and_nobody_his_bucket() {
    let addresses = u32::try_from(size("PORTCULLIS_ADDRESSES", 100_000)).unwrap();
    let envoy = envoy_without_log(&policy(), 2);
    let gateway = envoy.listeners["only"];
    // Somebody who has used it up, and somebody who has one left.
    assert_eq!([from(gateway, 7), from(gateway, 7), from(gateway, 7)], [200, 200, 429]);
    assert_eq!([of(gateway, "alpha"), of(gateway, "alpha"), of(gateway, "alpha")], [200, 200, 429]);
    assert_eq!((from(gateway, 8), of(gateway, "beta")), (200, 200));

    let begun = Instant::now();
    let (limited, memory, looks) = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            let tenth = |number| flood(gateway, addresses / 10 * number, addresses / 10);
            let tenths = (0..10).map(|number| (tenth(number), envoy.resident()));
            tenths.collect::<(Vec<_>, Vec<_>)>()
        });
        let mut looks = 0;
        while !flooding.is_finished() {
            assert_eq!((from(gateway, 7), of(gateway, "alpha")), (429, 429));
            looks += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        let (limited, memory) = flooding.join().unwrap();
        (limited.into_iter().sum::<u64>(), memory, looks)
    });
    assert!(looks > 10, "{looks}");
    println!(
        "{addresses} addresses in {:.0} s, {limited} of them limited, {looks} looks at those who are at \
         their limits; KiB after each tenth: {memory:?}",
        begun.elapsed().as_secs_f64()
    );
    // As many as the table has room for found a place, and two more shared one.
    let placed = u64::from(addresses) - limited;
    assert!(placed <= 65_536 + 2, "{limited}");
    // And the table is used: who comes first finds a place, but where one set fills before the others.
    assert!(placed >= u64::from(addresses.min(65_536)) / 10 * 8, "{limited}");
    let (half, last) = (memory[4], memory[9]);
    assert!(last < half + 4_096, "{half} KiB grew to {last} KiB");

    assert_eq!((from(gateway, 7), of(gateway, "alpha")), (429, 429));
    // What was left is left, and no more.
    assert_eq!([from(gateway, 8), from(gateway, 8)], [200, 429]);
    assert_eq!([of(gateway, "beta"), of(gateway, "beta")], [200, 429]);
}
