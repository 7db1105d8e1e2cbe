//! One finding of `check`, and the codes of those that are not about the policy alone.

use portcullis_core::config::{Diagnostic, Severity};
use portcullis_core::key_text;

use crate::find::Found;
use crate::read::{Mark, Member, Tree, escape};

/// A finding and its place in the file.
pub(crate) struct Finding {
    pub(crate) document: usize,
    pub(crate) mark: Mark,
    /// The place in the document, as a JSON pointer; that of the diagnostic is within the policy.
    pub(crate) pointer: String,
    pub(crate) diagnostic: Diagnostic,
}

/// A value of a document about which something is said.
#[derive(Clone, Copy)]
pub(crate) struct Site<'s> {
    pub(crate) document: usize,
    pub(crate) root: &'s Tree,
    pub(crate) pointer: &'s str,
}

/// Gathers the findings about what is around the policies.
#[derive(Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    pub(crate) fn error(&mut self, site: Site<'_>, path: &str, code: Code, message: String) {
        self.add(Severity::Error, site, path, code, message);
    }

    pub(crate) fn warning(&mut self, site: Site<'_>, path: &str, code: Code, message: String) {
        self.add(Severity::Warning, site, path, code, message);
    }

    /// An error about a member that a pointer cannot reach, because another has its name.
    pub(crate) fn hidden(&mut self, site: Site<'_>, member: &Member, last: Mark) {
        let message = format!("the key is written again at line {}", last.line);
        let path = format!("/{}", escape(&member.name));
        self.add_at(member.mark, Severity::Error, site, &path, code::DUPLICATE_KEY, message);
    }

    /// Adds what the core says about a policy.
    pub(crate) fn of_policy(&mut self, found: &Found<'_>, diagnostics: Vec<Diagnostic>) {
        self.0.extend(diagnostics.into_iter().map(|diagnostic| Finding {
            document: found.document,
            mark: found.content.locate(&diagnostic.place),
            pointer: format!("{}{}", found.pointer, diagnostic.place),
            diagnostic,
        }));
    }

    fn add(&mut self, severity: Severity, site: Site<'_>, path: &str, code: Code, message: String) {
        let mark = site.root.locate(&format!("{}{path}", site.pointer));
        self.add_at(mark, severity, site, path, code, message);
    }

    fn add_at(
        &mut self,
        mark: Mark,
        severity: Severity,
        site: Site<'_>,
        path: &str,
        code: Code,
        message: String,
    ) {
        let mut pointer = format!("{}{path}", site.pointer);
        // A key that was pasted in front of a colon is a name of the document, and no less a secret.
        if let Some((before, _)) = pointer.split_once(key_text::PREFIX) {
            pointer.truncate(before.rfind('/').unwrap_or(0));
        }
        self.0.push(Finding {
            document: site.document,
            mark,
            diagnostic: Diagnostic {
                severity,
                code: code.name,
                place: pointer.clone(),
                message,
                help: code.help.to_owned(),
            },
            pointer,
        });
    }
}

/// A kind of finding: its name is stable, its help says what to do.
#[derive(Clone, Copy)]
pub(crate) struct Code {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
}

macro_rules! codes {
    ($($constant:ident = $name:literal, $help:literal;)*) => {
        $(pub(crate) const $constant: Code = Code { name: $name, help: $help };)*

        /// Every code, for the reference page.
        pub(crate) const ALL: &[Code] = &[$($constant),*];
    };
}

/// The codes of all findings about what is around a policy: entries are never renamed.
pub(crate) mod code {
    use super::Code;

