//! A document as it was written: a tree of values that borrows its texts from the source. Policies and
//! key sets are read by it, and tokens where they are not plain.
//!
//! Nothing is judged here but the notation itself: JSON as RFC 8259 has it, without two members of
//! one name, and not nested deeper than [`MAX_DEPTH`].

pub(crate) mod flat;
mod plain;

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::sorted::sort;

/// How deep a document may be nested. The policy language itself needs seven levels.
pub(crate) const MAX_DEPTH: usize = 64;

/// Up to this many members are compared pair by pair, more are sorted.
const FEW_MEMBERS: usize = 12;
/// Up to this many are told apart by marks before that.
const MARKED_MEMBERS: usize = 32;

/// One value of the document.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'t> {
    /// `null`, or nothing where YAML expects a value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number; whole numbers are exact up to 2^53.
    Number(f64),
    /// Text.
    Text(Cow<'t, str>),
    /// Values in their order.
    List(Vec<Node<'t>>),
    /// Members in the order in which they were written, each name once.
    Map(Vec<(Cow<'t, str>, Node<'t>)>),
}

impl<'t> Node<'t> {
    /// Reads JSON text (RFC 8259, UTF-8 without a byte order mark).
    ///
    /// # Errors
    ///
    /// The place and kind of the first fault: not JSON, two members of one name, nested too deeply.
    pub(crate) fn parse(text: &'t [u8]) -> Result<Self, JsonFault> {
        // At once, which is much faster than text by text.
        let text = str::from_utf8(text).map_err(|error| JsonFault {
            message: format!("the text is not UTF-8 from byte {} on", error.valid_up_to()),
            ..JsonFault::default()
        })?;
        Self::parse_text(text)
    }

    fn parse_text(text: &'t str) -> Result<Self, JsonFault> {
        let fault = RefCell::new(JsonFault::default());
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = Value { depth: MAX_DEPTH, fault: &fault }.deserialize(&mut reader);
        read.and_then(|node| reader.end().map(|()| node)).map_err(|error| {
            let mut fault = fault.into_inner();
            fault.steps.reverse();
            fault.message = error.to_string();
            fault
        })
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items, none if it is not a list.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// The members, none if it is not a map.
    pub fn members(&self) -> &[(Cow<'t, str>, Self)] {
        match self {
            Self::Map(members) => members,
            _ => &[],
        }
    }

    /// The member `name`, if it is a map that has one.
    pub fn member(&self, name: &str) -> Option<&Self> {
        // Most names differ in their lengths.
        let is_it = |member: &str| member.len() == name.len() && member == name;
        self.members().iter().find(|(member, _)| is_it(member)).map(|(_, node)| node)
    }

    /// What a message calls this type of value.
    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }
}

/// The first name that two members share, in time near to linear in their number.
pub(crate) fn duplicate<'m, V>(members: &'m [(Cow<'_, str>, V)]) -> Option<&'m str> {
    if members.len() <= MARKED_MEMBERS && are_distinct(members) {
        return None;
    }
    if members.len() <= FEW_MEMBERS {
        let mut rest = members;
        while let Some(((name, _), later)) = rest.split_first() {
            if later.iter().any(|(other, _)| other == name) {
                return Some(name);
            }
            rest = later;
        }
        return None;
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
    sort(&mut names);
    names.windows(2).find_map(|pair| match pair {
        [first, second] if first == second => Some(*first),
        _ => None,
    })
}

/// Whether all names are different. Equal names have the same one of 64 marks, so a name is only held
/// against those before it where one of them has its mark.
fn are_distinct<V>(members: &[(Cow<'_, str>, V)]) -> bool {
    let mut seen = 0_u64;
    members.iter().enumerate().all(|(at, (name, _))| {
        let (first, last) = (name.as_bytes().first(), name.as_bytes().last());
        let (first, last) = (first.copied().unwrap_or(0), last.copied().unwrap_or(0));
        let mark = 1_u64.wrapping_shl(u32::from(first).wrapping_mul(5) ^ u32::from(last));
        let is_new = seen & mark == 0;
        seen |= mark;
        is_new || members.iter().take(at).all(|(other, _)| other != name)
    })
}

/// What is wrong with a text. Noted on the way out, because serde's errors hold only text.
#[derive(Debug, Default)]
pub(crate) struct JsonFault {
    /// The steps to where reading stopped, the outermost first.
    pub(crate) steps: Vec<Step>,
    /// Whether two members have one name there.
    pub(crate) is_duplicate: bool,
    pub(crate) message: String,
}

/// One step into a document.
#[derive(Debug)]
pub(crate) enum Step {
    Member(String),
    Item(usize),
}

/// Reads one value that may nest `depth` levels more.
#[derive(Clone, Copy)]
struct Value<'f> {
    depth: usize,
    fault: &'f RefCell<JsonFault>,
}

impl Value<'_> {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth
            .ok_or_else(|| E::custom(format_args!("nested more than {MAX_DEPTH} levels deep")))?;
        Ok(Self { depth, ..self })
    }

    fn step(self, step: Step) {
        self.fault.borrow_mut().steps.push(step);
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "no bound of the language is above 2^53")]
    fn visit_i64<E>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "no bound of the language is above 2^53")]
    fn visit_u64<E>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node<'de>, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        loop {
            match list.next_element_seed(inner) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => return Ok(Node::List(items)),
                Err(error) => {
                    self.step(Step::Item(items.len()));
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let inner = self.inner()?;
        let mut members = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            match map.next_value_seed(inner) {
                Ok(value) => members.push((name, value)),
                Err(error) => {
                    self.step(Step::Member(name.into_owned()));
                    return Err(error);
                }
            }
        }
        if let Some(name) = duplicate(&members) {
            self.fault.borrow_mut().is_duplicate = true;
            self.step(Step::Member(name.to_owned()));
            return Err(A::Error::custom("two members have this name"));
        }
        Ok(Node::Map(members))
    }
}

