//! A case's policy in the two forms in which a filter receives it.

use crate::token::keys;
use portcullis_core::config::Diagnostic;
use portcullis_core::{Policy, PureVerifier, Tokens};
use serde_json::Value;

/// What a thread knows of a policy's tokens: the keys that stand in it, and the secrets of the test
/// environment.
pub fn tokens(policy: &Policy) -> Tokens<PureVerifier> {
    tokens_or_findings(policy).unwrap_or_else(|findings| panic!("{findings:?}"))
}

/// The same, or what is wrong with the secrets.
pub fn tokens_or_findings(policy: &Policy) -> Result<Tokens<PureVerifier>, Vec<Diagnostic>> {
    let mut tokens = Tokens::new(policy, PureVerifier, [0; 16]);
    let environment = keys::environment();
    let variable = |wanted: &str| {
        let found = environment.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| value.clone().into_bytes())
    };
    tokens.read_secrets(policy, variable).map(|()| tokens)
}

/// The bytes of the policy as a serialized `google.protobuf.Struct`, members in the document's order.
pub fn as_struct(policy: &Value) -> Vec<u8> {
    let Value::Object(members) = policy else { panic!("a policy is a map, not {policy}") };
    let mut out = Vec::new();
    for (name, value) in members {
        let mut entry = Vec::new();
        field(&mut entry, 1, name.as_bytes());
        field(&mut entry, 2, &message(value));
        field(&mut out, 1, &entry);
    }
    out
}

/// A serialized `google.protobuf.Value`.
fn message(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Null => out.extend([0x08, 0]),
        Value::Number(number) => {
            out.push(0x11);
            out.extend(number.as_f64().expect("a number that a double holds").to_le_bytes());
        }
        Value::String(text) => field(&mut out, 3, text.as_bytes()),
        Value::Bool(flag) => out.extend([0x20, u8::from(*flag)]),
        Value::Object(_) => field(&mut out, 5, &as_struct(value)),
        Value::Array(items) => {
            let mut list = Vec::new();
            for item in items {
                field(&mut list, 1, &message(item));
            }
            field(&mut out, 6, &list);
        }
    }
    out
}

fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).expect("seven bits"));
    out.extend_from_slice(bytes);
}