    codes! {
        FILE_UNREADABLE = "file_unreadable", "name a readable file, or `-` for the standard input";
        NOT_PARSABLE = "not_parsable", "write the file as YAML or JSON";
        POLICY_NOT_FOUND = "policy_not_found", "name a policy, or a file of Envoy, Istio or Envoy Gateway that configures the filter with one";
        DUPLICATE_KEY = "duplicate_key", "remove one: Envoy and Kubernetes silently let the last win";
        FAILS_OPEN = "fails_open", "use `failure_policy: FAIL_RELOAD`, Istio's `failStrategy: FAIL_CLOSE` or Envoy Gateway's `failOpen: false`";
        FILTER_OPTIONAL = "filter_optional", "remove `is_optional`: an Envoy that cannot load the filter would run without it";
        FILTER_DISABLED = "filter_disabled", "the filter gives no protection there: remove `disabled`, or write a route with `access: public`";
        VM_ID_SHARED = "vm_id_shared", "give the filter a `vm_id` of its own: plugins of one `vm_id` can overwrite each other's shared data, the limits among it";
        GATEWAY_SHARED = "gateway_shared", "name each gateway: policies of one name share limits and cannot be told apart in metrics";
        CLIENT_ADDRESS_CONTRADICTED = "client_address_contradicted", "make `client_address` and the connection manager agree: see the policy reference";
        COUNTRY_HEADER_KEPT = "country_header_kept", "remove it in `early_header_mutation_extensions`: Envoy's geoip filter leaves a caller's own header in place when it has no answer";
        COUNTRY_HEADER_UNSET = "country_header_unset", "put `envoy.filters.http.geoip` before the filter, or the country is always unknown";
        ROUTE_ON_FILTER_HEADER = "route_on_filter_header", "match on something else: the filter writes or strips it, and Envoy then matches routes again, after the decision";
        UPGRADE_WITHOUT_FILTER = "upgrade_without_filter", "put the filter into the `filters` of the upgrade too, or remove them: they replace the whole chain";
        CACHE_IN_CHAIN = "cache_in_chain", "cache only public routes: credentials are stripped, so one caller's answer can be served to another";
        NORMALIZE_PATH_OFF = "normalize_path_off", "set `normalize_path: true`";
        MERGE_SLASHES_OFF = "merge_slashes_off", "set `merge_slashes: true`";
        ESCAPED_SLASHES_KEPT = "escaped_slashes_kept", "set `path_with_escaped_slashes_action: REJECT_REQUEST`";
        UNDERSCORES_ALLOWED = "underscores_allowed", "set `common_http_protocol_options: {headers_with_underscores_action: REJECT_REQUEST}`";
        TRAILING_HOST_DOT_KEPT = "trailing_host_dot_kept", "set `strip_trailing_host_dot: true`";
        KEYS_CLUSTER_UNKNOWN = "keys_cluster_unknown", "name a cluster of `static_resources`: without keys every token of the issuer is answered with 503";
        KEYS_UNAUTHENTICATED = "keys_unauthenticated", "give the cluster an `UpstreamTlsContext` with `trusted_ca` and `auto_sni_san_validation: true`: whoever can answer in the issuer's place can sign any token";
        FLEET_CLUSTER_UNKNOWN = "fleet_cluster_unknown", "name a cluster of `static_resources`: without the service, limits of the fleet are decided by `on_error`";
        FLEET_CLUSTER_HTTP1 = "fleet_cluster_http1", "give the cluster `HttpProtocolOptions` with `explicit_http_config: {http2_protocol_options: {}}`: gRPC needs HTTP/2";
        RATELIMIT_BEFORE_FILTER = "ratelimit_before_filter", "put it behind the filter: before it there is nothing under `wasm.portcullis.` yet, and what `rate_limits` read there counts nobody";
        SECRET_NOT_GIVEN = "secret_not_given", "list it in `vm_config.environment_variables.host_env_keys`, in Istio's `vmConfig.env` with `valueFrom: HOST`, or in Envoy Gateway's `env.hostKeys`";
        SECRET_WRITTEN = "secret_written", "take it from the environment of the host: whoever reads the configuration can sign tokens with it";
        STREAMS_UNBOUNDED = "streams_unbounded", "set `common_http_protocol_options: {max_stream_duration: ...}`: a revoked key ends new requests, not open streams";
    }
}
