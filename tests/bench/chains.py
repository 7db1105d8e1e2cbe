"""The chains that are compared, as Envoy configurations: no filter, a bare one, Envoy's own, Portcullis.

All have the same listener, routes and answer. Both gateways do the same work on a request: refuse
addresses of a list, verify the credential and take it off, ask the route's scope, spend from the
client's bucket and tell the caller what is left, tell the upstream and the access log who called.
"""

import base64
import hashlib
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
WASM = ROOT / "target/portcullis.wasm"
BARE = ROOT / "target/wasm32-wasip1/release/portcullis_bare.wasm"

CLIENTS, RANGES, ROUTES = 1_000, 1_000, 20
SCOPE = "orders:read"
ISSUER, AUDIENCE = "https://id.example.com", "orders-api"
ADDRESSES = ("127.0.0.1", "127.0.0.66")  # one that is allowed, one that is denied
SECRET_VARIABLE = "PORTCULLIS_BENCH_SECRET"
CACHED_TOKENS = 4096  # of both gateways
A_SECOND = 1_000_000  # tokens of each client's bucket: spent from, never empty

TYPE = "type.googleapis.com/"
HTTP = TYPE + "envoy.extensions.filters.http."
PAYLOAD = "envoy.filters.http.jwt_authn:payload"


def key(number):
    """An API key of Portcullis' own format is not needed here: both gateways are given the same text."""
    return f"benchmark-key-of-client-{number:06d}"


def client(number):
    return f"client-{number}"


def path(number=ROUTES // 2):
    return f"/v1/resource-{number}/7"


def ranges(denied, count=RANGES):
    """So many ranges; the last is one address, so that a refusal can be seen."""
    some = [(f"{203 - number // 65536}.{number // 256 % 256}.{number % 256}.0", 24) for number in range(count - 1)]
    return [*some, (denied, 32)]


def cidrs(denied, count=RANGES):
    return [f"{prefix}/{length}" for prefix, length in ranges(denied, count)]


# --- no filter, and the least that one in Wasm can be ---


def no_filter():
    return {"filters": [], "routes": {}, "log": json_log({})}


def bare_filter():
    return {"filters": [wasm("bare", BARE, "")], "routes": {}, "log": text_log()}


def wasm(name, module, configuration, environment=()):
    vm = {"vm_id": name, "runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": str(module)}}}
    if environment:
        vm["environment_variables"] = {"host_env_keys": list(environment)}
    return {"name": name, "typed_config": {"@type": HTTP + "wasm.v3.Wasm", "config": {
        "name": name, "failure_policy": "FAIL_RELOAD", "vm_config": vm,
        "configuration": {"@type": TYPE + "google.protobuf.StringValue", "value": configuration}}}}


# --- Envoy's own filters ---


def native(row, cached=False):
    """`rbac` by address, then the credential, then `rbac` on scopes, then `local_ratelimit` per client."""
    if row.algorithm is None:
        who, scopes = api_key_auth(), scope_of_client()
        shown = {"client": "%REQ(X-CLIENT)%"}
    else:
        who, scopes = jwt_authn(row, cached), scope_of_token()
        shown = {"client": "client_id", "subject": "sub", "token_id": "jti", "issuer": "iss", "scopes": "scope"}
        shown = {name: f"%DYNAMIC_METADATA({PAYLOAD}:{claim})%" for name, claim in shown.items()}
    empty = {"@type": HTTP + "rbac.v3.RBAC", "rules": {"action": "ALLOW", "policies": {}}}
    routes = {"scopes": {"@type": HTTP + "rbac.v3.RBACPerRoute", "rbac": scopes}}
    if row.public:
        routes = {name: {"@type": TYPE + "envoy.config.route.v3.FilterConfig", "disabled": True} for name in ("credential", "scopes")}
    return {
        "filters": [
            {"name": "addresses", "typed_config": addresses(row)},
            {"name": "credential", "typed_config": who},
            {"name": "scopes", "typed_config": empty},
            {"name": "limit", "typed_config": local_ratelimit(row)},
        ],
        "routes": routes,
        "log": json_log(shown),
    }


def rbac_action(name, action):
    return {"action": {"name": name, "typed_config": {"@type": TYPE + "envoy.config.rbac.v3.Action", "name": name, "action": action}}}


