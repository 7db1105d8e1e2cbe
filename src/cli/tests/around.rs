//! Policies where they are deployed, and what must hold around them.

use crate::support::{DIGEST, check, indent, policy, run};
use crate::validate;

/// An Envoy configuration without findings around `configuration`, which holds the policy.
fn bootstrap(configuration: &str) -> String {
    format!(
        "static_resources:
  listeners:
    - name: external
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                use_remote_address: true
                normalize_path: true
                merge_slashes: true
                path_with_escaped_slashes_action: REJECT_REQUEST
                strip_trailing_host_dot: true
                common_http_protocol_options: {{headers_with_underscores_action: REJECT_REQUEST, max_stream_duration: 300s}}
                early_header_mutation_extensions:
                  - name: envoy.http.early_header_mutation.header_mutation
                    typed_config:
                      \"@type\": type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation
                      mutations: [{{remove: X-Geo}}]
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: [\"*\"]
                      routes:
                        - match: {{prefix: /, headers: [{{name: x-canary, present_match: true}}]}}
                          route: {{cluster: orders}}
                http_filters:
                  - name: envoy.filters.http.geoip
                    typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.filters.http.geoip.v3.Geoip}}
                  - name: portcullis
                    typed_config:
                      \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
                      config:
                        name: portcullis
                        failure_policy: FAIL_RELOAD
                        vm_config: {{vm_id: portcullis, code: {{local: {{filename: portcullis.wasm}}}}}}
                        configuration:
{}                  - name: envoy.filters.http.router
                    typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
",
        indent(configuration, 26)
    )
}

pub(crate) fn as_struct(policy: &str) -> String {
    bootstrap(&format!(
        "\"@type\": type.googleapis.com/google.protobuf.Struct\nvalue:\n{}",
        indent(policy, 2)
    ))
}

/// The policy that the checks around it have most to say about.
fn with_country() -> String {
    policy()
        .replace("gateway: external", "gateway: external\ncountry_header: x-geo")
        .replace("{cidrs: [203.0.113.0/24]}", "{cidrs: [203.0.113.0/24], countries: [KP]}")
}

const JSON_POLICY: &str = r#"{
  "version": 1, "gateway": "external",
  "routes": [{"name": "a", "paths": ["/a"], "methods": ["GET"], "acess": "public"}]
}"#;

/// Codes of the findings, each with its line.
fn findings(text: &str) -> Vec<String> {
    let ran = run(&["check", "--format", "json", "-"], text);
    let report: serde_json::Value = serde_json::from_str(&ran.out).expect("json");
    let all = report["diagnostics"].as_array().expect("a list");
    all.iter().map(|f| format!("{} {}", f["severity"], f["code"]).replace('"', "")).collect()
}

#[test]
fn a_hardened_envoy_with_a_struct_passes() {
    for policy in [policy(), with_country()] {
        let ran = run(&["check", "--deny-warnings", "-"], &as_struct(&policy));
        assert_eq!(ran.code, 0, "{}", ran.out);
        assert!(ran.out.contains("policy `external` compiles"), "{}", ran.out);
    }
}

#[test]
fn a_struct_is_read_as_envoy_reads_it() {
    let ran = check(&as_struct(&policy().replace("name: mobile", "name: 010")));
    let expected = "-:47:33: error[wrong_type] at /consumers/0/name: ";
    assert!(ran.out.contains(expected), "{}", ran.out);
}