/// Reads the name of a member.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn fault(text: &str) -> String {
        Node::from_json(text.as_bytes())
            .map_or_else(|fault| fault.to_string(), |node| format!("{node:?}"))
    }

    #[test]
    fn borrows_what_has_no_escapes() {
        let node = Node::from_json(br#"{"a": ["b", "\u0063", 1, -2.5e1, true, null, {}]}"#);
        let items = node.as_ref().ok().and_then(|node| node.member("a")).map(Node::items);
        let expected = [
            Node::Text(Cow::Borrowed("b")),
            Node::Text(Cow::Borrowed("c")),
            Node::Number(1.0),
            Node::Number(-25.0),
            Node::Bool(true),
            Node::Null,
            Node::Map(Vec::new()),
        ];
        assert_eq!(items, Some(expected.as_slice()));
        assert!(matches!(items.and_then(<[_]>::first), Some(Node::Text(Cow::Borrowed(_)))));
        assert!(matches!(items.and_then(|items| items.get(1)), Some(Node::Text(Cow::Owned(_)))));
    }

    #[test]
    fn names_the_place_of_a_fault() {
        // row: C01
        assert_eq!(
            fault(r#"{"a": {"b/c": [1, {"d": 1, "e": 2, "d": 3}]}}"#),
            "error[duplicate_member] at /a/b~1c/1/d: two members have this name at line 1 column 42"
        );
        assert_eq!(
            fault(r#"{"a": [1, 2, tru]}"#),
            "error[json_invalid] at /a/2: expected ident at line 1 column 17"
        );
        assert!(fault("").starts_with("error[json_invalid]: "));
        assert!(fault("{} {}").starts_with("error[json_invalid]: trailing characters"));
        assert!(fault("{\"a\": NaN}").starts_with("error[json_invalid] at /a: "));
        assert!(
            fault("{\"a\": 1e309}").starts_with("error[json_invalid] at /a: number out of range")
        );
    }

    #[test]
    fn finds_one_duplicate_among_many_members() {
        let name =
            |number: usize| if number == 4_999 { "n7".to_owned() } else { format!("n{number}") };
        let members: Vec<_> = (0..5_000).map(|number| (Cow::Owned(name(number)), ())).collect();
        assert_eq!(duplicate(&members), Some("n7"));
        assert_eq!(members.split_last().map(|(_, rest)| duplicate(rest)), Some(None));
    }

    #[test]
    fn depth_is_bounded() {
        // row: C05
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Node::from_json(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(fault(&nested(MAX_DEPTH + 1)).contains("nested more than 64 levels deep"));
        assert!(fault(&"[".repeat(100_000)).contains("nested more than 64 levels deep"));
        assert!(fault(&"{\"a\":".repeat(100_000)).contains("nested more than 64 levels deep"));
    }
}
