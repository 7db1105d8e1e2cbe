//! Form: method, host and path in the one way they can be read, or a refusal.

use std::borrow::Cow;

use super::Walk;
use crate::authn::signature::SignatureVerifier;
use crate::explain::{Stage, Trace};
use crate::host;
use crate::limit::BucketStore;
use crate::path::{Fault, Path};
use crate::reason::Denial;
use crate::request::Field;

/// Longest method, in bytes.
const MAX_METHOD: usize = 32;

impl<S: BucketStore, V: SignatureVerifier, T: Trace> Walk<'_, '_, '_, S, V, T> {
    pub(super) fn read_form(&mut self) -> Result<(), Denial> {
        if let Err(fault) = self.try_form() {
            self.trace.note(Stage::Form, || fault.to_owned());
            return Err(Denial::RequestMalformed);
        }
        let decision = &self.decision;
        self.trace.note(Stage::Form, || {
            let path = decision.path.as_ref().map_or("(no path)", |path| path.as_str());
            let host = decision.host.as_deref().unwrap_or_default();
            format!("{} {host} {path}", decision.method.unwrap_or_default())
        });
        Ok(())
    }

    fn try_form(&mut self) -> Result<(), Fault> {
        let headers = &self.decision.headers;
        let method = method(headers.method)?;
        let host = host_of(headers.authority, headers.host)?;
        let path = match headers.path {
            Field::One(target) => Some(Path::parse(target)?),
            // RFC 9110 section 9.3.6: CONNECT has an authority and no path.
            Field::Absent if method == "CONNECT" => None,
            Field::Absent => return Err("the request has no path"),
            Field::Many => return Err("the request has two paths"),
        };
        self.decision.method = Some(method);
        self.decision.host = Some(host);
        self.decision.path = path;
        Ok(())
    }
}

/// Methods are case-sensitive (RFC 9110 section 9.1) and all known ones are upper case. A server that
/// folds case would read another method in a lower-case one, so those are refused.
fn method(field: Field<'_>) -> Result<&str, Fault> {
    let text = field.one().ok_or("the request has not exactly one method")?;
    let good = |byte: &u8| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    let readable = !text.is_empty() && text.len() <= MAX_METHOD && text.iter().all(good);
    let text = if readable { str::from_utf8(text).ok() } else { None };
    text.ok_or("the method is not a word of upper-case letters")
}

/// `:authority`, or `host` where there is none; both only if they say the same.
fn host_of<'r>(authority: Field<'r>, host: Field<'r>) -> Result<Cow<'r, str>, Fault> {
    match (authority, host) {
        (Field::One(text), Field::Absent) | (Field::Absent, Field::One(text)) => {
            host::canonical(text)
        }
        (Field::One(first), Field::One(second)) => {
            let first = host::canonical(first)?;
            if first == host::canonical(second)? {
                Ok(first)
            } else {
                Err("the request has two hosts")
            }
        }
        (Field::Absent, Field::Absent) => Err("the request has no host"),
        (Field::Many, _) | (_, Field::Many) => Err("the request has two hosts"),
    }
}
