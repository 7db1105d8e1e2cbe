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

/// Envoy's filter can count by what is handed over where it stands behind, and nowhere else. Before the filter
/// it may well count by something else, and what is handed over may be for logs: routes say what counts.
pub(super) fn order(source: &Source, managers: &[Manager<'_>], findings: &mut Findings) {
    let hands_over = |guard: &&Guard<'_>| guard.found.content.member("hand_over").is_some();
    for manager in managers {
        let mut guards = manager.guards.iter().filter(hands_over).peekable();
        if guards.peek().is_none() || !is_counted_by(source, managers, manager) {
            continue;
        }
        for guard in guards {
            if let Some(pointer) = only_before(manager, guard) {
                let site = Site { pointer: &pointer, ..manager.site() };
                let message = "it is to count by what the filter behind it hands over".to_owned();
                findings.error(site, "", code::RATELIMIT_BEFORE_FILTER, message);
            }
        }
    }
}

/// Where Envoy's filter that counts stands before a policy, if there is none behind it.
fn only_before(manager: &Manager<'_>, guard: &Guard<'_>) -> Option<String> {
    let (mut before, mut is_behind) = (None, false);
    for entry in manager.filters() {
        is_behind |= guard.found.is_within(manager.document, &entry.pointer);
        if any_type(entry.tree.field("typed_config")).contains(".filters.http.ratelimit.") {
            if is_behind {
                return None;
            }
            before = Some(entry.pointer);
        }
    }
    before
}

/// Whether rate limits of a connection manager read what is handed over. Routes in a connection manager are its
/// own; those of their own may be anyone's.
fn is_counted_by(source: &Source, managers: &[Manager<'_>], manager: &Manager<'_>) -> bool {
    let mut is_read = false;
    for (document, root) in source.documents.iter().enumerate() {
        root.visit(&mut String::new(), &mut |pointer, tree| {
            if let Some(limits) = tree.field("rate_limits") {
                let around = managers.iter().find(|around| around.holds(document, pointer));
                let is_own = around.is_none_or(|around| std::ptr::eq(around, manager));
                is_read |= is_own && reads_handed_over(limits);
            }
        });
    }
    is_read
}

/// Whether any text of a value names what the filter hands over.
fn reads_handed_over(tree: &Tree) -> bool {
    let mut reads = false;
    tree.visit(&mut String::new(), &mut |_, tree| {
        reads |= tree.text().is_some_and(|text| text.contains("wasm.portcullis."));
    });
    reads
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
