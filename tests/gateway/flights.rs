//! Requests in flight in a real Envoy, over all of its workers and however they end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portcullis_tests::bootstrap;
use portcullis_tests::envoy::{Envoy, new_folder};
use portcullis_tests::http1::Client;
use portcullis_tests::template::api_key;
use portcullis_tests::trap::trapping;
use portcullis_tests::upstream::Upstream;
use serde_json::{Value, json};

use super::support::{connect, envoy, get, listener};

const MOST: usize = 10;

fn policy() -> Value {
    json!({
        "version": 1, "gateway": "flights",
        "consumers": [{"name": "alpha", "limits": ["flights"], "api_keys": [{"id": "alpha-1", "sha256": "{{sha256:alpha}}"}]}],
        "limits": {"flights": {"key": ["consumer"], "concurrent": MOST}},
        "routes": [
            {"name": "r", "paths": ["/held", "/x"], "methods": ["GET"], "credentials": ["api_key"]},
            {"name": "p", "paths": ["/public"], "methods": ["GET"], "access": "public"},
        ],
    })
}

/// A request that the upstream holds, its answer not yet read.
fn begin(gateway: SocketAddr) -> Client {
    let mut client = connect(gateway);
    let key = api_key("alpha");
    let request =
        format!("GET /held HTTP/1.1\r\nhost: api.example.com\r\nx-api-key: {key}\r\n\r\n");
    client.write(request.as_bytes()).unwrap();
    client
}

/// So many at once, and how many of them are let in.
fn rush(envoy: &Envoy, count: usize, expected: usize) -> Vec<Client> {
    let before = envoy.upstream.held();
    let clients: Vec<_> = (0..count).map(|_| begin(envoy.listeners["only"])).collect();
    wait("they arrive", || envoy.upstream.held() >= before + expected);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(envoy.upstream.held(), before + expected);
    clients
}

/// How many of them are answered 200 and 429, once the upstream answers.
fn end(envoy: &Envoy, mut clients: Vec<Client>) -> (usize, usize) {
    envoy.upstream.release();
    let statuses: Vec<_> =
        clients.iter_mut().map(|client| client.response(false).unwrap().status).collect();
    let count = |status| statuses.iter().filter(|it| **it == status).count();
    let (good, refused) = (count(200), count(429));
    assert_eq!(good + refused, statuses.len(), "{statuses:?}");
    (good, refused)
}

fn wait(what: &str, mut there: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !there() {
        assert!(Instant::now() < end, "{what}: waited 10 seconds");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn as_many_as_may_be_pass_and_as_many_again() {
    let envoy = envoy(&policy(), 4);
    let key = format!("x-api-key: {}", api_key("alpha"));
    let ask = || get(&mut connect(envoy.listeners["only"]), "/x", &[key.as_bytes()]).status;
    for _ in 0..3 {
        let clients = rush(&envoy, 40, MOST);
        assert_eq!(end(&envoy, clients), (MOST, 40 - MOST));
    }
    // Who goes makes room, whoever he is.
    let mut clients = rush(&envoy, MOST, MOST);
    clients.truncate(MOST - 4);
    wait("places of clients that are gone", || ask() == 200);
    let more = rush(&envoy, 20, 4);
    assert_eq!(ask(), 429);
    clients.extend(more);
    assert_eq!(end(&envoy, clients), (MOST, 16));
    wait("the end", || ask() == 200);
}

/// A trap ends every request of a worker, and no callback tells of it.
#[test]
fn a_trap_in_mid_stream_voids_what_was_in_flight() {
    let (folder, upstream) = (new_folder(), Upstream::start());
    let module = trapping("proxy_on_request_trailers", &folder);
    let log = folder.join("access.log");
    let config = bootstrap::bootstrap(&[listener(&policy())], upstream.address, &module, &log);
    let config = config.to_string().replace("FAIL_CLOSED", "FAIL_RELOAD");
    let config = serde_json::from_str(&config).unwrap();
    let envoy = Envoy::start_with(&config, 1, folder, upstream).unwrap();
    let gateway = envoy.listeners["only"];

    let clients = rush(&envoy, MOST + 2, MOST);
    // Envoy loads a VM anew when the last load is more than a second and a half ago.
    std::thread::sleep(Duration::from_millis(1_600));
    let request = "GET /public HTTP/1.1\r\nhost: api.example.com\r\ntransfer-encoding: chunked\r\n\
                   trailer: x-t\r\n\r\n0\r\nx-t: v\r\n\r\n";
    let trapped = Instant::now();
    let _ = connect(gateway).exchange(request.as_bytes());
    assert!(envoy.own_log().contains("unreachable"), "nothing trapped");
    let key = format!("x-api-key: {}", api_key("alpha"));
    let ask = || get(&mut connect(gateway), "/x", &[key.as_bytes()]).status;
    let mut seen = Vec::new();
    wait("the dead count no more", || {
        seen.push(ask());
        seen.last() == Some(&200)
    });
    // Its last sign of life is at most a second older than the trap.
    assert!(trapped.elapsed() > Duration::from_millis(1_900), "{:?}", trapped.elapsed());
    assert!(seen.contains(&429), "{seen:?}");
    // What the dead VM let in ends when the upstream has answered, and Envoy tells nobody either.
    envoy.upstream.release();
    let lost = clients.into_iter().map(|mut client| client.response(false).unwrap().status);
    let lost: Vec<_> = lost.collect();
    assert!(lost.iter().all(|status| matches!(status, 429 | 503)), "{lost:?}");
    let clients = rush(&envoy, MOST + 5, MOST);
    assert_eq!(end(&envoy, clients), (MOST, 5));
}
