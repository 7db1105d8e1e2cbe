//! Keys that can be used and yet will disappoint.

use portcullis_core::config::Severity;

use crate::read::Tree;

use super::{Finding, UsableKey, called, of_key};

/// What is doubtful about the usable keys of a set; `jwks` are its keys as they stand in the text.
pub(super) fn find(keys: &[UsableKey], jwks: &[Tree]) -> Vec<Finding> {
    keys.iter().flat_map(|key| [nameless(key, keys), twin(key, keys, jwks)]).flatten().collect()
}

/// Without an id, a key is only found by tokens that have none, and only where it is alone.
fn nameless(key: &UsableKey, keys: &[UsableKey]) -> Option<Finding> {
    let alone = keys.iter().filter(|other| other.algorithm == key.algorithm).count() == 1;
    if key.id.is_some() || alone {
        return None;
    }
    let name = called(key.position, None);
    let message =
        format!("{name} has no `kid` and is not the only key of {}", key.algorithm.name());
    let help = "give every key a `kid`: no token can be verified with this one";
    Some(of_key(Severity::Warning, "key_id_missing", (key.position, None), message, help))
}

/// One key under two names: who revokes or removes one of them has revoked nothing.
fn twin(key: &UsableKey, keys: &[UsableKey], jwks: &[Tree]) -> Option<Finding> {
    const PUBLIC: [&str; 5] = ["kty", "n", "e", "x", "y"];
    let numbers = |position: usize| {
        let jwk = jwks.get(position)?;
        Some(PUBLIC.map(|name| jwk.member(name).and_then(Tree::text)))
    };
    let mine = numbers(key.position)?;
    let mut before = keys.iter().take_while(|other| other.position < key.position);
    let twin = before.find(|other| numbers(other.position) == Some(mine))?;
    let id = key.id.as_deref();
    let message = format!(
        "{} is {} again",
        called(key.position, id),
        called(twin.position, twin.id.as_deref())
    );
    let help = "give every key numbers of its own: removing one of these removes nothing";
    Some(of_key(Severity::Warning, "key_duplicate", (key.position, id), message, help))
}
