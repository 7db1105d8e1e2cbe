//! Scopes: what a principal may do and what a route asks for.

use std::cmp::Ordering;

use crate::bytes::same;
use crate::sorted::{sort, sort_by};

/// Position of a scope in its [`ScopeTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ScopeId(pub(crate) u32);

/// Position of a set of scopes in its [`ScopeTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ScopeSetId(pub(crate) u32);

/// Some scopes, and how they are written to an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScopeSet {
    /// By position, each once.
    members: Vec<ScopeId>,
    /// The scopes by name, with single spaces between (RFC 6749 section 3.3).
    text: Box<str>,
}

impl ScopeSet {
    /// A set with its text as it is given.
    pub(crate) fn new(members: Vec<ScopeId>, text: String) -> Self {
        Self { members: in_order(members), text: text.into() }
    }

    pub(crate) fn contains(&self, scope: ScopeId) -> bool {
        self.members.binary_search(&scope).is_ok()
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// By position, each once.
fn in_order(mut members: Vec<ScopeId>) -> Vec<ScopeId> {
    if !members.is_sorted() {
        sort(&mut members);
    }
    members.dedup();
    members
}

/// Every scope and every set of scopes of a policy. Scopes are compared as whole words, with case:
/// two are equal when their positions are.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScopeTable {
    names: Box<[Box<str>]>,
    /// The scopes in the [`order`] of their names.
    by_name: Box<[ScopeId]>,
    sets: Box<[ScopeSet]>,
    empty: ScopeSet,
}

impl ScopeTable {
    pub(crate) fn new(names: Vec<Box<str>>, sets: Vec<Vec<ScopeId>>) -> Self {
        let mut table = Self { names: names.into(), ..Self::default() };
        let mut by_name: Vec<ScopeId> =
            (0..).zip(&table.names).map(|(position, _)| ScopeId(position)).collect();
        sort_by(&mut by_name, |one, other| order(table.name(*one), table.name(*other)));
        table.by_name = by_name.into();
        table.sets = sets.into_iter().map(|members| table.set_of(members)).collect();
        table
    }

    /// A set with its text, sorted by position.
    pub(crate) fn set_of(&self, members: Vec<ScopeId>) -> ScopeSet {
        let members = in_order(members);
        let lengths = members.iter().map(|id| self.name(*id).len().saturating_add(1));
        let length = lengths.fold(0, usize::saturating_add).saturating_sub(1);
        // As long as it gets, so that no end of it is to be given back.
        let mut text = String::with_capacity(length);
        for id in &members {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(self.name(*id));
        }
        ScopeSet { members, text: text.into() }
    }

    /// The scope of a name.
    pub(crate) fn find(&self, name: &str) -> Option<ScopeId> {
        let is_it = |own: &str| same(own.as_bytes(), name.as_bytes());
        let compare = |own: &str| if is_it(own) { Ordering::Equal } else { order(own, name) };
        let at = self.by_name.binary_search_by(|id| compare(self.name(*id))).ok()?;
        self.by_name.get(at).copied()
    }

    pub(crate) fn name(&self, scope: ScopeId) -> &str {
        usize::try_from(scope.0).ok().and_then(|at| self.names.get(at)).map_or("", |name| name)
    }

    /// The set; an empty one where the position is of another policy.
    pub(crate) fn set(&self, id: ScopeSetId) -> &ScopeSet {
        usize::try_from(id.0).ok().and_then(|at| self.sets.get(at)).unwrap_or(&self.empty)
    }

    /// The set of no scopes.
    pub(crate) fn empty(&self) -> &ScopeSet {
        &self.empty
    }

    pub(crate) fn names_of(
        &self,
        scopes: impl Iterator<Item = ScopeId>,
    ) -> impl Iterator<Item = &str> {
        scopes.map(|scope| self.name(scope))
    }
}

/// Shorter names first: most are told apart without being read.
fn order(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// What a route asks of a principal's scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// Nothing: any principal will do.
    #[default]
    None,
    /// Every one of these.
    AllOf(Box<[ScopeId]>),
    /// At least one of these.
    AnyOf(Box<[ScopeId]>),
}

impl Requirement {
    /// The scopes named, in the policy's order.
    pub(crate) fn scopes(&self) -> &[ScopeId] {
        match self {
            Self::None => &[],
            Self::AllOf(scopes) | Self::AnyOf(scopes) => scopes,
        }
    }

    /// Which scopes are missing: of `all_of` those not held, of `any_of` all, where none is held.
    pub(crate) fn missing(&self, held: &ScopeSet) -> Vec<ScopeId> {
        match self {
            Self::AnyOf(scopes) if scopes.iter().any(|scope| held.contains(*scope)) => Vec::new(),
            Self::AnyOf(scopes) => scopes.to_vec(),
            Self::None | Self::AllOf(_) => {
                self.scopes().iter().copied().filter(|scope| !held.contains(*scope)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn all_of_and_any_of() {
        let [a, b, c] = [ScopeId(0), ScopeId(1), ScopeId(2)];
        let names = ["orders:read", "orders:write", "admin"].map(Box::from).to_vec();
        let table = ScopeTable::new(names, vec![vec![b, a, a], vec![]]);
        let held = table.set(ScopeSetId(0));
        assert_eq!(held.text(), "orders:read orders:write");
        assert_eq!(Requirement::AllOf([a, c].into()).missing(held), [c]);
        assert_eq!(Requirement::AnyOf([a, c].into()).missing(held), []);
        assert_eq!(Requirement::AnyOf([c].into()).missing(held), [c]);
        assert_eq!(Requirement::None.missing(table.set(ScopeSetId(1))), []);
        assert_eq!(table.set(ScopeSetId(9)).text(), "");
    }
}
