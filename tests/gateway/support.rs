//! An Envoy with one policy, and requests over connections that stay open.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_tests::bootstrap::{self, Listener, Policy};
use portcullis_tests::case;
use portcullis_tests::envoy::{Envoy, module, new_folder};
use portcullis_tests::http1::{Client, Response};
use portcullis_tests::template::{fill_value, real_now};
use portcullis_tests::upstream::Upstream;
use serde_json::Value;

/// An Envoy with this policy on a listener called `only`.
pub(crate) fn envoy(policy: &Value, workers: u32) -> Envoy {
    Envoy::start(&[listener(policy)], workers).unwrap_or_else(|fault| panic!("{fault}"))
}

pub(crate) fn listener(policy: &Value) -> Listener {
    Listener {
        name: "only".to_owned(),
        policy: Policy::Struct(fill_value(policy.clone(), real_now())),
        options: case::Listener::default(),
        hardened: false,
        route_names: Vec::new(),
    }
}

pub(crate) fn reference() -> Value {
    case::policy_named(&Value::String("reference".to_owned()))
}

/// A connection from the trusted proxy of the reference policy.
pub(crate) fn connect(address: SocketAddr) -> Client {
    let proxy = "10.0.0.1:40000".parse().unwrap();
    Client::connect_as(address, Some(proxy)).expect("a connection")
}

/// Envoy's statistics. The filter's counts of requests come a second late.
pub(crate) fn stats(envoy: &Envoy) -> String {
    let end = Instant::now() + Duration::from_secs(10);
    std::thread::sleep(Duration::from_millis(1_200));
    loop {
        let stats = envoy.ask("/stats").unwrap();
        if stats.contains("portcullis.decisions") {
            return stats;
        }
        assert!(Instant::now() < end, "the filter counts its decisions");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A GET with these lines and bytes as they are.
pub(crate) fn get(client: &mut Client, path: &str, lines: &[&[u8]]) -> Response {
    let mut request = format!("GET {path} HTTP/1.1\r\nhost: api.example.com\r\n").into_bytes();
    for line in lines {
        request.extend_from_slice(line);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    client.exchange(&request).expect("a response")
}

/// Sends requests without waiting for answers in between, and gives the statuses in order.
pub(crate) fn pipelined(client: &mut Client, requests: &[u8], count: usize) -> Vec<u16> {
    client.write(requests).expect("a connection that takes all of it");
    (0..count).map(|_| client.response(false).expect("a response").status).collect()
}

/// A number that the environment sets, for tests that have a full size.
pub(crate) fn size(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Marsaglia's xorshift64.
pub(crate) fn dice(state: &mut u64, sides: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % sides
}

/// An Envoy with this policy on a listener called `only`, and no access log: for requests in number.
pub(crate) fn envoy_without_log(policy: &Value, workers: u32) -> Envoy {
    let (folder, upstream) = (new_folder(), Upstream::start());
    let log = Path::new("/dev/null");
    let config = bootstrap::bootstrap(&[listener(policy)], upstream.address, &module(), log);
    Envoy::start_with(&config, workers, folder, upstream).unwrap_or_else(|fault| panic!("{fault}"))
}

/// Runs the same on several threads at once and gathers the answers.
pub(crate) fn at_once<T: Send>(threads: usize, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let run = &run;
        let handles: Vec<_> = (0..threads).map(|number| scope.spawn(move || run(number))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    })
}
