//! The configuration of a real Envoy for tests: one listener for each policy, one upstream.

use crate::case;
use crate::token::keys;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;

/// A listener to be configured.
#[derive(Clone, PartialEq, Eq)]
pub struct Listener {
    pub name: String,
    pub policy: Policy,
    pub options: case::Listener,
    /// With the protections of Envoy itself that the reference deployment turns on.
    pub hardened: bool,
    /// Routes that a request picks by the header `x-test-route`.
    pub route_names: Vec<String>,
}

/// How a policy is sent to the filter.
#[derive(Clone, PartialEq, Eq)]
pub enum Policy {
    /// As a `google.protobuf.Struct`.
    Struct(Value),
    /// As text in a `google.protobuf.StringValue`.
    Text(String),
}

impl Policy {
    fn any(&self) -> Value {
        let (kind, value) = match self {
            Self::Struct(value) => ("Struct", value.clone()),
            Self::Text(text) => ("StringValue", Value::String(text.clone())),
        };
        json!({"@type": format!("type.googleapis.com/google.protobuf.{kind}"), "value": value})
    }
}

/// The whole bootstrap. Admin and listeners take any free port.
pub fn bootstrap(listeners: &[Listener], upstream: SocketAddr, module: &Path, log: &Path) -> Value {
    let listeners: Vec<Value> = listeners.iter().map(|it| listener(it, module, log)).collect();
    json!({
        "admin": {"address": address("127.0.0.1:0".parse().expect("an address"))},
        "static_resources": {"listeners": listeners, "clusters": [cluster(upstream)]},
    })
}

pub fn address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

pub fn cluster(upstream: SocketAddr) -> Value {
    json!({
        "name": "upstream",
        "connect_timeout": "5s",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": address(upstream)}},
        ]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": {"max_headers_count": 5000},
            "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}},
        }},
    })
}

/// One listener, as an LDS resource has it, too.
pub fn listener(listener: &Listener, module: &Path, log: &Path) -> Value {
    json!({
        "name": listener.name,
        "address": address("127.0.0.1:0".parse().expect("an address")),
        "listener_filters": [{
            "name": "envoy.filters.listener.proxy_protocol",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"},
        }],
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager(listener, module, log),
        }]}],
    })
}

fn manager(listener: &Listener, module: &Path, log: &Path) -> Value {
    let mut manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "cases",
        "use_remote_address": listener.options.use_remote_address,
        "preserve_external_request_id": true,
        "max_request_headers_kb": 1024,
        "common_http_protocol_options": {"max_headers_count": 5000},
        "http_protocol_options": {"enable_trailers": true},
        "http2_protocol_options": {"allow_connect": true},
        "upgrade_configs": [{"upgrade_type": "CONNECT"}, {"upgrade_type": "websocket"}],
        "route_config": {"virtual_hosts": [{
            "name": "all", "domains": ["*"], "routes": routes(&listener.route_names),
        }]},
        "http_filters": [
            {"name": "portcullis", "typed_config": filter(&listener.policy, module)},
            {"name": "envoy.filters.http.router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            }},
        ],
        "access_log": [{"name": "envoy.access_loggers.file", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": log,
            "log_format": {"text_format_source": {"inline_string":
                "%REQ(X-REQUEST-ID)%\t%RESPONSE_CODE_DETAILS%\t%FILTER_STATE(wasm.portcullis.audit:PLAIN)%\n"}},
        }}],
    });
    if listener.hardened {
        case::merge(&mut manager, hardening());
    }
    manager
}

/// What Envoy itself refuses or repairs before a filter sees it.
fn hardening() -> Value {
    json!({
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "strip_trailing_host_dot": true,
        "strip_any_host_port": true,
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
    })
}

fn routes(names: &[String]) -> Value {
    let mut routes: Vec<Value> = names
        .iter()
        .map(|name| {
            let header = json!({"name": "x-test-route", "string_match": {"exact": name}});
            json!({"name": name, "match": {"prefix": "/", "headers": [header]}, "route": {"cluster": "upstream"}})
        })
        .collect();
    routes.push(json!({"match": {"connect_matcher": {}}, "route": {"cluster": "upstream"}}));
    routes.push(json!({"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}));
    Value::Array(routes)
}

/// The filter's own configuration. A trap must show, so the failure policy is the harshest.
pub fn filter(policy: &Policy, module: &Path) -> Value {
    let variables: Vec<_> = keys::environment().into_iter().map(|(name, _)| name).collect();
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": "portcullis",
            "vm_config": {
                "vm_id": "portcullis",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": module}},
                "environment_variables": {"host_env_keys": variables},
            },
            "failure_policy": "FAIL_CLOSED",
            "configuration": policy.any(),
        },
    })
}
