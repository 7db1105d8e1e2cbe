//! What tokens need around the policy: the clusters that issuers' keys come from, and the variables
//! that hold secrets.

use crate::find::{Host, Plugin, any_type};
use crate::read::{Source, Tree};

use super::envoy::Guard;
use super::finding::{Findings, Site, code};

pub(super) fn check(source: &Source, guards: &[Guard<'_>], findings: &mut Findings) {
    let clusters = clusters(source);
    for guard in guards {
        let found = guard.found;
        let Some(root) = source.documents.get(found.document) else { continue };
        let site = Site { document: found.document, root, pointer: &found.pointer };
        let issuers = found.content.member("issuers").map(Tree::items).unwrap_or_default();
        for (index, issuer) in issuers.iter().enumerate() {
            let Some(keys) = issuer.member("keys") else { continue };
            let path = format!("/issuers/{index}/keys");
            if let (Some(name), Some(clusters)) = (keys.member("cluster"), &clusters) {
                let name = name.text().unwrap_or_default();
                let path = format!("{path}/cluster");
                cluster(name, clusters, (site, &path), findings);
            }
            let Some(plugin) = &found.plugin else { continue };
            let secrets = keys.member("secrets").map(Tree::items).unwrap_or_default();
            for (index, name) in secrets.iter().enumerate() {
                let path = format!("{path}/secrets/{index}");
                secret(name.text().unwrap_or_default(), plugin, (site, &path), findings);
            }
        }
    }
}

/// The static clusters of a file; `None` where it has no list of them, or may have others.
pub(super) fn clusters(source: &Source) -> Option<Vec<&Tree>> {
    let lists = source.documents.iter().filter_map(|root| {
        let dynamic = root.path(&["dynamic_resources", "cds_config"]).is_some();
        root.path(&["static_resources", "clusters"]).filter(|_| !dynamic)
    });
    let lists: Vec<_> = lists.collect();
    (!lists.is_empty()).then(|| lists.into_iter().flat_map(Tree::items).collect())
}

/// Keys come from a cluster that exists, and from nobody who only says that he is the issuer.
fn cluster(
    name: &str,
    clusters: &[&Tree],
    (site, path): (Site<'_>, &str),
    findings: &mut Findings,
) {
    let Some(cluster) = clusters.iter().find(|cluster| cluster.field_text("name") == name) else {
        let message = format!("no cluster of this file is named `{}`", name.escape_debug());
        findings.warning(site, path, code::KEYS_CLUSTER_UNKNOWN, message);
        return;
    };
    if let Some(why) = unauthenticated(cluster) {
        let message = format!("keys come from cluster `{}`, {why}", name.escape_debug());
        findings.warning(site, path, code::KEYS_UNAUTHENTICATED, message);
    }
}

/// Why somebody else could answer in the place of a cluster's hosts.
fn unauthenticated(cluster: &Tree) -> Option<&'static str> {
    const PINS: [&str; 2] = ["verify_certificate_spki", "verify_certificate_hash"];
    // `system_root_certs` is for gRPC's own clients: Envoy ignores it.
    const ROOTS: [&str; 2] = ["trusted_ca", "custom_validator_config"];
    const NAMES: [&str; 2] = ["match_typed_subject_alt_names", "match_subject_alt_names"];
    if is_local(cluster) || cluster.field("transport_socket_matches").is_some() {
        return None;
    }
    let socket = cluster.path(&["transport_socket", "typed_config"]);
    let Some(tls) = socket.filter(|socket| any_type(Some(socket)).ends_with(".UpstreamTlsContext"))
    else {
        // Other sockets than TLS may well authenticate; only its absence is sure.
        return socket.is_none().then_some("without TLS");
    };
    let common = tls.field("common_tls_context");
    let context = |path: &[&str]| common.and_then(|common| common.path(path));
    let combined = context(&["combined_validation_context"]);
    if combined.is_some() || context(&["validation_context_sds_secret_config"]).is_some() {
        return None;
    }
    let validation = context(&["validation_context"]);
    let has = |names: &[&str]| {
        names.iter().any(|name| validation.is_some_and(|context| context.field(name).is_some()))
    };
    if has(&PINS) {
        None
    } else if !has(&ROOTS) {
        Some("and Envoy verifies no certificate of it")
    } else if !has(&NAMES) && !tls.field_is_true("auto_sni_san_validation") {
        Some("and a certificate of any name will do")
    } else {
        None
    }
}

/// Whether every host of a cluster is this machine.
fn is_local(cluster: &Tree) -> bool {
    let mut addresses = Vec::new();
    if let Some(assignment) = cluster.field("load_assignment") {
        assignment.visit(&mut String::new(), &mut |_, tree| {
            addresses.extend(tree.field("pipe").map(|_| true));
            addresses.extend(tree.field("socket_address").map(|socket| {
                let address = socket.field_text("address");
                address.starts_with("127.") || matches!(address, "::1" | "localhost")
            }));
        });
    }
    !addresses.is_empty() && addresses.iter().all(|local| *local)
}

/// The virtual machine sees no variable of the host that it is not given.
fn secret(
    name: &str,
    plugin: &Plugin<'_>,
    (site, path): (Site<'_>, &str),
    findings: &mut Findings,
) {
    // A secret may stand in the place of a name: it is not repeated.
    match variable(name, plugin) {
        Some(Variable::OfHost) => {}
        Some(Variable::Written) => {
            let message = "the secret is written in the configuration".to_owned();
            findings.warning(site, path, code::SECRET_WRITTEN, message);
        }
        None => {
            let message = "the filter is not given this variable".to_owned();
            findings.error(site, path, code::SECRET_NOT_GIVEN, message);
        }
    }
}

/// Where a virtual machine has a variable from.
enum Variable {
    OfHost,
    Written,
}

fn variable(name: &str, plugin: &Plugin<'_>) -> Option<Variable> {
    let lists = |list: Option<&Tree>| {
        let items = list.map(Tree::items).unwrap_or_default();
        items.iter().any(|item| item.text() == Some(name)).then_some(Variable::OfHost)
    };
    match plugin.host {
        Host::Envoy => {
            let variables = plugin.tree.path(&["vm_config", "environment_variables"])?;
            let written = variables.field("key_values").and_then(|values| values.member(name));
            lists(variables.field("host_env_keys")).or(written.map(|_| Variable::Written))
        }
        Host::Istio => {
            let all = plugin.tree.path(&["vmConfig", "env"]).map(Tree::items).unwrap_or_default();
            let variable = all.iter().find(|variable| variable.field_text("name") == name)?;
            let of_host = matches!(variable.field_text("valueFrom"), "HOST" | "1");
            Some(if of_host { Variable::OfHost } else { Variable::Written })
        }
        Host::EnvoyGateway => lists(plugin.tree.path(&["env", "hostKeys"])),
    }
}