#[test]
fn a_text_is_read_as_the_filter_reads_it() {
    let block = format!(
        "\"@type\": type.googleapis.com/google.protobuf.StringValue\nvalue: |\n{}",
        indent(JSON_POLICY, 2)
    );
    let ran = check(&bootstrap(&block));
    assert_eq!(ran.code, 1, "{}", ran.out);
    let expected = "-:42:93: error[unknown_field] at /routes/0/acess: ";
    assert!(ran.out.contains(expected), "{}", ran.out);
    let quoted = format!(
        "\"@type\": type.googleapis.com/google.protobuf.StringValue\nvalue: {}",
        serde_json::Value::from(JSON_POLICY)
    );
    let ran = check(&bootstrap(&quoted));
    assert!(ran.out.contains("-:39:34: error[unknown_field] at /routes/0/acess: "), "{}", ran.out);
    let broken = block.replace("\"version\": 1,", "\"version\": 1");
    let ran = check(&bootstrap(&broken));
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.out.contains("error[json_invalid]"), "{}", ran.out);
}

#[test]
fn an_envoy_configuration_in_json_is_read_too() {
    let json = format!(
        r#"{{"resources": [{{"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "typedConfig":
        {{"config": {{"failurePolicy": "FAIL_OPEN", "configuration":
        {{"@type": "type.googleapis.com/google.protobuf.Struct", "value": {JSON_POLICY}}}}}}}}}]}}"#
    );
    assert_eq!(findings(&json), ["error fails_open", "error missing_field", "error unknown_field"]);
}

#[test]
fn what_contradicts_the_policy_is_an_error() {
    // row: W07, W10, W19
    for (from, to, expected) in [
        ("failure_policy: FAIL_RELOAD", "failure_policy: FAIL_OPEN", "error fails_open"),
        ("failure_policy: FAIL_RELOAD", "fail_open: true", "error fails_open"),
        (
            "- name: portcullis\n",
            "- name: portcullis\n                    is_optional: true\n",
            "error filter_optional",
        ),
        (
            "- name: portcullis\n",
            "- name: portcullis\n                    disabled: true\n",
            "warning filter_disabled",
        ),
        (
            "use_remote_address: true",
            "use_remote_address: false",
            "error client_address_contradicted",
        ),
        (
            "use_remote_address: true",
            "useRemoteAddress: true\n                xff_num_trusted_hops: 1",
            "error client_address_contradicted",
        ),
        (
            "use_remote_address: true",
            "original_ip_detection_extensions: [{name: x}]",
            "error client_address_contradicted",
        ),
        (
            "gateway: external",
            "gateway: external\n                            client_address: {source: envoy}\n                            #",
            "",
        ),
        ("remove: X-Geo", "remove: x-other", "error country_header_kept"),
        ("remove: X-Geo", "remove_on_match: {key_matcher: {prefix: x-}}", ""),
        ("geoip.v3.Geoip", "lua.v3.Lua", "warning country_header_unset"),
        (
            "geoip.v3.Geoip",
            "cache.v3.CacheConfig",
            "warning country_header_unset, warning cache_in_chain",
        ),
        ("name: x-canary", "name: X-Api-Key", "error route_on_filter_header"),
        ("name: x-canary", "name: x-portcullis-consumer", "error route_on_filter_header"),
        (
            "route: {cluster: orders}",
            "typed_per_filter_config: {portcullis: {disabled: true}}",
            "warning filter_disabled",
        ),
        ("route: {cluster: orders}", "typed_per_filter_config: {other: {disabled: true}}", ""),
        (
            "merge_slashes: true",
            "upgrade_configs: [{upgrade_type: websocket, filters: [{name: envoy.filters.http.router}]}]",
            "warning merge_slashes_off, error upgrade_without_filter",
        ),
        (
            "- name: envoy.filters.http.router",
            "- {typed_config: {config: {vm_config: {vm_id: portcullis}}}}\n                  - name: envoy.filters.http.router",
            "warning vm_id_shared",
        ),
        (
            "- name: envoy.filters.http.router",
            "- {typed_config: {config: {vm_config: {vm_id: other}}}}\n                  - name: envoy.filters.http.router",
            "",
        ),
    ] {
        let text = as_struct(&with_country()).replacen(from, to, 1);
        let mut found = findings(&text);
        let mut expected: Vec<_> = expected.split(", ").filter(|code| !code.is_empty()).collect();
        found.sort();
        expected.sort_unstable();
        assert_eq!(found, expected, "{to}");
    }
}

