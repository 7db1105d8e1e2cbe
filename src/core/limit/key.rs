//! Whose bucket: the key of a limit, from verified things only.

use super::{Limit, Names, Quota};
use crate::address::Address;

/// What a limit tells callers apart by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four independent parts of one key")]
pub(crate) struct KeyParts {
    pub(crate) consumer: bool,
    pub(crate) credential: bool,
    pub(crate) address: bool,
    pub(crate) route: bool,
}

impl KeyParts {
    /// Whether the address is the whole key: such a limit is spent before the credential is read.
    pub(crate) const fn is_address_alone(&self) -> bool {
        self.address && !self.consumer && !self.credential && !self.route
    }
}

/// What is known of a request when a limit asks for its bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Subject<'k> {
    pub(crate) consumer: Option<&'k str>,
    pub(crate) credential: Option<&'k str>,
    pub(crate) address: Option<Address>,
    pub(crate) route: Option<&'k str>,
    /// Whether consumer and credential are somebody of whom the policy says nothing: there may be any
    /// number of them.
    pub(crate) is_stranger: bool,
}

/// Names one bucket: gateway, limit, and the parts of the limit's key. Policy generations are not
/// part of it, so a reload keeps every bucket.
#[derive(Clone, Copy, Debug)]
pub struct BucketKey<'k> {
    gateway: &'k str,
    limit: &'k Limit,
    subject: Subject<'k>,
}

impl<'k> BucketKey<'k> {
    /// The bucket of a limit for the parts of a subject that its key names. A part that the request
    /// does not have (no consumer on a public route) is a value of its own.
    pub(crate) fn new(gateway: &'k str, limit: &'k Limit, of: &Subject<'k>) -> Self {
        let parts = &limit.key;
        let subject = Subject {
            consumer: of.consumer.filter(|_| parts.consumer),
            credential: of.credential.filter(|_| parts.credential),
            address: of.address.filter(|_| parts.address).map(Address::subscriber),
            route: of.route.filter(|_| parts.route),
            is_stranger: of.is_stranger && (parts.consumer || parts.credential),
        };
        Self { gateway, limit, subject }
    }

    /// The bucket that newcomers of this limit share while a store has no room for their own.
    #[must_use]
    pub fn overflow(&self) -> Self {
        Self { subject: Subject::default(), ..*self }
    }

    /// Whether callers can make any number of such keys: anybody on the network of those with an
    /// address, an issuer of those with a token that is no consumer's. Of all others there are as many
    /// as the policy has consumers, keys and routes.
    pub fn is_unbounded(&self) -> bool {
        self.subject.address.is_some() || self.subject.is_stranger
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
        let parts = &self.limit.key;
        let mut part = |name, text: Option<&str>| write(name, text.unwrap_or("-").as_bytes());
        if parts.consumer {
            part("consumer", consumer);
        }
        if parts.credential {
            part("credential", credential);
        }
        if parts.route {
            part("route", self.subject.route);
        }
        if parts.address {
            let mut text = Vec::new();
            match self.subject.address {
                Some(address) => address.write(&mut text),
                None => text.push(b'-'),
            }
            write("address", &text);
        }
    }

    /// The number of the limit: a store may keep something that is worth nothing under another one.
    pub fn quota(&self) -> &'k Quota {
        &self.limit.quota
    }

    /// Writes the key so that no two keys are written alike: each part carries its length.
    pub fn encode(&self, out: &mut Vec<u8>) {
        push(out, Some(self.gateway.as_bytes()));
        push(out, Some(self.limit.bucket.as_bytes()));
        push(out, self.subject.consumer.map(str::as_bytes));
        push(out, self.subject.credential.map(str::as_bytes));
        push(out, self.subject.route.map(str::as_bytes));
        match self.subject.address {
            None => {}
            Some(Address::V4(bits)) => out.extend_from_slice(&bits.to_be_bytes()),
            Some(Address::V6(bits)) => out.extend_from_slice(&(bits >> 64).to_be_bytes()),
        }
    }
}

