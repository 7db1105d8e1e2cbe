//! Documents that are wrong in one place each, in every place.

use std::borrow::Cow;

use super::{Node, good};
use crate::config::Severity;
use crate::config::compile::compile;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// The document with the value at position `at`, counted in reading order, replaced by another.
fn replaced(node: &Node<'_>, at: &mut Option<usize>, other: &Node<'static>) -> Node<'static> {
    if *at == Some(0) {
        *at = None;
        return other.clone();
    }
    *at = at.map(|left| left - 1);
    match node {
        Node::Map(members) => {
            let value = |(name, value): &(Cow<'_, str>, Node<'_>)| {
                (Cow::Owned(name.to_string()), replaced(value, at, other))
            };
            Node::Map(members.iter().map(value).collect())
        }
        Node::List(items) => {
            Node::List(items.iter().map(|item| replaced(item, at, other)).collect())
        }
        Node::Text(text) => Node::Text(Cow::Owned(text.to_string())),
        Node::Number(number) => Node::Number(*number),
        Node::Bool(value) => Node::Bool(*value),
        Node::Null => Node::Null,
    }
}

#[test]
fn no_document_traps_and_none_opens_by_mistake() {
    // row: C01
    let document = good();
    let node = Node::from_json(document.as_bytes()).unwrap_or(Node::Null);
    let others = [
        Node::Null,
        Node::Bool(true),
        Node::Number(f64::NAN),
        Node::Number(-1e300),
        Node::Text(Cow::Borrowed("")),
        Node::Text(Cow::Borrowed("x")),
        Node::List(Vec::new()),
        Node::List(vec![Node::Null]),
        Node::Map(Vec::new()),
        Node::Map(vec![(Cow::Borrowed(""), Node::Null)]),
    ];
    for other in others {
        let is_text_or_flag = matches!(&other, Node::Bool(_) | Node::Text(_));
        for start in 0..usize::MAX {
            let mut at = Some(start);
            let changed = replaced(&node, &mut at, &other);
            if at.is_some() {
                break;
            }
            let compiled = compile(&changed);
            let refused = compiled.diagnostics.iter().any(|one| one.severity == Severity::Error);
            assert_eq!(compiled.policy.is_none(), refused);
            assert!(refused || is_text_or_flag, "{other:?} at {start}");
        }
    }
}
