//! JSON in a row: every value stands before those inside it. A token is read so: all of it is one piece of
//! memory, with nothing to drop value by value.

use super::{Node, plain};
use crate::bytes::same;

/// The values of one JSON text.
#[derive(Debug)]
pub(crate) struct Flat<'t>(Vec<Slot<'t>>);

/// One value.
#[derive(Debug)]
pub(super) struct Slot<'t> {
    /// What it is called, if it is a member.
    pub(super) name: &'t [u8],
    pub(super) kind: Kind<'t>,
    /// How many slots it takes: itself and all that is inside.
    pub(super) size: usize,
}

/// What a value is, and all of one that is not made of others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'t> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'t str),
    List,
    Map,
}

impl<'s> Flat<'s> {
    /// Reads JSON text as [`Node::parse`] does, faster where it is plain, with nothing said of a fault. Of a
    /// text that is not plain, the tree holds what the row borrows.
    pub(crate) fn read<'t: 's>(text: &'t [u8], tree: &'s mut Option<Node<'t>>) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        if let Some(slots) = plain::read(text) {
            return Some(Self(slots));
        }
        let mut slots = Vec::new();
        push(&mut slots, "", tree.insert(Node::parse_text(text).ok()?));
        Some(Self(slots))
    }

    /// The outermost value.
    pub(crate) fn root(&self) -> Value<'_> {
        Value(&self.0)
    }
}

/// Puts a tree into the row. It is as deep as [`super::MAX_DEPTH`] at most.
fn push<'t>(slots: &mut Vec<Slot<'t>>, name: &'t str, node: &'t Node<'_>) {
    let place = slots.len();
    slots.push(Slot { name: name.as_bytes(), kind: node.kind(), size: 1 });
    for item in node.items() {
        push(slots, "", item);
    }
    for (name, value) in node.members() {
        push(slots, name, value);
    }
    close(slots, place);
}

/// Ends a list or an object: all slots from its own on are its.
pub(super) fn close(slots: &mut [Slot<'_>], place: usize) {
    let size = slots.len().saturating_sub(place);
    if let Some(slot) = slots.get_mut(place) {
        slot.size = size;
    }
}

/// One value of a row: its own slot, and those inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'f>(&'f [Slot<'f>]);

impl<'f> Value<'f> {
    /// What it is.
    pub(crate) fn kind(self) -> Kind<'f> {
        self.0.first().map_or(Kind::Null, |slot| slot.kind)
    }

    /// The text, if it is one.
    pub(crate) fn as_text(self) -> Option<&'f str> {
        if let Kind::Text(text) = self.kind() { Some(text) } else { None }
    }

    /// The name, if it is a member.
    pub(crate) fn name(self) -> &'f [u8] {
        self.0.first().map_or(&[], |slot| slot.name)
    }

    /// The items of a list or the members of an object, in their order.
    pub(crate) fn inner(self) -> Inner<'f> {
        Inner(self.0.get(1..).unwrap_or_default())
    }

    /// The member of a name, if it is an object that has one.
    pub(crate) fn member(self, name: &str) -> Option<Self> {
        let members = matches!(self.kind(), Kind::Map).then(|| self.inner());
        // Most names differ in their lengths.
        let is_it = |found: &[u8]| found.len() == name.len() && same(found, name.as_bytes());
        members?.find(|member| is_it(member.name()))
    }
}

/// Values one after the other.
pub(crate) struct Inner<'f>(&'f [Slot<'f>]);

impl<'f> Iterator for Inner<'f> {
    type Item = Value<'f>;

    fn next(&mut self) -> Option<Value<'f>> {
        let size = self.0.first()?.size;
        let value = Value(self.0.get(..size)?);
        self.0 = self.0.get(size..)?;
        Some(value)
    }
}

impl Node<'_> {
    /// What it is.
    pub(crate) fn kind(&self) -> Kind<'_> {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(flag) => Kind::Bool(*flag),
            Self::Number(number) => Kind::Number(*number),
            Self::Text(text) => Kind::Text(text),
            Self::List(_) => Kind::List,
            Self::Map(_) => Kind::Map,
        }
    }
}

#[cfg(test)]
impl Value<'_> {
    /// The same as a tree.
    pub(super) fn node(self) -> Node<'static> {
        let name = |value: Self| String::from_utf8_lossy(value.name()).into_owned().into();
        match self.kind() {
            Kind::Null => Node::Null,
            Kind::Bool(flag) => Node::Bool(flag),
            Kind::Number(number) => Node::Number(number),
            Kind::Text(text) => Node::Text(text.to_owned().into()),
            Kind::List => Node::List(self.inner().map(Value::node).collect()),
            Kind::Map => Node::Map(self.inner().map(|value| (name(value), value.node())).collect()),
        }
    }
}
