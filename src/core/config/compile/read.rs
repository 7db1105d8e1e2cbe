//! Reading a document whose shape was checked: what has the wrong type is passed over.

use super::super::diagnostic::{Report, code};
use super::super::place::Place;
use crate::node::Node;

/// The text in a field.
pub(super) fn text<'n>(node: &'n Node<'_>, field: &str) -> Option<&'n str> {
    node.member(field).and_then(Node::as_text)
}

/// The boolean in a field, `false` where there is none.
pub(super) fn flag(node: &Node<'_>, field: &str) -> bool {
    matches!(node.member(field), Some(Node::Bool(true)))
}

/// The whole number in a field; its bounds were checked, beyond them it means nothing.
pub(super) fn size(node: &Node<'_>, field: &str) -> Option<usize> {
    match node.member(field) {
        Some(Node::Number(number)) if (0.0..=f64::from(u32::MAX)).contains(number) => {
            Some(truncated(*number))
        }
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 32 bits")]
const fn truncated(number: f64) -> usize {
    number as usize
}

/// The items of the list in a field.
pub(super) fn items<'n, 't>(node: &'n Node<'t>, field: &str) -> &'n [Node<'t>] {
    node.member(field).map(Node::items).unwrap_or_default()
}

/// The texts in a list, with their positions.
pub(super) fn texts<'n>(node: &'n Node<'_>, field: &str) -> impl Iterator<Item = (usize, &'n str)> {
    let items = items(node, field).iter().enumerate();
    items.filter_map(|(index, item)| Some((index, item.as_text()?)))
}

/// Reports a list that is longer than the gateway can look through on every request.
pub(super) fn bound(
    node: &Node<'_>,
    field: &str,
    most: usize,
    place: &Place<'_>,
    report: &mut Report,
) {
    if items(node, field).len() > most {
        let message = format!("holds more than {most} entries");
        report.error(code::OUT_OF_BOUNDS, place, message, "");
    }
}
