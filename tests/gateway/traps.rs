//! A fault in any callback closes the gateway; it never opens it.

use portcullis_tests::bootstrap;
use portcullis_tests::envoy::{Envoy, new_folder};
use portcullis_tests::http1::Client;
use portcullis_tests::template::api_key;
use portcullis_tests::trap::trapping;
use portcullis_tests::upstream::Upstream;

use super::support::{connect, listener, reference};

/// Callbacks that run before a request is forwarded.
const BEFORE: [&str; 3] =
    ["proxy_on_context_create", "proxy_on_memory_allocate", "proxy_on_request_headers"];
/// Callbacks that run later, or for no request.
const AFTER: [&str; 4] =
    ["proxy_on_request_trailers", "proxy_on_response_headers", "proxy_on_delete", "proxy_on_tick"];

/// An Envoy whose filter traps in one callback. `None`: it does not even start.
fn start(callback: &str, failure_policy: &str) -> Option<Envoy> {
    let (folder, upstream) = (new_folder(), Upstream::start());
    let module = trapping(callback, &folder);
    let log = folder.join("access.log");
    let listeners = [listener(&reference())];
    let config = bootstrap::bootstrap(&listeners, upstream.address, &module, &log);
    let config = config.to_string().replace("FAIL_CLOSED", failure_policy);
    let config = serde_json::from_str(&config).unwrap();
    Envoy::start_with(&config, 2, folder, upstream).ok()
}

/// Sends a request with trailers; whether it reached the upstream. A connection may end without an
/// answer.
fn reaches_upstream(envoy: &Envoy, id: &str, lines: &str) -> bool {
    let mut client: Client = connect(envoy.listeners["only"]);
    let request = format!(
        "GET /orders/1 HTTP/1.1\r\nhost: api.example.com\r\nx-request-id: {id}\r\n{lines}\
         x-forwarded-for: 198.51.100.7\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n\
         0\r\nx-t: v\r\n\r\n"
    );
    let _ = client.exchange(request.as_bytes());
    envoy.upstream.take(id).is_some()
}

/// W07, under both failure policies that close.
#[test]
fn a_trap_in_any_callback_lets_nobody_in() {
    let key = format!("x-api-key: {}\r\n", api_key("alpha"));
    for callback in BEFORE.iter().chain(&AFTER) {
        for failure_policy in ["FAIL_CLOSED", "FAIL_RELOAD"] {
            let Some(envoy) = start(callback, failure_policy) else {
                assert!(BEFORE.contains(callback), "{callback}: Envoy did not start");
                continue;
            };
            if *callback == "proxy_on_tick" {
                std::thread::sleep(std::time::Duration::from_millis(1_500));
            }
            for round in 0..6 {
                let id = format!("trap-{callback}-{failure_policy}-{round}");
                let good = reaches_upstream(&envoy, &format!("{id}-good"), &key);
                assert!(!good || !BEFORE.contains(callback), "{id}: forwarded undecided");
                let bad = reaches_upstream(&envoy, &format!("{id}-bad"), "");
                assert!(!bad, "{id}: forwarded without a key");
            }
            assert!(envoy.own_log().contains("unreachable"), "{callback}: nothing trapped");
        }
    }
}
