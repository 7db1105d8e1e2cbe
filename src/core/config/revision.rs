//! The revision of a policy: a digest of what it means, not of how it was written.
//!
//! The document is written out once more by the grammar: fields in the grammar's order, defaults
//! filled in, texts in their canonical spelling, the members of maps and the entries of lists sorted,
//! since no list of the language has an order that matters. Every value carries its length, so that no
//! two documents are written alike.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::grammar::{Field, Kind, POLICY, Presence, Shape};
use super::node::Node;

/// How many hexadecimal digits are shown.
const DIGITS: usize = 16;

/// The first 16 hexadecimal digits of the SHA-256 of a good document's meaning.
pub(crate) fn of(document: &Node<'_>) -> Box<str> {
    let mut out = Vec::new();
    write_object(document, &POLICY, &mut out);
    let digest = Sha256::digest(&out);
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .take(DIGITS)
        .collect::<String>()
        .into()
}

// INVARIANT: recursion follows the grammar, which is a tree.
fn write(node: &Node<'_>, kind: &Kind, out: &mut Vec<u8>) {
    match (kind, node) {
        (Kind::Text(form), Node::Text(text)) => {
            write_text(&(form.check)(text).unwrap_or(Cow::Borrowed(text)), out);
        }
        (Kind::List(of), Node::List(items)) => {
            write_sorted(items, |item, out| write(item, of, out), out);
        }
        (Kind::Map { of, .. }, Node::Map(members)) => write_sorted(
            members,
            |(name, value), out| {
                write_text(name, out);
                write(value, of, out);
            },
            out,
        ),
        (Kind::Object(shape) | Kind::Either { long: shape, .. }, Node::Map(_)) => {
            write_object(node, shape, out);
        }
        (Kind::Either { short, long }, Node::Text(_)) => match (short, long.fields.first()) {
            // A text in place of an object is the object with its first field alone.
            (Kind::Text(_), Some(field)) => {
                let object = Node::Map(vec![(Cow::Borrowed(field.name), node.clone())]);
                write_object(&object, long, out);
            }
            _ => write(node, short, out),
        },
        (_, Node::Text(text)) => write_text(text, out),
        (_, Node::Number(number)) => out.extend(number.to_bits().to_le_bytes()),
        (_, Node::Bool(value)) => out.push(u8::from(*value)),
        _ => {}
    }
}

fn write_object(node: &Node<'_>, shape: &Shape, out: &mut Vec<u8>) {
    for (position, field) in (0_u8..).zip(shape.fields) {
        let start = out.len();
        out.push(position);
        let before = out.len();
        write_field(node, field, out);
        if out.len() == before {
            out.truncate(start);
        }
    }
    out.push(u8::MAX);
}

fn write_field(node: &Node<'_>, field: &Field, out: &mut Vec<u8>) {
    match (node.member(field.name), field.presence) {
        (Some(value), _) => write(value, &field.kind, out),
        (None, Presence::Default(json)) => {
            if let Ok(value) = Node::from_json(json.as_bytes()) {
                write(&value, &field.kind, out);
            }
        }
        (None, Presence::From(other)) => {
            let text = node.member(other).and_then(Node::as_text).unwrap_or_default();
            let text = text.split('/').next().unwrap_or_default();
            match (&field.kind, text.parse()) {
                (Kind::Integer { .. }, Ok(number)) => {
                    write(&Node::Number(number), &field.kind, out);
                }
                _ => write(&Node::Text(Cow::Borrowed(text)), &field.kind, out),
            }
        }
        (None, Presence::Required | Presence::Optional) => {}
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Writes the entries side by side, then in the order of their bytes.
fn write_sorted<T>(entries: &[T], mut write: impl FnMut(&T, &mut Vec<u8>), out: &mut Vec<u8>) {
    let mut all = Vec::new();
    let mut ends = Vec::with_capacity(entries.len());
    for entry in entries {
        let start = all.len();
        write(entry, &mut all);
        ends.push(start..all.len());
    }
    ends.sort_unstable_by(|a, b| all.get(a.clone()).cmp(&all.get(b.clone())));
    out.extend(u32::try_from(entries.len()).unwrap_or(u32::MAX).to_le_bytes());
    for range in ends {
        out.extend_from_slice(all.get(range).unwrap_or_default());
    }
}
