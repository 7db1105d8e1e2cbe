//! What must hold of the plugin configuration around a policy, whoever's language it is in.

use std::collections::HashMap;

use crate::find::{Found, Host, plugins};
use crate::read::{Source, Tree};

use super::envoy::Guard;
use super::finding::{Findings, Site, code};

pub(super) fn check(
    source: &Source,
    all: &[Found<'_>],
    guards: &[Guard<'_>],
    findings: &mut Findings,
) {
    for found in all {
        fails_open(source, found, findings);
    }
    shared_vm(source, all, findings);
    shared_gateway(source, guards, findings);
}

/// A trap of the filter, or of its virtual machine, must not let requests through.
fn fails_open(source: &Source, found: &Found<'_>, findings: &mut Findings) {
    let Some(plugin) = &found.plugin else { return };
    let Some(root) = source.documents.get(found.document) else { return };
    let site = Site { document: found.document, root, pointer: &plugin.pointer };
    let says = |name: &str, values: &[&str]| values.contains(&plugin.tree.field_text(name));
    let open = match plugin.host {
        Host::Envoy if plugin.tree.field_is_true("fail_open") => Some("/fail_open"),
        Host::Envoy if says("failure_policy", &["FAIL_OPEN", "3"]) => Some("/failure_policy"),
        Host::Istio if says("failStrategy", &["FAIL_OPEN", "1"]) => Some("/failStrategy"),
        Host::EnvoyGateway if plugin.tree.field_is_true("failOpen") => Some("/failOpen"),
        _ => None,
    };
    if let Some(path) = open {
        let message = "when the filter fails, requests pass without any check".to_owned();
        findings.error(site, path, code::FAILS_OPEN, message);
    }
}

/// Shared data is per `vm_id`, and an empty one is shared by all plugins that set none.
fn shared_vm(source: &Source, all: &[Found<'_>], findings: &mut Findings) {
    let mut others = Vec::new();
    for (document, tree) in source.documents.iter().enumerate() {
        tree.visit(&mut String::new(), &mut |pointer, tree| {
            for plugin in plugins(pointer, tree) {
                let ours = all.iter().any(|found| found.is_within(document, &plugin.pointer));
                if plugin.host == Host::Envoy && !ours {
                    others.push(vm_id(plugin.tree));
                }
            }
        });
    }
    for found in all {
        let Some(plugin) = found.plugin.as_ref() else { continue };
        let Some(root) = source.documents.get(found.document) else { continue };
        if plugin.host == Host::Envoy && others.contains(&vm_id(plugin.tree)) {
            let site = Site { document: found.document, root, pointer: &plugin.pointer };
            let path = if vm_id(plugin.tree).is_empty() { "" } else { "/vm_config/vm_id" };
            let message = "another Wasm plugin of this file has the same `vm_id`".to_owned();
            findings.warning(site, path, code::VM_ID_SHARED, message);
        }
    }
}

fn vm_id(plugin: &Tree) -> &str {
    plugin.field("vm_config").map_or("", |vm| vm.field_text("vm_id"))
}

/// Two different policies of one gateway name spend from the same buckets.
fn shared_gateway(source: &Source, guards: &[Guard<'_>], findings: &mut Findings) {
    let mut first: HashMap<&str, &str> = HashMap::new();
    for guard in guards {
        let (gateway, revision) = (guard.policy.gateway(), guard.policy.revision());
        let Some(root) = source.documents.get(guard.found.document) else { continue };
        if *first.entry(gateway).or_insert(revision) != revision {
            let site = Site { document: guard.found.document, root, pointer: &guard.found.pointer };
            let message = format!("another policy of this file has the gateway name `{gateway}`");
            findings.warning(site, "/gateway", code::GATEWAY_SHARED, message);
        }
    }
}
