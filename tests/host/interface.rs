//! What the module takes from the host and shows to it.

use portcullis_tests::fake_host::{self, Meddle};
use wasmparser::{Parser, Payload};

use crate::{get, good, vm};

/// Most bytes of the module. Every worker has its code in memory, and Envoy compiles it at every start.
const LARGEST: usize = 600_000;

#[test]
fn exports_are_the_ones_with_a_reason() {
    let mut exports: Vec<_> = fake_host::module().exports().map(|export| export.name()).collect();
    exports.sort_unstable();
    let readme = include_str!("../../src/README.md");
    let (_, section) = readme.split_once("## What the module exports").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("a section after it");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut explained: Vec<_> = rows.map(|(name, _)| name).collect();
    explained.sort_unstable();
    assert_eq!(exports, explained);
}

#[test]
fn the_module_is_small() {
    let module = fake_host::bytes();
    // wasm-opt counts the module's data in a section of its own, and the linker does not. Where it could not be
    // installed the module is 5 % larger.
    let mut sections = Parser::new(0).parse_all(&module);
    let is_count = |section| matches!(section, Ok(Payload::DataCountSection { .. }));
    let largest = if sections.any(is_count) { LARGEST } else { LARGEST / 100 * 106 };
    assert!(module.len() <= largest, "{} bytes, {largest} at most", module.len());
}

#[test]
fn imports_are_the_ones_in_use() {
    let imports = fake_host::module().imports();
    let mut imports: Vec<_> = imports.map(|import| import.name()).collect();
    imports.sort_unstable();
    let expected = [
        "clock_time_get",
        "environ_get",
        "environ_sizes_get",
        "fd_write",
        "proc_exit",
        "proxy_add_header_map_value",
        "proxy_call_foreign_function",
        "proxy_close_stream",
        "proxy_continue_stream",
        "proxy_define_metric",
        "proxy_get_buffer_bytes",
        "proxy_get_current_time_nanoseconds",
        "proxy_get_header_map_pairs",
        "proxy_get_property",
        "proxy_get_shared_data",
        "proxy_grpc_call",
        "proxy_http_call",
        "proxy_increment_metric",
        "proxy_log",
        "proxy_record_metric",
        "proxy_remove_header_map_value",
        "proxy_replace_header_map_value",
        "proxy_send_local_response",
        "proxy_set_effective_context",
        "proxy_set_property",
        "proxy_set_shared_data",
        "proxy_set_tick_period_milliseconds",
        "random_get",
    ];
    assert_eq!(imports, expected);
}

#[test]
fn a_request_makes_no_call_twice() {
    let (_, mut vm) = vm();
    vm.request(&good());
    let outcome = vm.request(&good());
    let expected = [
        "proxy_get_header_map_pairs",
        "proxy_get_property",
        "proxy_get_property",
        "proxy_get_current_time_nanoseconds",
        "proxy_get_shared_data",
        "proxy_set_shared_data",
        "proxy_remove_header_map_value",
        "proxy_remove_header_map_value",
        // The caller's own line is replaced, those that nobody sent are added.
        "proxy_replace_header_map_value",
        "proxy_add_header_map_value",
        "proxy_add_header_map_value",
        "proxy_set_property",
        "proxy_increment_metric",
    ];
    assert_eq!(outcome.calls[..expected.len()], expected, "{:?}", outcome.calls);
    let response = &outcome.calls[expected.len()..];
    assert!(response.iter().all(|call| *call == "proxy_add_header_map_value"), "{response:?}");
    // The second request has taken tokens for those that follow.
    let mut calls = vm.request(&good()).calls;
    calls.truncate(expected.len() - 2);
    let is_shared = |call: &&str| call.ends_with("_shared_data");
    let local: Vec<_> = expected.into_iter().filter(|call| !is_shared(call)).collect();
    assert_eq!(calls, local);
}

#[test]
fn what_the_policy_does_not_need_is_not_asked_for() {
    let (_, mut vm) = vm();
    let policy = serde_json::json!({
        "version": 1,
        "gateway": "plain",
        "routes": [{"name": "all", "paths": ["/public/**"], "methods": ["*"], "access": "public"}],
    });
    assert!(vm.configure(policy.to_string()).accepted);
    vm.meddle("proxy_get_property", 0, usize::MAX, Meddle::Answer(10));
    vm.request(&get("/public/x"));
    let outcome = vm.request(&get("/public/x"));
    let expected =
        ["proxy_get_header_map_pairs", "proxy_get_current_time_nanoseconds", "proxy_set_property"];
    assert_eq!(outcome.calls, expected);
}
