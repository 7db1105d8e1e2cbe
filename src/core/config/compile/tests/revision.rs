//! The revision is that of the meaning, not of the spelling.

use std::borrow::Cow;

use super::{Node, Policy, good};
use crate::config::compile::compile;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Turns every map and every list around.
fn reversed(node: &Node<'_>) -> Node<'static> {
    match node {
        Node::Map(members) => {
            let members = members.iter().rev();
            Node::Map(
                members
                    .map(|(name, value)| (Cow::Owned(name.to_string()), reversed(value)))
                    .collect(),
            )
        }
        Node::List(items) => Node::List(items.iter().rev().map(reversed).collect()),
        Node::Text(text) => Node::Text(Cow::Owned(text.to_string())),
        Node::Number(number) => Node::Number(*number),
        Node::Bool(value) => Node::Bool(*value),
        Node::Null => Node::Null,
    }
}

#[test]
fn the_revision_is_that_of_the_meaning() {
    let revision = |document: &str| {
        Policy::compile(document.as_bytes()).policy.map(|policy| policy.revision().to_owned())
    };
    let document = good();
    let expected = revision(&document);
    assert!(expected.is_some());
    let same = |from: &str, to: &str| {
        assert!(document.contains(from), "{from}");
        assert_eq!(revision(&document.replacen(from, to, 1)), expected, "{to}");
    };
    let node = Node::from_json(document.as_bytes()).map_or(Node::Null, |node| reversed(&node));
    let turned = compile(&node).policy.map(|policy| policy.revision().to_owned());
    assert_eq!(turned, expected);
    same("\"version\": 1,", "\"version\": 1.0, \"realm\": \"external\", \"mode\": \"enforce\",");
    same("\"rate\": \"20/m\"", "\"rate\": \"20/m\", \"burst\": 20");
    same("\"5000/week\"", "\"5000/week\", \"resets\": \"monday\"");
    same("\"X-Api-Key\"", "\"x-api-key\"");
    same("\"10.0.0.0/8\", \"fd00::/8\"", "{\"cidr\": \"FD00:0::/8\"}, \"::ffff:10.0.0.0/104\"");
    same("2027-01-01T00:00:00Z", "2027-01-01T01:00:00.000+01:00");
    same("\"format\": \"opaque\"", "\"state\": \"active\", \"format\": \"opaque\"");
    same("api.example.com", "API.example.com");
    same(
        "\"strip_headers\"",
        "\"identity_headers\": {\"consumer\": \"x-portcullis-consumer\", \"credential\": \"x-portcullis-credential\", \"scopes\": \"x-portcullis-scopes\"}, \"strip_headers\"",
    );
    for (from, to) in [
        ("\"20/m\"", "\"21/m\""),
        ("\"20/m\"", "\"20/h\""),
        ("\"5000/week\"", "\"5000/week\", \"resets\": \"sunday\""),
        ("\"resets\": 15", "\"resets\": 16"),
        ("\"cost\": 2", "\"cost\": 3"),
        ("[\"standard\", \"legacy\"]", "[\"standard\"]"),
        ("\"all_of\"", "\"any_of\""),
        ("INC-42", "INC-43"),
        ("\"KP\"", "\"IR\""),
        ("\"mode\": \"observe\"", "\"mode\": \"enforce\""),
        ("\"strip_headers\"", "\"identity_headers\": \"none\", \"strip_headers\""),
        ("\"gateway\": \"external\"", "\"gateway\": \"internal\""),
    ] {
        let other = revision(&document.replacen(from, to, 1));
        assert!(other.is_some() && other != expected, "{from} {to}");
    }
}