def addresses(row):
    """Envoy's tree of ranges, which it searches faster than a list of principals."""
    listed = [{"address_prefix": prefix, "prefix_len": length} for prefix, length in ranges(row.denied)]
    return {"@type": HTTP + "rbac.v3.RBAC", "matcher": {
        "matcher_tree": {
            "input": {"name": "address", "typed_config": {"@type": TYPE + "envoy.extensions.matching.common_inputs.network.v3.SourceIPInput"}},
            "custom_match": {"name": "ranges", "typed_config": {
                "@type": TYPE + "xds.type.matcher.v3.IPMatcher",
                "range_matchers": [{"ranges": listed, "on_match": rbac_action("denied", "DENY")}]}},
        },
        "on_no_match": rbac_action("allowed", "ALLOW"),
    }}


def jwt_authn(row, cached):
    provider = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": row.tokens.jwks()},
        "payload_in_metadata": "payload",
        "claim_to_headers": [{"claim_name": "client_id", "header_name": "x-client"}],
        "require_expiration": True,
        # Scopes one by one: a scope must be compared whole, and a pattern over the text costs more.
        "normalize_payload_in_metadata": {"space_delimited_claims": ["scope"]},
    }
    if cached:
        provider["jwt_cache_config"] = {"jwt_cache_size": CACHED_TOKENS}
    return {"@type": HTTP + "jwt_authn.v3.JwtAuthentication", "providers": {"corp": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "corp"}}]}


def scope_of_token():
    metadata = {"filter": "envoy.filters.http.jwt_authn", "path": [{"key": "payload"}, {"key": "scope"}],
                "value": {"list_match": {"one_of": {"string_match": {"exact": SCOPE}}}}}
    return {"rules": {"action": "ALLOW", "policies": {"scope": {
        "permissions": [{"any": True}], "principals": [{"sourced_metadata": {"metadata_matcher": metadata}}]}}}}


def api_key_auth():
    return {"@type": HTTP + "api_key_auth.v3.ApiKeyAuth",
            "credentials": [{"key": key(number), "client": client(number)} for number in range(CLIENTS)],
            "key_sources": [{"header": "x-api-key"}],
            "forwarding": {"header": "x-client", "hide_credentials": True}}


def scope_of_client():
    """`api_key_auth` knows no scopes: which clients have the route's scope is a table of `rbac`."""
    return {"matcher": {
        "matcher_tree": {
            "input": {"name": "client", "typed_config": {"@type": TYPE + "envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name": "x-client"}},
            "exact_match_map": {"map": {client(number): rbac_action("allowed", "ALLOW") for number in range(1, CLIENTS)}},
        },
        "on_no_match": rbac_action("denied", "DENY"),
    }}


def local_ratelimit(row):
    bucket, told = {"max_tokens": A_SECOND, "tokens_per_fill": A_SECOND, "fill_interval": "1s"}, {}
    if row.refused == "limit":
        # `Retry-After` is of Envoy 1.40, so it is asked for only where it is seen.
        bucket, told = {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "3600s"}, {"enable_retry_after_header": True}
    every = {"numerator": 100, "denominator": "HUNDRED"}
    return {
        "@type": HTTP + "local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "limit",
        "token_bucket": bucket,
        "filter_enabled": {"default_value": every},
        "filter_enforced": {"default_value": every},
        "rate_limits": [{"actions": [{"request_headers": {"header_name": "x-client", "descriptor_key": "client"}}]}],
        # A descriptor without a value has a bucket for every value that comes.
        "descriptors": [{"entries": [{"key": "client"}], "token_bucket": bucket}],
        "max_dynamic_descriptors": 2 * CLIENTS,
        "always_consume_default_token_bucket": False,
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        **told,
    }


# --- Portcullis ---


def portcullis(document, secret=False):
    """The filter with that policy; `secret`: it has a key of HMAC in its environment."""
    configured = wasm("portcullis", WASM, json.dumps(document), [SECRET_VARIABLE] if secret else [])
    return {"filters": [configured], "routes": {}, "log": text_log()}


