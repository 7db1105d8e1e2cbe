//! What Envoy's own routes must not do: match on what the filter edits, or switch the filter off.

use crate::find::any_type;
use crate::read::{Member, Source, Tree, escape};

use super::envoy::{Guard, Manager};
use super::finding::{Findings, Site, code};

pub(super) fn check(
    source: &Source,
    guards: &[Guard<'_>],
    managers: &[Manager<'_>],
    findings: &mut Findings,
) {
    for (document, root) in source.documents.iter().enumerate() {
        root.visit(&mut String::new(), &mut |pointer, tree| {
            let site = Site { document, root, pointer };
            // Routes in a connection manager are its own; those of their own may be anyone's.
            let around = managers.iter().find(|manager| {
                manager.document == document && pointer.starts_with(&manager.pointer)
            });
            let guards = around.map_or(guards, |manager| manager.guards.as_slice());
            if is_match(pointer, tree) {
                matches(tree, site, guards, findings);
            }
            disabled(tree, site, managers, findings);
        });
    }
}

/// Whether a value says which requests a route takes: `match` of Envoy, `match/0` of Istio,
/// `matches/0` of the Gateway API, or an input of Envoy's generic matcher.
fn is_match(pointer: &str, tree: &Tree) -> bool {
    let field = pointer.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('/');
    field.ends_with("/match")
        || field.ends_with("/matches")
        || (pointer.contains("/virtual_hosts/") && any_type(Some(tree)).ends_with(HEADER_INPUT))
}

const HEADER_INPUT: &str = "HttpRequestHeaderMatchInput";

/// Something that a route matches on.
struct Matched<'t> {
    path: String,
    name: &'t str,
}

fn matches(tree: &Tree, site: Site<'_>, guards: &[Guard<'_>], findings: &mut Findings) {
    for header in headers(tree) {
        if guards.iter().any(|guard| edits_header(guard, header.name)) {
            let message = format!("a route matches on the header `{}`", shown(header.name));
            findings.error(site, &header.path, code::ROUTE_ON_FILTER_HEADER, message);
        }
    }
    for parameter in named(tree, &["query_parameters", "queryParams"]) {
        if guards.iter().any(|guard| takes_key_from(guard, "query", parameter.name)) {
            let message = "a route matches on the query parameter of the API key".to_owned();
            findings.error(site, &parameter.path, code::ROUTE_ON_FILTER_HEADER, message);
        }
    }
}

/// The headers that a value matches on, if it is a match of Envoy, Istio or the Gateway API.
fn headers(tree: &Tree) -> Vec<Matched<'_>> {
    let is_input = any_type(Some(tree)).ends_with(HEADER_INPUT);
    match tree.field("header_name").and_then(Tree::text) {
        Some(name) if is_input => vec![Matched { path: "/header_name".to_owned(), name }],
        _ => named(tree, &["headers", "withoutHeaders"]),
    }
}

/// What fields name: Envoy and the Gateway API list matchers with a `name`, Istio maps names to them.
fn named<'t>(tree: &'t Tree, fields: &[&str]) -> Vec<Matched<'t>> {
    let mut all = Vec::new();
    for (field, matchers) in fields.iter().filter_map(|field| Some((field, tree.field(field)?))) {
        for (at, matcher) in matchers.items().iter().enumerate() {
            if let Some(name) = matcher.member("name").and_then(Tree::text) {
                all.push(Matched { path: format!("/{field}/{at}"), name });
            }
        }
        for Member { name, .. } in matchers.members() {
            all.push(Matched { path: format!("/{field}/{}", escape(name)), name });
        }
    }
    all
}

fn edits_header(guard: &Guard<'_>, name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    guard.policy.is_edited(lower.as_bytes())
}

fn takes_key_from(guard: &Guard<'_>, kind: &str, name: &str) -> bool {
    sources(guard).any(|source| source.member(kind).and_then(Tree::text) == Some(name))
}

fn sources<'g>(guard: &'g Guard<'_>) -> impl Iterator<Item = &'g Tree> {
    let sections = ["api_key", "jwt"].into_iter();
    sections.filter_map(|name| guard.found.content.path(&[name, "sources"])).flat_map(Tree::items)
}

/// A route can switch any filter off by its name.
fn disabled(tree: &Tree, site: Site<'_>, managers: &[Manager<'_>], findings: &mut Findings) {
    let overrides = tree.field("typed_per_filter_config").map(Tree::members).unwrap_or_default();
    for member in overrides {
        let ours = managers.iter().any(|manager| {
            let mut filters = manager.filters();
            filters.any(|entry| {
                entry.tree.field_text("name") == member.name && manager.guarded(&entry)
            })
        });
        if ours && member.value.field_is_true("disabled") {
            let path = format!("/typed_per_filter_config/{}/disabled", escape(&member.name));
            let message = "a route switches the filter off".to_owned();
            findings.warning(site, &path, code::FILTER_DISABLED, message);
        }
    }
}

/// A name of the file as it may be printed.
fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}
