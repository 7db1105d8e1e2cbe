//! Whose bucket: the parts of a limit's key, written so that no two buckets have one name.

use super::parts::{KeyParts, More, Prefix, Subject, Value};
use super::{Limit, Names, Quota};
use crate::address::Address;
use crate::network::Country;

/// Names one bucket: gateway, limit, and the parts of the limit's key. Policy generations are not
/// part of it, so a reload keeps every bucket.
#[derive(Clone, Copy, Debug)]
pub struct BucketKey<'k> {
    limit: &'k Limit,
    whose: Whose<'k>,
}

#[derive(Clone, Copy, Debug)]
enum Whose<'k> {
    /// Of this request.
    Subject(&'k Subject<'k>),
    /// Of all newcomers for whom there is no room.
    Everybody,
    /// As it was written before, and whether there may be any number of such keys.
    Written(&'k [u8], bool),
}

impl<'k> BucketKey<'k> {
    /// The bucket of a limit for the parts of a subject that its key names. A part that the request
    /// does not have (no consumer on a public route) is a value of its own.
    pub(crate) const fn new(limit: &'k Limit, of: &'k Subject<'k>) -> Self {
        Self { limit, whose: Whose::Subject(of) }
    }

    /// The bucket of a key that [`Self::encode`] wrote.
    pub(super) const fn written(limit: &'k Limit, name: &'k [u8], is_unbounded: bool) -> Self {
        Self { limit, whose: Whose::Written(name, is_unbounded) }
    }

    /// The bucket that newcomers of this limit share while a store has no room for their own.
    #[must_use]
    pub fn overflow(&self) -> Self {
        Self { whose: Whose::Everybody, ..*self }
    }

    /// Whether callers can make any number of such keys: anybody on the network of those with an
    /// address, an issuer of those with a claim, or with a token that is no consumer's, the hop in front
    /// of those with its header. Of all others there are as many as the policy has consumers, keys and
    /// routes, 40 registered methods and 677 countries; but where those two are not a consumer's, anybody
    /// can have all of them.
    pub fn is_unbounded(&self) -> bool {
        let subject = match self.whose {
            Whose::Subject(subject) => subject,
            Whose::Everybody => return false,
            Whose::Written(_, is_unbounded) => return is_unbounded,
        };
        let key = &self.limit.key;
        let names_caller = key.consumer || key.credential;
        let by_more = |more: &More| {
            !names_caller
                || subject.consumer.is_none()
                || more.named.iter().any(|(_, named)| !matches!(subject.value(*named), Value::None))
        };
        key.address.is_some() && subject.address.is_some()
            || subject.is_stranger && names_caller
            || key.more.as_deref().is_some_and(by_more)
    }

    /// The limit's name.
    pub fn limit(&self) -> &'k str {
        self.limit.name()
    }

    /// The parts that the limit's key names and what they are here, always in the same order; `-` is a part
    /// that the request does not have. `consumer` and `credential` stand for those of the subject, in ASCII.
    pub(super) fn write_parts(
        &self,
        (consumer, credential): Names<'_>,
        write: &mut dyn FnMut(&str, &[u8]),
    ) {
        let Whose::Subject(subject) = self.whose else { return };
        let key = &self.limit.key;
        let mut part = |is_part: bool, name: &str, text: Option<&str>| {
            if is_part {
                write(name, text.unwrap_or("-").as_bytes());
            }
        };
        part(key.consumer, "consumer", consumer);
        part(key.credential, "credential", credential);
        part(key.route, "route", subject.route);
        if let Some(Prefix { v4, v6 }) = key.address {
            let mut text = Vec::new();
            match subject.address {
                Some(address) => address.network(v4, v6).write(&mut text),
                None => text.push(b'-'),
            }
            part(true, "address", str::from_utf8(&text).ok());
        }
        let Some(more) = &key.more else { return };
        part(more.method, "method", subject.registered());
        part(more.country, "country", subject.country.as_ref().map(|country| country.as_str()));
        for (name, named) in &more.named {
            let name = [named.prefix(), name].concat();
            part(true, &name, Some(&subject.value(*named).told()));
        }
    }

    /// The number of the limit: a store may keep something that is worth nothing under another one.
    pub fn quota(&self) -> &'k Quota {
        &self.limit.quota
    }

    /// Writes the key so that no two keys are written alike: a letter says which part follows, and each
    /// carries its length, or has but one. Parts that the request does not have are left out.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let nobody = Subject::default();
        let (key, subject) = match self.whose {
            Whose::Subject(subject) => (&self.limit.key, subject),
            Whose::Everybody => (&EVERYBODY, &nobody),
            Whose::Written(name, _) => return out.extend_from_slice(name),
        };
        out.extend_from_slice(&self.limit.bucket);
        for (letter, is_part, text) in [
            (b'C', key.consumer, subject.consumer),
            (b'K', key.credential, subject.credential),
            (b'R', key.route, subject.route),
        ] {
            if let Some(text) = text.filter(|_| is_part) {
                out.push(letter);
                push(out, text.as_bytes());
            }
        }
        if key.address.is_some() || key.more.is_some() {
            write_more(out, key, subject);
        }
    }
}

/// The key of a limit that tells nobody apart.
const EVERYBODY: KeyParts =
    KeyParts { consumer: false, credential: false, address: None, route: false, more: None };

/// The address, or its network, and the parts that few limits have.
fn write_more(out: &mut Vec<u8>, key: &KeyParts, subject: &Subject<'_>) {
    if let (Some(prefix), Some(address)) = (key.address, subject.address) {
        match address.network(prefix.v4, prefix.v6) {
            Address::V4(bits) => {
                out.extend([b'4', prefix.v4]);
                out.extend_from_slice(&bits.to_be_bytes());
            }
            Address::V6(bits) => {
                out.extend([b'6', prefix.v6]);
                out.extend_from_slice(&bits.to_be_bytes());
            }
        }
    }
    let Some(more) = &key.more else { return };
    if more.method {
        out.push(b'm');
        push(out, subject.registered().unwrap_or_default().as_bytes());
    }
    if more.country {
        out.push(b'g');
        out.extend(subject.country.unwrap_or(Country::UNKNOWN).0);
    }
    for (name, named) in &more.named {
        out.push(named.letter());
        push_long(out, name.as_bytes());
        match subject.value(*named) {
            Value::None => out.push(b'-'),
            Value::Bytes(bytes) => {
                out.push(b't');
                push_long(out, bytes);
            }
            // The two zeros are one number.
            Value::Number(number) => {
                out.push(b'n');
                out.extend_from_slice(&(number + 0.0).to_bits().to_be_bytes());
            }
            Value::Bool(flag) => out.extend([b'b', u8::from(flag)]),
        }
    }
}

/// The length of a name and the name, which has at most 321 bytes.
pub(super) fn push(out: &mut Vec<u8>, name: &[u8]) {
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(name);
}

/// The length of a value and the value: one of a claim is no longer than a token may be, one of a header
/// than 8 KiB.
fn push_long(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod identity;
#[cfg(test)]
mod tests;
