//! Whose address the policy judges, and whether the connection manager gives it that address.

use crate::find::any_type;
use crate::read::Tree;

use super::envoy::{Guard, Manager};
use super::finding::{Findings, code};

pub(super) fn check(manager: &Manager<'_>, findings: &mut Findings) {
    for guard in &manager.guards {
        if guard.policy.needs().source_address {
            client_address(manager, guard, findings);
        }
        country_header(manager, guard, findings);
    }
}

/// What decides which address Envoy takes for the caller's.
fn client_address(manager: &Manager<'_>, guard: &Guard<'_>, findings: &mut Findings) {
    let tree = manager.tree;
    let source = guard.found.content.path(&["client_address", "source"]).and_then(Tree::text);
    let source = source.unwrap_or("peer");
    let remote = tree.field_is_true("use_remote_address");
    let hops = !matches!(tree.field_text("xff_num_trusted_hops"), "" | "0");
    let detection = tree.field("original_ip_detection_extensions");
    let detected = detection.is_some_and(|list| !list.items().is_empty());
    let mut contradict = |path: &str, why: &str| {
        let message = format!("`client_address` is `{source}`, but {why}");
        findings.error(manager.site(), path, code::CLIENT_ADDRESS_CONTRADICTED, message);
    };
    match source {
        "envoy" if !remote && !detected => contradict(
            "/use_remote_address",
            "without `use_remote_address: true` Envoy's answer is what the caller wrote into \
             `x-forwarded-for`",
        ),
        "envoy" => {}
        _ if detected => contradict(
            "/original_ip_detection_extensions",
            "these extensions replace the peer's address by one from a header",
        ),
        _ if !remote => contradict(
            "/use_remote_address",
            "without `use_remote_address: true` Envoy replaces the peer's address by the caller's \
             own `x-forwarded-for`, and every request that has one is refused",
        ),
        _ if hops => contradict(
            "/xff_num_trusted_hops",
            "with `xff_num_trusted_hops` Envoy replaces the peer's address by one from \
             `x-forwarded-for`",
        ),
        "forwarded_for" if tree.field_is_true("skip_xff_append") => contradict(
            "/skip_xff_append",
            "with `skip_xff_append: true` Envoy does not append the entry of the peer that the \
             filter drops",
        ),
        _ => {}
    }
}

/// The country is believed, so no caller may send it.
fn country_header(manager: &Manager<'_>, guard: &Guard<'_>, findings: &mut Findings) {
    let content = &guard.found.content;
    let networks = content.member("networks").map(Tree::members).unwrap_or_default();
    let used = networks.iter().any(|network| network.value.member("countries").is_some());
    let header = content.member("country_header").and_then(Tree::text);
    let Some(header) = header.filter(|_| used) else { return };
    if !removed_early(manager.tree, header) {
        let message = format!("a caller can send the country header `{header}` itself");
        findings.error(manager.site(), "", code::COUNTRY_HEADER_KEPT, message);
    }
    let before = manager.filters().take_while(|entry| !manager.guarded(entry));
    let geoip = before
        .map(|entry| any_type(entry.tree.field("typed_config")).to_owned())
        .any(|kind| kind.contains(".filters.http.geoip."));
    if !geoip {
        let message = format!("nothing before the filter sets the country header `{header}`");
        findings.warning(manager.site(), "/http_filters", code::COUNTRY_HEADER_UNSET, message);
    }
}

fn removed_early(manager: &Tree, header: &str) -> bool {
    let is_header = |tree: Option<&Tree>| {
        tree.and_then(Tree::text).is_some_and(|text| text.eq_ignore_ascii_case(header))
    };
    let extensions = manager.field("early_header_mutation_extensions");
    extensions.map(Tree::items).unwrap_or_default().iter().any(|extension| {
        let mutations = extension.path(&["typed_config", "mutations"]);
        mutations.map(Tree::items).unwrap_or_default().iter().any(|mutation| {
            let matched = mutation.path(&["remove_on_match", "key_matcher"]);
            let prefix = matched.map_or("", |matcher| matcher.field_text("prefix"));
            is_header(mutation.field("remove"))
                || is_header(matched.and_then(|matcher| matcher.field("exact")))
                || (!prefix.is_empty() && header.starts_with(&prefix.to_ascii_lowercase()))
        })
    })
}
