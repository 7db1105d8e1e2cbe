//! What a verified token may do: its scopes, and those of its roles.

use super::issuer::Issuer;
use crate::authz::{ScopeSet, ScopeTable};
use crate::node::Node;
use crate::sorted::sort;

/// The token's scopes and those of its roles, as they are known to the policy. Words that the policy
/// does not know grant nothing; they are kept in the text for the upstream.
pub(crate) fn scopes(claims: &Node<'_>, rules: &Issuer, table: &ScopeTable) -> ScopeSet {
    let mut words: Vec<&str> = words(rules.scopes.find(claims)).collect();
    let mut members: Vec<_> = words.iter().filter_map(|word| table.find(word)).collect();
    if let Some(roles) = &rules.roles {
        let held = roles.path.find(claims).map(Node::items).unwrap_or_default();
        let held = held.iter().filter_map(Node::as_text);
        for scope in held.filter_map(|role| roles.scopes.get(role)).flatten() {
            members.push(*scope);
            words.push(table.name(*scope));
        }
    }
    sort(&mut words);
    words.dedup();
    ScopeSet::new(members, &words.join(" "))
}

/// The scopes of a claim: of a text, what stands between single spaces (RFC 6749 section 3.3); of a
/// list, its texts. Anything else, and what is no scope-token, is none.
fn words<'n>(claim: Option<&'n Node<'_>>) -> impl Iterator<Item = &'n str> {
    let text = claim.and_then(Node::as_text).unwrap_or_default().split(' ');
    let entries = claim.map(Node::items).unwrap_or_default().iter().filter_map(Node::as_text);
    text.chain(entries).filter(|word| is_scope_token(word))
}

/// As the policy language has it: RFC 6749's characters but the comma, 1 to 128 of them.
fn is_scope_token(word: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',');
    (1..=128).contains(&word.len()) && word.bytes().all(good)
}
