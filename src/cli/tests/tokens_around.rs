//! What tokens need around a policy: clusters that serve keys, variables that hold secrets.

use crate::around::as_struct;
use crate::support::{check, policy, run};

/// The policy with an issuer whose keys come from there.
fn with_issuer(algorithm: &str, keys: &str) -> String {
    let issuer = format!(
        "issuers:
  - name: corp
    issuer: https://id.example.com
    audiences: [orders-api]
    algorithms: [{algorithm}]
    keys: {keys}
"
    );
    let policy = policy().replace("credentials: [api_key]", "credentials: [api_key, jwt]");
    policy.replace("limits:\n  per", &format!("{issuer}limits:\n  per"))
}

/// An Envoy configuration with that policy and these clusters.
fn with_clusters(clusters: &str) -> String {
    let keys = "{cluster: idp, path: /jwks.json}";
    format!("{}  clusters:\n{clusters}", as_struct(&with_issuer("ES256", keys)))
}

/// A cluster of that name at that address, with more of its fields.
fn cluster(name: &str, address: &str, more: &str) -> String {
    format!(
        "    - name: {name}
      load_assignment:
        endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {address}, port_value: 443}}}}}}}}]}}]
{more}"
    )
}

/// A TLS socket with these fields.
fn tls(fields: &str) -> String {
    let kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
    format!(
        "      transport_socket: {{name: tls, typed_config: {{\"@type\": {kind}, {fields}}}}}\n"
    )
}

const ROOTS: &str = "{trusted_ca: {filename: /etc/ssl/certs/ca-certificates.crt}}";

#[test]
fn keys_come_from_a_cluster_that_exists() {
    let good = cluster("idp", "127.0.0.1", "");
    let ran = run(&["check", "--deny-warnings", "-"], &with_clusters(&good));
    assert_eq!(ran.code, 0, "{}", ran.out);
    let ran = check(&with_clusters(&cluster("ipd", "127.0.0.1", "")));
    assert_eq!(ran.code, 0, "{}", ran.out);
    let expected = "warning[keys_cluster_unknown] at \
                    /static_resources/listeners/0/filter_chains/0/filters/0/typed_config/\
                    http_filters/1/typed_config/config/configuration/value/issuers/0/keys/cluster: \
                    no cluster of this file is named `idp`";
    assert!(ran.out.contains(expected), "{}", ran.out);
    // Where clusters may come from elsewhere, nothing is known.
    let dynamic = format!(
        "dynamic_resources: {{cds_config: {{ads: {{}}}}}}\n{}",
        with_clusters(&cluster("ipd", "127.0.0.1", ""))
    );
    let listed_nowhere = as_struct(&with_issuer("ES256", "{cluster: idp, path: /jwks.json}"));
    for text in [dynamic, listed_nowhere] {
        let ran = run(&["check", "--deny-warnings", "-"], &text);
        assert_eq!(ran.code, 0, "{}", ran.out);
    }
}

#[test]
fn keys_come_from_nobody_who_only_says_that_he_is_the_issuer() {
    let far = |more: &str| check(&with_clusters(&cluster("idp", "id.example.com", more)));
    let checked = format!("common_tls_context: {{validation_context: {ROOTS}}}");
    let pinned = "common_tls_context: {validation_context: {verify_certificate_spki: [x]}}";
    let named = "common_tls_context: {validation_context: {trusted_ca: {filename: a}, \
                 match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: id.example.com}}]}}";
    let served = "common_tls_context: {validation_context_sds_secret_config: {name: roots}}";
    for (more, why) in [
        (String::new(), Some("without TLS")),
        (tls("sni: id.example.com"), Some("and Envoy verifies no certificate of it")),
        (
            tls("common_tls_context: {validation_context: {system_root_certs: {}}}"),
            Some("and Envoy verifies no certificate of it"),
        ),
        (tls(&checked), Some("and a certificate of any name will do")),
        (tls(&format!("{checked}, auto_sni_san_validation: true")), None),
        (tls(pinned), None),
        (tls(named), None),
        (tls(served), None),
    ] {
        let ran = far(&more);
        assert_eq!(ran.code, 0, "{}", ran.out);
        let expected = why.map_or("0 warnings".to_owned(), |why| {
            format!("keys come from cluster `idp`, {why} (help: give the cluster an")
        });
        assert!(ran.out.contains(&expected), "`{expected}` in {}", ran.out);
    }
    let both = cluster("idp", "127.0.0.1", "").replace(
        "lb_endpoints: [",
        "lb_endpoints: [{endpoint: {address: {socket_address: {address: 192.0.2.1, port_value: 1}}}}, ",
    );
    assert!(check(&with_clusters(&both)).out.contains("without TLS"));
}

