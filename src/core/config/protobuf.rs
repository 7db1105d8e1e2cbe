//! Reads a serialized `google.protobuf.Struct`, the form in which Envoy hands over a configuration
//! that was written as YAML.
//!
//! The messages are those of `google/protobuf/struct.proto`; the wire format is that of the protobuf
//! encoding guide. Stricter than protobuf asks: what could be read in two ways (a field twice, a value
//! of two kinds, a map entry twice) is refused, because Envoy's serializer never writes it.

use std::borrow::Cow;

use super::diagnostic::{Diagnostic, Severity, code};
use super::place::Escaped;
use crate::node::{MAX_DEPTH, Node, duplicate};
use crate::wire::{Wire, WireFault, once};

impl<'t> Node<'t> {
    /// Reads a serialized `google.protobuf.Struct`. Fields that the messages do not have are skipped.
    ///
    /// # Errors
    ///
    /// What is not such a message, has text that is not UTF-8, two members of one name, a value
    /// without a kind, or is nested more than 64 levels deep.
    pub fn from_struct(bytes: &'t [u8]) -> Result<Self, Diagnostic> {
        read_struct(bytes, MAX_DEPTH).map_err(|fault| Diagnostic {
            severity: Severity::Error,
            code: fault.code,
            place: fault.steps.iter().rev().flat_map(|step| ["/", step]).collect(),
            message: fault.message.to_owned(),
            help: if fault.code == code::STRUCT_INVALID {
                "send a google.protobuf.Struct, or JSON text that begins with `{`".to_owned()
            } else {
                String::new()
            },
        })
    }
}

/// Why the bytes were refused and where; the steps are noted from the inside out.
struct Fault {
    code: &'static str,
    message: &'static str,
    steps: Vec<String>,
}

impl Fault {
    const fn new(message: &'static str) -> Self {
        Self { code: code::STRUCT_INVALID, message, steps: Vec::new() }
    }

    fn within(mut self, step: &impl ToString) -> Self {
        self.steps.push(step.to_string());
        self
    }
}

impl From<WireFault> for Fault {
    fn from(fault: WireFault) -> Self {
        Self::new(fault.0)
    }
}

type Read<T> = Result<T, Fault>;

fn deeper(depth: usize) -> Read<usize> {
    depth.checked_sub(1).ok_or(Fault::new("nested more than 64 levels deep"))
}

/// `message Struct { map<string, Value> fields = 1; }`
fn read_struct(bytes: &[u8], depth: usize) -> Read<Node<'_>> {
    let depth = deeper(depth)?;
    let mut members = Vec::new();
    let mut wire = Wire(bytes);
    while let Some((number, field)) = wire.next()? {
        if number == 1 {
            members.push(read_entry(field.bytes()?, depth)?);
        }
    }
    if let Some(name) = duplicate(&members) {
        let fault =
            Fault { code: code::DUPLICATE_MEMBER, ..Fault::new("two members have this name") };
        return Err(fault.within(&Escaped(name)));
    }
    Ok(Node::Map(members))
}

/// One entry of the map: `string key = 1; Value value = 2;`
fn read_entry(bytes: &[u8], depth: usize) -> Read<(Cow<'_, str>, Node<'_>)> {
    let (mut key, mut value) = (None, None);
    let mut wire = Wire(bytes);
    while let Some((number, field)) = wire.next()? {
        match number {
            1 => once(&mut key, field.text()?)?,
            2 => once(&mut value, field.bytes()?)?,
            _ => {}
        }
    }
    let key = key.unwrap_or_default();
    match read_value(value.unwrap_or_default(), depth) {
        Ok(value) => Ok((Cow::Borrowed(key), value)),
        Err(fault) => Err(fault.within(&Escaped(key))),
    }
}

/// `message ListValue { repeated Value values = 1; }`
fn read_list(bytes: &[u8], depth: usize) -> Read<Node<'_>> {
    let depth = deeper(depth)?;
    let mut items = Vec::new();
    let mut wire = Wire(bytes);
    while let Some((number, field)) = wire.next()? {
        if number == 1 {
            let item = read_value(field.bytes()?, depth);
            items.push(item.map_err(|fault| fault.within(&items.len()))?);
        }
    }
    Ok(Node::List(items))
}