/// Length plus one, or zero for a part that is not there; then the part. Names are at most 64 bytes.
fn push(out: &mut Vec<u8>, part: Option<&[u8]>) {
    let length = part.map_or(0, |part| part.len().saturating_add(1));
    out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(part.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{Calendar, FleetPart};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const ALL: KeyParts = KeyParts { consumer: true, credential: true, address: true, route: true };

    fn encoded(limit: &str, parts: KeyParts, subject: &Subject<'_>) -> Vec<u8> {
        let quota = Quota::new(1, 1, 1).unwrap_or_else(|| panic!("one"));
        written(&Limit::new(limit, None, quota, parts), subject)
    }

    fn written(limit: &Limit, subject: &Subject<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        BucketKey::new("gw", limit, subject).encode(&mut out);
        out
    }

    fn address(text: &str) -> Option<Address> {
        Address::parse(text.as_bytes())
    }

    #[test]
    fn no_two_keys_are_written_alike() {
        // L09
        let subject = |consumer, route| Subject { consumer, route, ..Subject::default() };
        let keys = [
            subject(Some("a:b"), Some("c")),
            subject(Some("a"), Some("b:c")),
            subject(Some("abc"), None),
            subject(None, Some("abc")),
            subject(None, None),
            Subject { credential: Some("abc"), ..Subject::default() },
            Subject { address: address("1.2.3.4"), ..Subject::default() },
            Subject { address: address("102:304::"), ..Subject::default() },
        ];
        let mut all: Vec<_> = keys.iter().map(|key| encoded("l", ALL, key)).collect();
        all.push(encoded("l2", ALL, &keys[0]));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), keys.len() + 1);
    }

    #[test]
    fn buckets_belong_to_a_window_and_not_to_its_number() {
        let bucket = |window, quota: Option<Quota>| {
            let quota = quota.unwrap_or_else(|| panic!("{window:?}"));
            written(&Limit::new("l", window, quota, ALL), &Subject::default())
        };
        let rate = |count| Quota::new(count, 1_000_000, 5);
        let quota = Quota::of_window;
        assert_eq!(bucket(Some("1/s"), rate(1)), bucket(Some("5/s"), rate(5)));
        let month = Calendar::Month(1);
        assert_eq!(bucket(None, quota(5, month)), bucket(Some("9/month"), quota(9, month)));
        let mut all = vec![
            bucket(None, rate(1)),
            bucket(Some("1/s"), rate(1)),
            bucket(Some("1/h"), rate(1)),
            bucket(None, quota(5, Calendar::Hour)),
            bucket(None, quota(5, month)),
            bucket(None, quota(5, Calendar::Month(15))),
            bucket(None, quota(5, Calendar::MONDAYS)),
            bucket(None, quota(5, Calendar::Week(1))),
        ];
        // What a process admits of a fleet's limit without the service is counted apart.
        for quota in [rate(1), quota(5, month)] {
            let quota = quota.unwrap_or_else(|| panic!("a quota"));
            let whole = Limit::new("l", None, quota, ALL);
            all.push(written(&FleetPart::new(&whole, 1, 2).share, &Subject::default()));
        }
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn addresses_count_by_subscriber() {
        // L12, L13
        let key =
            |text| encoded("l", ALL, &Subject { address: address(text), ..Subject::default() });
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:198.51.100.7"), key("198.51.100.7"));
        assert_ne!(key("198.51.100.7"), key("198.51.100.8"));
    }

    #[test]
    fn only_named_parts_count() {
        let one = Subject { consumer: Some("a"), credential: Some("k1"), ..Subject::default() };
        let two = Subject { credential: Some("k2"), ..one };
        let by_consumer = KeyParts { consumer: true, ..KeyParts::default() };
        // L15: keys of one consumer share its bucket, unless the limit says otherwise.
        let by_consumer = || by_consumer.clone();
        assert_eq!(encoded("l", by_consumer(), &one), encoded("l", by_consumer(), &two));
        assert_ne!(encoded("l", ALL, &one), encoded("l", ALL, &two));
    }
}