#[test]
fn routes_must_not_match_on_where_keys_are_taken_from() {
    let sources = "gateway: external\napi_key: {sources: [{query: api_key}, {cookie: key}]}";
    let text = as_struct(&policy().replace("gateway: external", sources));
    let header = "headers: [{name: x-canary, present_match: true}]";
    for (matcher, expected) in [
        ("query_parameters: [{name: api_key}]", 1),
        ("query_parameters: [{name: page}]", 0),
        ("headers: [{name: cookie}]", 1),
        ("queryParams: {api_key: {exact: a}}", 1),
    ] {
        let found = findings(&text.replace(header, matcher));
        assert_eq!(found, vec!["error route_on_filter_header"; expected], "{matcher}");
    }
}

#[test]
fn a_policy_with_errors_is_still_ours() {
    let both = format!("{}---\n{}", as_struct(&policy()), as_struct("version: 1\ngateway: g\n"));
    assert_eq!(findings(&both), ["error missing_field"]);
}

#[test]
fn each_missing_hardening_is_a_warning() {
    for (line, code) in [
        ("normalize_path: true", "normalize_path_off"),
        ("merge_slashes: true", "merge_slashes_off"),
        ("path_with_escaped_slashes_action: REJECT_REQUEST", "escaped_slashes_kept"),
        ("strip_trailing_host_dot: true", "trailing_host_dot_kept"),
        ("headers_with_underscores_action: REJECT_REQUEST, ", "underscores_allowed"),
        (", max_stream_duration: 300s", "streams_unbounded"),
    ] {
        let text = as_struct(&policy()).replace(line, "");
        assert_eq!(findings(&text), [format!("warning {code}")], "{line}");
    }
}

#[test]
fn the_forwarded_address_needs_what_envoy_appends() {
    let forwarded =
        "gateway: external\nclient_address: {source: forwarded_for, trusted_proxies: [10.0.0.0/8]}";
    let text = as_struct(&policy().replace("gateway: external", forwarded));
    assert_eq!(findings(&text), [""; 0]);
    let skips =
        text.replace("normalize_path:", "skip_xff_append: true\n                normalize_path:");
    assert_eq!(findings(&skips), ["error client_address_contradicted"]);
    let envoy = "gateway: external\nclient_address: {source: envoy}";
    let text = as_struct(&policy().replace("gateway: external", envoy));
    let believes = text.replace("use_remote_address: true", "use_remote_address: false");
    assert_eq!(findings(&believes), ["error client_address_contradicted"]);
    let hops = text.replace(
        "use_remote_address: true",
        "use_remote_address: true\n                xff_num_trusted_hops: 2",
    );
    assert_eq!(findings(&hops), [""; 0]);
}

#[test]
fn two_policies_of_one_gateway_are_told_apart() {
    let other = as_struct(&policy().replace("burst: 3", "burst: 4"));
    let both = format!("{}---\n{other}", as_struct(&policy()));
    assert_eq!(findings(&both), ["warning gateway_shared"]);
    assert_eq!(
        findings(&format!("{}---\n{}", as_struct(&policy()), as_struct(&policy()))),
        [""; 0]
    );
}

