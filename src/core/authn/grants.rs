//! What a verified token may do: its scopes, and those of its roles.

use super::issuer::Issuer;
use crate::authz::{ScopeId, ScopeSet, ScopeTable};
use crate::node::flat::{Kind, Value};
use crate::sorted::sort;

/// The token's scopes and those of its roles, as they are known to the policy; of a consumer's token those
/// that the consumer holds too. Words that the policy does not know grant nothing; where it is no
/// consumer's token, they are kept in the text for the upstream.
pub(crate) fn scopes(
    claims: Value<'_>,
    rules: &Issuer,
    table: &ScopeTable,
    held: Option<&ScopeSet>,
) -> ScopeSet {
    let (mut words, mut known) = (Vec::new(), Vec::new());
    each_word(rules.scopes.find(claims), |word| {
        // What the policy knows is a scope-token.
        known.extend(table.find(word));
        if held.is_none() && is_scope_token(word) {
            words.push(word);
        }
    });
    each_of_roles(claims, rules, |scope| {
        known.push(scope);
        words.push(table.name(scope));
    });
    if let Some(held) = held {
        known.retain(|scope| held.contains(*scope));
        return table.set_of(known);
    }
    if !words.is_sorted() {
        sort(&mut words);
    }
    words.dedup();
    ScopeSet::new(known, words.join(" "))
}

/// The words of a claim: of a text, what stands between single spaces (RFC 6749 section 3.3); of a
/// list, its texts. Anything else is none.
fn each_word<'c>(claim: Option<Value<'c>>, mut take: impl FnMut(&'c str)) {
    let Some(claim) = claim else { return };
    match claim.kind() {
        Kind::Text(mut text) => loop {
            // By bytes: `split` would look for a character.
            let end = text.bytes().take_while(|byte| *byte != b' ').count();
            let Some((word, rest)) = text.split_at_checked(end) else { return };
            take(word);
            let Some(rest) = rest.get(1..) else { return };
            text = rest;
        },
        Kind::List => claim.inner().filter_map(Value::as_text).for_each(take),
        _ => {}
    }
}

/// The scopes of the token's roles.
fn each_of_roles(claims: Value<'_>, rules: &Issuer, mut take: impl FnMut(ScopeId)) {
    let Some(roles) = &rules.roles else { return };
    let Some(list) = roles.path.find(claims).filter(|claim| matches!(claim.kind(), Kind::List))
    else {
        return;
    };
    for role in list.inner() {
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
