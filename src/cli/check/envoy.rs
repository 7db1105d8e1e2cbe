//! What must hold around a policy in an Envoy configuration, beyond the policy itself.

use portcullis_core::Policy;

use crate::find::{Found, any_type};
use crate::read::{Source, Tree};

use super::finding::{Findings, Site, code};
use super::{address, fleet, hardening, routes};

/// A policy that compiled, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Guard<'s> {
    pub(super) found: &'s Found<'s>,
    pub(super) policy: &'s Policy,
}

/// A connection manager and the policies in its filter chain.
pub(super) struct Manager<'s> {
    pub(super) document: usize,
    pub(super) pointer: String,
    pub(super) root: &'s Tree,
    pub(super) tree: &'s Tree,
    pub(super) guards: Vec<Guard<'s>>,
}

/// One entry of a filter chain.
pub(super) struct Entry<'s> {
    pub(super) pointer: String,
    pub(super) tree: &'s Tree,
}

impl Manager<'_> {
    pub(super) fn site(&self) -> Site<'_> {
        Site { document: self.document, root: self.root, pointer: &self.pointer }
    }

    pub(super) fn filters(&self) -> impl Iterator<Item = Entry<'_>> {
        let list = self.tree.field("http_filters").map(Tree::items).unwrap_or_default();
        list.iter().enumerate().map(|(index, tree)| Entry {
            pointer: format!("{}/http_filters/{index}", self.pointer),
            tree,
        })
    }

    /// Whether something at `pointer` of `document` is a part of it.
    pub(super) fn holds(&self, document: usize, pointer: &str) -> bool {
        self.document == document
            && pointer
                .strip_prefix(&self.pointer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether the entry holds one of the policies.
    pub(super) fn guarded(&self, entry: &Entry<'_>) -> bool {
        self.guards.iter().any(|guard| guard.found.is_within(self.document, &entry.pointer))
    }
}

/// Checks everything around the policies of a file.
pub(super) fn check(source: &Source, guards: &[Guard<'_>], findings: &mut Findings) {
    let managers = managers(source, guards);
    for manager in &managers {
        address::check(manager, findings);
        hardening::check(manager, findings);
        chain(manager, findings);
    }
    fleet::order(source, &managers, findings);
    routes::check(source, guards, &managers, findings);
}

/// Every connection manager that has the filter in its chain.
fn managers<'s>(source: &'s Source, guards: &[Guard<'s>]) -> Vec<Manager<'s>> {
    let mut all = Vec::new();
    for (document, root) in source.documents.iter().enumerate() {
        root.visit(&mut String::new(), &mut |pointer, tree| {
            if tree.field("http_filters").is_some_and(|filters| !filters.items().is_empty()) {
                let inside = guards.iter().filter(|guard| guard.found.is_within(document, pointer));
                let guards: Vec<_> = inside.copied().collect();
                if !guards.is_empty() {
                    let pointer = pointer.to_owned();
                    all.push(Manager { document, pointer, root, tree, guards });
                }
            }
        });
    }
    all
}

/// What the other filters of the chain, and the chains of upgrades, must not do.
fn chain(manager: &Manager<'_>, findings: &mut Findings) {
    let site = manager.site();
    for entry in manager.filters() {
        let here = Site { pointer: &entry.pointer, ..site };
        if manager.guarded(&entry) {
            if entry.tree.field_is_true("is_optional") {
                let message = "an optional filter is left out where it cannot be loaded".to_owned();
                findings.error(here, "/is_optional", code::FILTER_OPTIONAL, message);
            }
            if entry.tree.field_is_true("disabled") {
                let message = "the filter is disabled unless a route enables it".to_owned();
                findings.warning(here, "/disabled", code::FILTER_DISABLED, message);
            }
        } else if any_type(entry.tree.field("typed_config")).contains(".filters.http.cache.") {
            let message = "a cache is in the same filter chain".to_owned();
            findings.warning(here, "", code::CACHE_IN_CHAIN, message);
        }
    }
    let upgrades = manager.tree.field("upgrade_configs").map(Tree::items).unwrap_or_default();
    for (index, upgrade) in upgrades.iter().enumerate() {
        let path = format!("/upgrade_configs/{index}/filters");
        let pointer = format!("{}{path}", manager.pointer);
        let own = upgrade.field("filters").is_some_and(|filters| !filters.items().is_empty());
        let mut guards = manager.guards.iter();
        if own && !guards.any(|guard| guard.found.is_within(manager.document, &pointer)) {
            let message = "an upgrade has a filter chain of its own, without the filter".to_owned();
            findings.error(site, &path, code::UPGRADE_WITHOUT_FILTER, message);
        }
    }
}
