//! What limits of a fleet need around the policy: the cluster of the rate limit service, speaking HTTP/2, or
//! Envoy's own filter in its place.

use crate::find::any_type;
use crate::read::{Source, Tree};

use super::envoy::{Guard, Manager};
use super::finding::{Findings, Site, code};
use super::tokens::clusters;

pub(super) fn check(source: &Source, guards: &[Guard<'_>], findings: &mut Findings) {
    const PATH: &str = "/fleet/cluster";
    let Some(clusters) = clusters(source) else { return };
    for guard in guards {
        let found = guard.found;
        let Some(root) = source.documents.get(found.document) else { continue };
        let site = Site { document: found.document, root, pointer: &found.pointer };
        let name = found.content.member("fleet").and_then(|fleet| fleet.member("cluster"));
        let Some(name) = name.and_then(Tree::text) else { continue };
        match clusters.iter().find(|cluster| cluster.field_text("name") == name) {
            None => {
                let message = format!("no cluster of this file is named `{}`", name.escape_debug());
                findings.warning(site, PATH, code::FLEET_CLUSTER_UNKNOWN, message);
            }
            Some(cluster) if speaks_http1(cluster) => {
                let message = format!("cluster `{}` speaks HTTP/1.1", name.escape_debug());
                findings.error(site, PATH, code::FLEET_CLUSTER_HTTP1, message);
            }
            Some(_) => {}
        }
    }
}

/// Envoy's filter can count by what is handed over where it stands behind, and nowhere else.
pub(super) fn order(manager: &Manager<'_>, findings: &mut Findings) {
    let hands_over = |guard: &&Guard<'_>| guard.found.content.member("hand_over").is_some();
    for guard in manager.guards.iter().filter(hands_over) {
        let is_here = |pointer: &str| guard.found.is_within(manager.document, pointer);
        let asks = |tree| any_type(tree).contains(".filters.http.ratelimit.");
        let (mut before, mut is_behind) = (None, false);
        for entry in manager.filters() {
            is_behind |= is_here(&entry.pointer);
            if asks(entry.tree.field("typed_config")) {
                if is_behind {
                    before = None;
                    break;
                }
                before = Some(entry.pointer);
            }
        }
        if let Some(pointer) = before {
            let site = Site { pointer: &pointer, ..manager.site() };
            let message = "the filter that tells who calls stands behind it".to_owned();
            findings.error(site, "", code::RATELIMIT_BEFORE_FILTER, message);
        }
    }
}

/// Whether a cluster is sure to speak HTTP/1.1 alone.
fn speaks_http1(cluster: &Tree) -> bool {
    const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    if cluster.field("http2_protocol_options").is_some() {
        return false;
    }
    let options = cluster.field("typed_extension_protocol_options");
    let Some(options) = options.and_then(|options| options.member(OPTIONS)) else { return true };
    match options.field("explicit_http_config") {
        Some(explicit) => {
            explicit.field("http2_protocol_options").is_none()
                && explicit.field("http3_protocol_options").is_none()
        }
        // The protocol of the caller, or what the two agree on.
        None => false,
    }
}
