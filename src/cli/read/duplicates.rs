//! Members of one name: every reader of Envoy's and Kubernetes' silently lets the last win.

use std::collections::HashMap;

use super::tree::{Member, Tree};

/// The members that a reader keeps, in the order in which they were written.
pub(super) fn last_of_each(members: &[Member]) -> impl Iterator<Item = &Member> {
    let last = positions(members);
    members
        .iter()
        .enumerate()
        .filter(move |(index, member)| last.get(member.name.as_str()) == Some(index))
        .map(|(_, member)| member)
}

/// The members of one map that a later one of the same name hides.
pub(crate) fn hidden(tree: &Tree) -> Vec<&Member> {
    let members = tree.members();
    let last = positions(members);
    if last.len() == members.len() {
        return Vec::new();
    }
    members
        .iter()
        .enumerate()
        .filter(|(index, member)| last.get(member.name.as_str()) != Some(index))
        .map(|(_, member)| member)
        .collect()
}

fn positions(members: &[Member]) -> HashMap<&str, usize> {
    members.iter().enumerate().map(|(index, member)| (member.name.as_str(), index)).collect()
}