def policy(row):
    kind = "jwt" if row.algorithm else "api_key"
    limit = {"rate": "1/h", "burst": 1} if row.refused == "limit" else {"rate": f"{A_SECOND}/s", "burst": A_SECOND}
    asked = {"access": "public"} if row.public else {"credentials": [kind], "scopes": {"all_of": [SCOPE]}}
    document = {
        "version": 1,
        "gateway": "bench",
        "realm": "bench",
        "networks": {"blocked": {"cidrs": cidrs(row.denied)}},
        "deny": ["blocked"],
        "identity_headers": {"consumer": "x-client"},
        "roles": {"reader": [SCOPE, "orders:write"]},
        "limits": {"per-client": {"key": ["consumer"], **limit}},
        "consumers": [consumer(number, row) for number in range(CLIENTS)],
        "routes": [
            {"name": f"route-{number}", "paths": [f"/v1/resource-{number}/{{id}}"], "methods": ["GET"], **asked}
            for number in range(ROUTES)
        ],
    }
    if row.algorithm:
        document["jwt"] = {"cache_tokens": CACHED_TOKENS}
        keys = {"secrets": [SECRET_VARIABLE]} if row.has_secret else {"jwks": row.tokens.jwks()}
        document["issuers"] = [issuer("corp", ISSUER, row.algorithm, keys)]
    return document


def issuer(name, address, algorithm, keys):
    return {"name": name, "issuer": address, "audiences": [AUDIENCE], "algorithms": [algorithm],
            "keys": keys, "claims": {"consumer": "client_id", "scopes": "scope"}}


def consumer(number, row):
    entry = {"name": client(number), "limits": ["per-client"]}
    if row.algorithm:
        return entry | {"roles": ["reader"], "tokens": [{"issuer": "corp", "value": client(number)}]}
    # The first client lacks the scope, so that its refusal can be seen.
    role = {"roles": ["reader"]} if number else {"scopes": ["orders:write"]}
    return entry | role | {"api_keys": [api_key(number)]}


def api_key(number):
    return {"id": f"key-{number}", "sha256": hashlib.sha256(key(number).encode()).hexdigest(), "format": "opaque"}


# --- the access log: the same facts, in JSON ---

OF_ENVOY = {
    "time": "%START_TIME%", "gateway": "%FILTER_CHAIN_NAME%", "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "status": "%RESPONSE_CODE%", "details": "%RESPONSE_CODE_DETAILS%", "flags": "%RESPONSE_FLAGS%",
    "duration_ms": "%DURATION%", "bytes_in": "%BYTES_RECEIVED%", "bytes_out": "%BYTES_SENT%", "route": "%ROUTE_NAME%",
}
OF_THE_REQUEST = {
    "request_id": "%REQ(X-REQUEST-ID)%", "method": "%REQ(:METHOD)%", "host": "%REQ(:AUTHORITY)%",
    "path": "%PATH(NQ)%", "address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
}


def json_log(identity):
    return {"json_format": OF_ENVOY | OF_THE_REQUEST | identity}


def text_log():
    """As in envoy/envoy.yaml: the audit record holds the facts of the request and the identity."""
    numbers = ("status", "duration_ms", "bytes_in", "bytes_out")
    fields = ",".join(f'"{name}":{value}' if name in numbers else f'"{name}":"{value}"' for name, value in OF_ENVOY.items())
    line = "{" + fields + ',"audit":[%FILTER_STATE(wasm.portcullis.audit:PLAIN)%]}\n'
    return {"omit_empty_values": True, "text_format_source": {"inline_string": line}}


# --- one Envoy ---


def configuration(chain, port, admin, log, upstream=None):
    """One listener with that chain, which answers itself, or has the server on the port `upstream` answer."""
    answer = {"direct_response": {"status": 200}} if upstream is None else {"route": {"cluster": "upstream"}}
    prefixes = chain.get("prefixes") or [f"/v1/resource-{number}/" for number in range(ROUTES)]
    manager = {
        "@type": TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "access_log": [{"name": "file", "typed_config": {
            "@type": TYPE + "envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": str(log), "log_format": chain["log"]}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
            {"name": f"route-{number}", "match": {"prefix": prefix}, **answer, "typed_per_filter_config": chain["routes"]}
            for number, prefix in enumerate(prefixes)]}]},
        "http_filters": [*chain["filters"], {"name": "router", "typed_config": {"@type": HTTP + "router.v3.Router"}}],
    }
    return {
        "node": {"id": "bench", "cluster": "bench"},
        "admin": {"address": address(admin)},
        "static_resources": {
            "listeners": [{
                "name": "bench", "address": address(port),
                # Two Envoys must never share a port: each would count the other's requests.
                "enable_reuse_port": False,
                "filter_chains": [{
                    "name": "bench",
                    "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}],
            "clusters": [] if upstream is None else [cluster(upstream)],
        },
    }


def cluster(port):
    endpoint = {"endpoint": {"address": address(port)}}
    return {"name": "upstream", "load_assignment": {"cluster_name": "upstream", "endpoints": [{"lb_endpoints": [endpoint]}]}}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def unpadded(octets):
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")
