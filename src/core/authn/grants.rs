//! What a verified token may do: its scopes, and those of its roles.

use super::issuer::Issuer;
use crate::authz::{ScopeId, ScopeSet, ScopeTable};
use crate::node::Node;
use crate::sorted::sort;

/// The token's scopes and those of its roles, as they are known to the policy. Words that the policy
/// does not know grant nothing; they are kept in the text for the upstream.
pub(crate) fn scopes(claims: &Node<'_>, rules: &Issuer, table: &ScopeTable) -> ScopeSet {
    let mut words = Vec::new();
    each_word(rules.scopes.find(claims), &mut |word| {
        if is_scope_token(word) {
            words.push(word);
        }
    });
    each_of_roles(claims, rules, &mut |scope| words.push(table.name(scope)));
    if !words.is_sorted() {
        sort(&mut words);
    }
    words.dedup();
    ScopeSet::new(known(claims, rules, table), &words.join(" "))
}

/// Those of them that the policy knows, in any order. What the policy knows is a scope-token.
pub(crate) fn known(claims: &Node<'_>, rules: &Issuer, table: &ScopeTable) -> Vec<ScopeId> {
    let mut known = Vec::new();
    each_word(rules.scopes.find(claims), &mut |word| {
        if let Some(scope) = table.find(word) {
            known.push(scope);
        }
    });
    each_of_roles(claims, rules, &mut |scope| known.push(scope));
    known
}

/// The words of a claim: of a text, what stands between single spaces (RFC 6749 section 3.3); of a
/// list, its texts. Anything else is none.
fn each_word<'n>(claim: Option<&'n Node<'_>>, take: &mut dyn FnMut(&'n str)) {
    match claim {
        Some(Node::Text(text)) => text.split(' ').for_each(take),
        Some(Node::List(items)) => items.iter().filter_map(Node::as_text).for_each(take),
        _ => {}
    }
}

/// The scopes of the token's roles.
fn each_of_roles(claims: &Node<'_>, rules: &Issuer, take: &mut dyn FnMut(ScopeId)) {
    let Some(roles) = &rules.roles else { return };
    for role in roles.path.find(claims).map(Node::items).unwrap_or_default() {
        let scopes = role.as_text().and_then(|role| roles.scopes.get(role));
        for scope in scopes.map(|scopes| &**scopes).unwrap_or_default() {
            take(*scope);
        }
    }
}

/// As the policy language has it: RFC 6749's characters but the comma, 1 to 128 of them.
fn is_scope_token(word: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',');
    (1..=128).contains(&word.len()) && word.bytes().all(good)
}