/// `message Value`: exactly one of null 1, number 2, text 3, boolean 4, struct 5, list 6.
fn read_value(bytes: &[u8], depth: usize) -> Read<Node<'_>> {
    let mut value = None;
    let mut wire = Wire(bytes);
    while let Some((number, field)) = wire.next()? {
        let kind = match number {
            1 => field.varint().map(|_| Node::Null)?,
            2 => Node::Number(f64::from_bits(field.fixed64()?)),
            3 => Node::Text(Cow::Borrowed(field.text()?)),
            4 => Node::Bool(field.varint()? != 0),
            5 => read_struct(field.bytes()?, depth)?,
            6 => read_list(field.bytes()?, depth)?,
            _ => continue,
        };
        once(&mut value, kind)?;
    }
    value.ok_or(Fault::new("a value without a kind"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn varint(out: &mut Vec<u8>, mut value: u64) {
        while value > 0x7f {
            out.push(u8::try_from(value & 0x7f).unwrap_or_default() | 0x80);
            value >>= 7;
        }
        out.push(u8::try_from(value).unwrap_or_default());
    }

    fn bytes(out: &mut Vec<u8>, number: u64, content: &[u8]) {
        varint(out, number << 3 | 2);
        varint(out, content.len() as u64);
        out.extend_from_slice(content);
    }

    /// The serialized `Struct` of a map, as Envoy would write it.
    pub(crate) fn to_struct(node: &Node<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in node.members() {
            let mut entry = Vec::new();
            bytes(&mut entry, 1, name.as_bytes());
            bytes(&mut entry, 2, &to_value(value));
            bytes(&mut out, 1, &entry);
        }
        out
    }

    fn to_value(node: &Node<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        match node {
            Node::Null => out.extend([0x08, 0]),
            Node::Number(number) => {
                out.push(0x11);
                out.extend(number.to_bits().to_le_bytes());
            }
            Node::Text(text) => bytes(&mut out, 3, text.as_bytes()),
            Node::Bool(value) => out.extend([0x20, u8::from(*value)]),
            Node::Map(_) => bytes(&mut out, 5, &to_struct(node)),
            Node::List(items) => {
                let mut list = Vec::new();
                for item in items {
                    bytes(&mut list, 1, &to_value(item));
                }
                bytes(&mut out, 6, &list);
            }
        }
        out
    }

    const DOCUMENT: &[u8] =
        r#"{"a": [null, true, false, -1.5, "é", {}, []], "b": {"c": {"": 1}}}"#.as_bytes();

    fn fault(bytes: &[u8]) -> String {
        Node::from_struct(bytes).map_or_else(|fault| fault.message, |node| format!("{node:?}"))
    }

    #[test]
    fn reads_what_a_serializer_writes() {
        let node = Node::from_json(DOCUMENT);
        let bytes = node.as_ref().map(to_struct).unwrap_or_default();
        assert_eq!(Node::from_struct(&bytes), node);
        assert_eq!(Node::from_struct(b""), Ok(Node::Map(Vec::new())));
    }

    #[test]
    fn skips_unknown_fields() {
        let unknown = [0x78, 1, 0x79, 0, 0, 0, 0, 0, 0, 0, 0, 0x7a, 1, 0xff, 0x7d, 0, 0, 0, 0];
        let mut bytes = Node::from_json(DOCUMENT).as_ref().map(to_struct).unwrap_or_default();
        bytes.splice(0..0, unknown);
        assert_eq!(Node::from_struct(&bytes), Node::from_json(DOCUMENT));
    }

    #[test]
    fn refuses_what_reads_two_ways() {
        assert_eq!(fault(b"\x0a\x04\x0a\x02\xc3\x28"), "a text that is not UTF-8");
        assert_eq!(fault(b"\x0a\x03\x0a\x01a"), "a value without a kind");
        assert_eq!(
            fault(b"\x0a\x06\x0a\x01a\x0a\x01b"),
            "a field that stands twice in one message"
        );
        assert_eq!(fault(b"\x0a\x05\x12\x03\x08\x00\x20"), "the bytes end within a field");
        assert_eq!(
            fault(b"\x0a\x06\x12\x04\x08\x00\x20\x01"),
            "a field that stands twice in one message"
        );
        assert_eq!(fault(b"\x0a\x05\x12\x03\x1a\x00\x1b"), "a field of an unknown wire type");
        assert_eq!(fault(b"\x08\x00"), "a field of another wire type than its message says");
        assert_eq!(fault(b"\x02\x00"), "a field with the number 0");
        assert_eq!(
            fault(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            "the bytes end within a field"
        );
        assert_eq!(
            fault(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
            "a number of more than 64 bits"
        );
        let twice = b"\x0a\x07\x0a\x01a\x12\x02\x08\x00\x0a\x07\x0a\x01a\x12\x02\x20\x01";
        let diagnostic = Node::from_struct(twice).map_err(|fault| fault.to_string());
        assert_eq!(
            diagnostic,
            Err("error[duplicate_member] at /a: two members have this name".to_owned())
        );
    }

    #[test]
    fn depth_is_bounded() {
        // row: C05
        let nested = |depth: usize| {
            (1..depth).fold(Vec::new(), |inner, _| {
                let mut value = Vec::new();
                bytes(&mut value, 5, &inner);
                let mut entry = Vec::new();
                bytes(&mut entry, 2, &value);
                let mut outer = Vec::new();
                bytes(&mut outer, 1, &entry);
                outer
            })
        };
        assert!(Node::from_struct(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(fault(&nested(MAX_DEPTH + 1)), "nested more than 64 levels deep");
        assert_eq!(fault(&nested(2_000)), "nested more than 64 levels deep");
    }

    #[test]
    fn no_bytes_trap() {
        let good = Node::from_json(DOCUMENT).as_ref().map(to_struct).unwrap_or_default();
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut bad = good.clone();
                if let Some(place) = bad.get_mut(at) {
                    *place = byte;
                }
                let _ = Node::from_struct(&bad);
                bad.truncate(at);
                let _ = Node::from_struct(&bad);
            }
        }
    }
}