/// The policy with secrets, in an Envoy whose virtual machine has these variables.
fn with_variables(variables: &str) -> String {
    let text = as_struct(&with_issuer("HS256", "{secrets: [ORDERS_NEW, ORDERS_OLD]}"));
    text.replace("{vm_id: portcullis, ", &format!("{{vm_id: portcullis, {variables}"))
}

#[test]
fn secrets_reach_the_filter() {
    let given = "environment_variables: {host_env_keys: [ORDERS_OLD, ORDERS_NEW]}, ";
    let ran = run(&["check", "--deny-warnings", "-"], &with_variables(given));
    assert_eq!(ran.code, 0, "{}", ran.out);
    let camel = "environmentVariables: {hostEnvKeys: [ORDERS_OLD, ORDERS_NEW]}, ";
    assert_eq!(check(&with_variables(camel)).code, 0);
    let half = "environment_variables: {host_env_keys: [ORDERS_NEW]}, ";
    let ran = check(&with_variables(half));
    assert_eq!(ran.code, 1, "{}", ran.out);
    let expected = "/issuers/0/keys/secrets/1: the filter is not given this variable";
    assert!(ran.out.contains(expected), "{}", ran.out);
    assert_eq!(ran.out.matches("error[secret_not_given]").count(), 1);
    assert_eq!(check(&with_variables("")).out.matches("error[secret_not_given]").count(), 2);
    let written = "environment_variables: {host_env_keys: [ORDERS_NEW], \
                   key_values: {ORDERS_OLD: c2VjcmV0LXRoYXQtaXMtd3JpdHRlbg}}, ";
    let ran = check(&with_variables(written));
    assert_eq!(ran.code, 0, "{}", ran.out);
    let expected = "warning[secret_written]";
    assert!(ran.out.contains(expected) && !ran.out.contains("c2VjcmV0"), "{}", ran.out);
}

#[test]
fn secrets_reach_the_filter_in_kubernetes() {
    let policy = with_issuer("HS256", "{secrets: [ORDERS]}");
    let istio = |variables: &str| {
        format!(
            "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: portcullis}}\nspec:\n  url: oci://portcullis\n  failStrategy: FAIL_CLOSE\n  vmConfig: {{env: [{variables}]}}\n  pluginConfig:\n{}",
            crate::support::indent(&policy, 4)
        )
    };
    let gateway = |variables: &str| {
        format!(
            "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyExtensionPolicy\nmetadata: {{name: portcullis}}\nspec:\n  wasm:\n    - name: portcullis\n      env: {{hostKeys: [{variables}]}}\n      config:\n{}",
            crate::support::indent(&policy, 8)
        )
    };
    for (text, code, finding) in [
        (istio("{name: ORDERS, valueFrom: HOST}"), 0, "0 errors, 0 warnings"),
        (istio("{name: ORDERS, value: c2VjcmV0}"), 0, "warning[secret_written]"),
        (istio("{name: OTHER, valueFrom: HOST}"), 1, "error[secret_not_given]"),
        (gateway("ORDERS"), 0, "0 errors, 0 warnings"),
        (gateway("OTHER"), 1, "error[secret_not_given]"),
    ] {
        let ran = check(&text);
        assert_eq!(ran.code, code, "{}", ran.out);
        assert!(ran.out.contains(finding), "`{finding}` in {}", ran.out);
    }
}
