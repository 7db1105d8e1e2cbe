//! The module against a fake host: what Envoy may hand it, refuse it, and do to it.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "tests stop at the first surprise"
)]

#[path = "host/bytes.rs"]
mod bytes;
#[path = "host/charges.rs"]
mod charges;
#[path = "host/contexts.rs"]
mod contexts;
#[path = "host/counters.rs"]
mod counters;
#[path = "host/faults.rs"]
mod faults;
#[path = "host/fleet.rs"]
mod fleet;
#[path = "host/flights.rs"]
mod flights;
#[path = "host/floods.rs"]
mod floods;
#[path = "host/hand_over.rs"]
mod hand_over;
#[path = "host/interface.rs"]
mod interface;
#[path = "host/keys.rs"]
mod keys;
#[path = "host/leases.rs"]
mod leases;
#[path = "host/shared.rs"]
mod shared;
#[path = "host/tokens.rs"]
mod tokens;
#[path = "host/windows.rs"]
mod windows;

use portcullis_tests::fake_host::{Outcome, Process, Request, Vm};
use sha2::{Digest as _, Sha256};

/// 2027-01-15T08:00:00Z
const NOW: u64 = 1_800_000_000 * SECOND;
const SECOND: u64 = 1_000_000_000;

const KEY: &str = "an opaque key for tests, long enough";

/// A policy that touches every host call: keys, identity headers, an address, limits.
fn policy() -> serde_json::Value {
    serde_json::json!({
        "version": 1,
        "gateway": "external",
        "api_key": {"retiring_header": "x-key-retiring"},
        "networks": {"abusive": {"cidrs": ["203.0.113.0/24"]}},
        "deny": ["abusive"],
        "consumers": [{
            "name": "mobile",
            "scopes": ["orders:read"],
            "api_keys": [{
                "id": "mobile-1",
                "sha256": hex(&Sha256::digest(KEY)),
                "format": "opaque",
                "state": "retiring",
                "expires": "2027-01-20T00:00:00Z",
            }],
            "limits": ["per-consumer"],
        }],
        "limits": {
            "per-consumer": {"key": ["consumer"], "rate": "1000/s"},
            "per-address": {"key": ["address"], "rate": "1/s", "burst": 3},
        },
        "routes": [
            {"name": "public", "paths": ["/public/**"], "methods": ["GET"], "access": "public"},
            {"name": "limited", "paths": ["/limited/**"], "methods": ["GET"], "access": "public",
             "limits": ["per-address"]},
            {"name": "orders", "paths": ["/orders/**"], "methods": ["GET"],
             "credentials": ["api_key"], "scopes": {"all_of": ["orders:read"]}},
            {"name": "by-name", "envoy_routes": ["canary"], "methods": ["GET"], "access": "public"},
        ],
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// A VM of a new process with [`policy`].
fn vm() -> (Process, Vm) {
    let process = Process::at(NOW);
    let vm = vm_of(&process);
    (process, vm)
}

/// One more VM of that process with [`policy`].
fn vm_of(process: &Process) -> Vm {
    let mut vm = Vm::new(process);
    let configured = vm.configure(policy().to_string());
    assert!(configured.accepted, "{configured:?}");
    vm
}

fn get(path: &str) -> Request {
    let lines = [
        (":authority", "api.example.com"),
        (":path", path),
        (":method", "GET"),
        (":scheme", "https"),
        ("x-request-id", "0b8f6f0e-0000-4000-8000-000000000000"),
    ];
    Request::new(&lines).from("198.51.100.7:1234").on_route("")
}

/// A request that [`policy`] allows, through every stage.
fn good() -> Request {
    get("/orders/1").with("x-api-key", KEY).with("x-portcullis-consumer", "admin")
}

/// Envoy's response code details of a reply, empty where there is none.
fn details(outcome: &Outcome) -> &str {
    outcome.reply().map_or("", |reply| reply.details.as_str())
}

fn line<'l>(lines: &'l [(Vec<u8>, Vec<u8>)], name: &str) -> Vec<&'l [u8]> {
    let lines = lines.iter().filter(|(held, _)| held == name.as_bytes());
    lines.map(|(_, value)| value.as_slice()).collect()
}

/// All decisions that Envoy has heard of.
fn decisions(process: &Process) -> u64 {
    let metrics = process.metrics();
    metrics.iter().filter(|(name, _)| name.contains(".decisions.")).map(|(_, value)| value).sum()
}
