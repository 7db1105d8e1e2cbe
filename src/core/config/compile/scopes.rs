//! Scopes, roles, and the sets that consumers and keys hold.

use std::collections::BTreeMap;

use super::super::diagnostic::{Report, Shown, code};
use super::super::place::Place;
use super::super::suggest;
use super::names::Names;
use super::read;
use crate::authz::{Requirement, ScopeId, ScopeSetId, ScopeTable};
use crate::lookup::Lookup;
use crate::node::Node;
use crate::sorted::sort;

/// The scopes of a policy.
pub(super) struct Scopes<'n> {
    /// In alphabetical order, so that a set is written alike whatever the order of the document.
    names: Vec<&'n str>,
    roles: Names<'n>,
    /// The scopes of each role.
    of_role: Vec<Vec<ScopeId>>,
    sets: BTreeMap<Vec<ScopeId>, ScopeSetId>,
    /// Which of them some consumer holds.
    held: Vec<bool>,
}

impl<'n> Scopes<'n> {
    /// Every scope that the document names.
    pub(super) fn collect(document: &'n Node<'n>, report: &mut Report) -> Self {
        let mut names = Vec::new();
        let roles = document.member("roles").map(Node::members).unwrap_or_default();
        names.extend(roles.iter().flat_map(|(_, role)| role.items()).filter_map(Node::as_text));
        for consumer in read::items(document, "consumers") {
            names.extend(read::texts(consumer, "scopes").map(|(_, scope)| scope));
            for key in read::items(consumer, "api_keys") {
                names.extend(read::texts(key, "scopes").map(|(_, scope)| scope));
            }
        }
        for route in read::items(document, "routes") {
            let required = route.member("scopes").unwrap_or(&Node::Null);
            for field in ["all_of", "any_of"] {
                names.extend(read::texts(required, field).map(|(_, scope)| scope));
            }
        }
        sort(&mut names);
        names.dedup();
        let mut scopes = Self {
            held: vec![false; names.len()],
            names,
            roles: Names::new(document, "roles", "role", report),
            of_role: Vec::new(),
            sets: BTreeMap::new(),
        };
        let of_role = scopes.roles.nodes().map(|(_, role)| scopes.ids(role.items()));
        scopes.of_role = of_role.collect();
        scopes
    }

    fn id(&self, name: &str) -> Option<ScopeId> {
        let found = self.names.binary_search(&name).ok()?;
        u32::try_from(found).ok().map(ScopeId)
    }

    /// Whether some consumer holds a scope; one that cannot be a scope was reported with the shape.
    fn is_held(&self, name: &str) -> bool {
        let at = self.id(name).and_then(|id| usize::try_from(id.0).ok());
        at.is_none_or(|at| self.held.get(at).copied().unwrap_or(false))
    }

    fn ids(&self, list: &[Node<'_>]) -> Vec<ScopeId> {
        let names = list.iter().filter_map(Node::as_text);
        let mut ids: Vec<_> = names.filter_map(|name| self.id(name)).collect();
        sort(&mut ids);
        ids.dedup();
        ids
    }

    /// The scopes of a consumer: those of its roles and its own.
    pub(super) fn of_consumer(
        &mut self,
        consumer: &Node<'_>,
        place: &Place<'_>,
        report: &mut Report,
    ) -> (Vec<ScopeId>, ScopeSetId) {
        let mut ids = self.ids(read::items(consumer, "scopes"));
        let list = place.field("roles");
        for (index, role) in read::texts(consumer, "roles") {
            let position = self.roles.resolve(role, &list.item(index), report);
            let scopes = position.and_then(|at| self.of_role.get(usize::from(at)));
            ids.extend(scopes.into_iter().flatten());
        }
        sort(&mut ids);
        ids.dedup();
        for id in &ids {
            if let Some(held) = usize::try_from(id.0).ok().and_then(|at| self.held.get_mut(at)) {
                *held = true;
            }
        }
        let set = self.set(ids.clone());
        (ids, set)
    }

    /// The scopes of a key, which narrow those of its consumer.
    pub(super) fn of_key(
        &mut self,
        key: &Node<'_>,
        consumer: &(Vec<ScopeId>, ScopeSetId),
        place: &Place<'_>,
        report: &mut Report,
    ) -> ScopeSetId {
        let (held, whole) = consumer;
        if key.member("scopes").is_none() {
            return *whole;
        }
        let mut ids = Vec::new();
        for (index, name) in read::texts(key, "scopes") {
            let id = self.id(name).filter(|id| held.binary_search(id).is_ok());
            ids.extend(id);
            if id.is_none() {
                let message = "the consumer does not hold this scope, so its key does not either";
                let place = place.field("scopes");
                report.warning(code::SCOPE_UNHELD, &place.item(index), message, "");
            }
        }
        sort(&mut ids);
        self.set(ids)
    }

    fn set(&mut self, ids: Vec<ScopeId>) -> ScopeSetId {
        let next = ScopeSetId(u32::try_from(self.sets.len()).unwrap_or(u32::MAX));
        *self.sets.entry(ids).or_insert(next)
    }

    /// The scopes of a role.
    pub(super) fn role(
        &self,
        name: &str,
        place: &Place<'_>,
        report: &mut Report,
    ) -> Option<&[ScopeId]> {
        let position = self.roles.resolve(name, place, report)?;
        self.of_role.get(usize::from(position)).map(Vec::as_slice)
    }

    /// Every role by its name. All count as used.
    pub(super) fn all_roles(&self) -> Lookup<Box<[ScopeId]>> {
        self.roles.mark_all();
        let roles = self.roles.iter().zip(&self.of_role);
        roles.map(|(name, ids)| (name, ids.as_slice().into())).collect()
    }

    /// What a route asks for; scopes that nobody holds are reported, unless a token may hold any.
    pub(super) fn requirement(
        &self,
        route: &Node<'_>,
        takes_tokens: bool,
        place: &Place<'_>,
        report: &mut Report,
    ) -> Requirement {
        let Some(node) = route.member("scopes") else { return Requirement::None };
        let outer = place.field("scopes");
        for field in ["all_of", "any_of"] {
            let list = outer.field(field);
            for (index, name) in read::texts(node, field) {
                if !takes_tokens && !self.is_held(name) {
                    let message = format!("no consumer holds the scope {}", Shown(name));
                    let held = self.names.iter().zip(&self.held).filter(|(_, held)| **held);
                    let close = suggest::closest(name, held.map(|(name, _)| *name));
                    let help =
                        close.map(|scope| format!("did you mean `{scope}`?")).unwrap_or_default();
                    report.warning(code::SCOPE_UNHELD, &list.item(index), message, help);
                }
            }
        }
        if node.member("any_of").is_some() {
            Requirement::AnyOf(self.ids(read::items(node, "any_of")).into())
        } else {
            Requirement::AllOf(self.ids(read::items(node, "all_of")).into())
        }
    }

    pub(super) fn report_unused(&self, report: &mut Report) {
        self.roles.report_unused(report);
    }

    pub(super) fn finish(self) -> ScopeTable {
        let mut sets: Vec<_> = self.sets.into_iter().map(|(ids, id)| (id, ids)).collect();
        sort(&mut sets);
        let names = self.names.iter().map(|name| Box::from(*name)).collect();
        ScopeTable::new(names, sets.into_iter().map(|(_, ids)| ids).collect())
    }
}