/// A custom resource of each kind, with the policy in its place and something open to close.
fn resources() -> Vec<(&'static str, String)> {
    let head = |version: &str, kind: &str| {
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: portcullis}}\nspec:\n")
    };
    vec![
        (
            "istio",
            format!(
                "{}  url: oci://registry.example/portcullis:1\n  phase: AUTHN\n  failStrategy: FAIL_CLOSE\n  pluginConfig:\n{}",
                head("extensions.istio.io/v1alpha1", "WasmPlugin"),
                indent(&policy(), 4)
            ),
        ),
        (
            "istio",
            format!(
                "{}  phase: AUTHN\n  wasm:\n    url: oci://registry.example/portcullis:1\n    failStrategy: FAIL_CLOSE\n    pluginConfig:\n{}",
                head("extensions.istio.io/v1alpha1", "TrafficExtension"),
                indent(&policy(), 6)
            ),
        ),
        (
            "istio",
            format!(
                "{}  configPatches:\n    - applyTo: HTTP_FILTER\n      patch:\n        operation: INSERT_BEFORE\n        value:\n          name: portcullis\n          typed_config:\n            \"@type\": type.googleapis.com/udpa.type.v1.TypedStruct\n            type_url: type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n            value:\n              config:\n                fail_open: false\n                configuration:\n                  \"@type\": type.googleapis.com/google.protobuf.Struct\n                  value:\n{}",
                head("networking.istio.io/v1alpha3", "EnvoyFilter"),
                indent(&policy(), 20)
            ),
        ),
        (
            "envoy-gateway",
            format!(
                "{}  targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: external}}]\n  wasm:\n    - name: portcullis\n      code: {{type: Image, image: {{url: registry.example/portcullis:1}}}}\n      failOpen: false\n      config:\n{}",
                head("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy"),
                indent(&policy(), 8)
            ),
        ),
    ]
}

#[test]
fn custom_resources_are_read() {
    for (_, resource) in resources() {
        let ran = run(&["check", "--deny-warnings", "-"], &resource);
        assert_eq!(ran.code, 0, "{resource}\n{}", ran.out);
        let open = resource
            .replace("FAIL_CLOSE", "FAIL_OPEN")
            .replace("failOpen: false", "failOpen: true")
            .replace("fail_open: false", "fail_open: true");
        assert_eq!(findings(&open), ["error fails_open"], "{resource}");
        let wrong = resource.replace("version: 1", "version: one");
        assert_eq!(findings(&wrong), ["error wrong_type"], "{resource}");
    }
}

#[test]
fn custom_resources_are_as_their_schemas_have_them() {
    let Ok(folder) = std::env::var("PORTCULLIS_CRDS") else {
        println!(
            "skipped: PORTCULLIS_CRDS names no folder with the schemas of Istio and Envoy Gateway"
        );
        return;
    };
    for (_, resource) in resources() {
        validate::custom_resource(&folder, &resource);
    }
}

#[test]
fn routes_of_other_resources_must_not_match_on_what_the_filter_edits() {
    let plugin = &resources()[0].1;
    for (resource, expected) in [
        (
            "kind: HTTPRoute\nspec: {rules: [{matches: [{headers: [{name: X-API-Key, value: x}]}]}]}",
            1,
        ),
        (
            "kind: HTTPRoute\nspec: {rules: [{matches: [{headers: [{name: x-canary, value: x}]}]}]}",
            0,
        ),
        (
            "kind: VirtualService\nspec: {http: [{match: [{headers: {x-portcullis-scopes: {exact: a}}}]}]}",
            1,
        ),
        ("kind: VirtualService\nspec: {http: [{headers: {request: {remove: [x-api-key]}}}]}", 0),
    ] {
        let text = format!("{plugin}---\napiVersion: v1\n{resource}\n");
        let found = findings(&text);
        assert_eq!(found, vec!["error route_on_filter_header"; expected], "{resource}");
    }
}

#[test]
fn a_resource_without_a_policy_is_passed_over() {
    let text = format!("apiVersion: v1\nkind: Service\nspec: {{}}\n---\n{}", resources()[0].1);
    assert_eq!(findings(&text), [""; 0]);
    let other = resources()[0].1.replace("portcullis", "other").replace(DIGEST, "x");
    let other = other.split("pluginConfig").next().expect("a head").to_owned();
    assert_eq!(findings(&format!("{other}pluginConfig: {{a: 1}}")), ["error policy_not_found"]);
}
