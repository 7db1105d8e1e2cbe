//! One pass over the header lines: each goes to the part of the decision that reads it.

use crate::bytes::same;
use crate::request::{Field, HeaderLine};

/// Most header sources of credentials that a policy may name, of both kinds together.
pub(crate) const MAX_CREDENTIAL_HEADERS: usize = 8;

/// What the decision does with the lines of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Method,
    Path,
    Authority,
    Host,
    ContentType,
    RequestId,
    ForwardedFor,
    Cookie,
    /// May hold a token behind its scheme, or a credential of somebody else's.
    Authorization,
    Country,
    /// Set or removed by the hop in front: the position among the policy's trusted headers.
    Trusted(u8),
    /// Carries a credential: the position among the policy's header sources.
    Credential(u8),
    /// The same, and in its exact spelling it goes on to the upstream.
    ForwardedCredential(u8),
    /// Never reaches an upstream.
    Stripped,
}

/// Names that every policy reads.
const WELL_KNOWN: [(&str, Role); 7] = [
    (":method", Role::Method),
    (":path", Role::Path),
    (":authority", Role::Authority),
    ("host", Role::Host),
    ("content-type", Role::ContentType),
    ("x-request-id", Role::RequestId),
    ("x-forwarded-for", Role::ForwardedFor),
];

/// A name and what is done with it.
type Known = (Box<str>, Role);

/// Which names matter to a policy, found under every spelling that a server could fold together:
/// case, and `_` for `-`.
#[derive(Clone, Debug)]
pub(crate) struct NameTable {
    /// The names of N bytes are at N: most lines end their lookup at none.
    by_length: Box<[Vec<Known>]>,
}

impl NameTable {
    /// The well-known names and those of a policy, in lower case; names are at most 63 bytes.
    pub(crate) fn new(names: impl IntoIterator<Item = Known>) -> Self {
        let well_known = WELL_KNOWN.iter().map(|(name, role)| (Box::from(*name), *role));
        let names: Vec<_> = well_known.chain(names).collect();
        let longest = names.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut by_length = vec![Vec::new(); longest.saturating_add(1)];
        for (name, role) in names {
            if let Some(place) = by_length.get_mut(name.len()) {
                place.push((name, role));
            }
        }
        Self { by_length: by_length.into() }
    }

    /// The role of a name and whether it is spelled exactly as configured.
    #[inline]
    fn find(&self, name: &[u8]) -> Option<(Role, bool)> {
        let names = self.by_length.get(name.len())?;
        // Nearly always it is spelled as configured, and no two names fold to one.
        if let Some((_, role)) = names.iter().find(|(known, _)| same(name, known.as_bytes())) {
            return Some((*role, true));
        }
        let (_, role) = names.iter().find(|(known, _)| folds_to(name, known.as_bytes()))?;
        Some((*role, false))
    }

    /// Whether a trailer of this name must never reach an upstream: what is stripped as a header, and
    /// what is read as one. Envoy writes no trailers of these names, so they are the caller's.
    pub(crate) fn is_stripped_trailer(&self, name: &[u8]) -> bool {
        let read = matches!(
            self.find(name),
            Some((
                Role::Country
                    | Role::Trusted(_)
                    | Role::Cookie
                    | Role::Authorization
                    | Role::ForwardedCredential(_),
                _
            ))
        );
        read || self.is_stripped(name)
    }

    /// Whether a request with a line of this name may go on without it, or with another: what is
    /// stripped, and what holds a credential beside other things.
    pub(crate) fn is_edited(&self, name: &[u8]) -> bool {
        let held = matches!(self.find(name), Some((Role::Cookie | Role::Authorization, true)));
        held || self.is_stripped(name)
    }

    /// Whether lines of this name must never reach an upstream.
    pub(crate) fn is_stripped(&self, name: &[u8]) -> bool {
        match self.find(name) {
            Some((Role::Stripped | Role::Credential(_), _)) => true,
            Some((Role::Country | Role::Trusted(_) | Role::ForwardedCredential(_), exact)) => {
                !exact
            }
            _ => false,
        }
    }
}

fn folds_to(name: &[u8], known: &[u8]) -> bool {
    let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == known.len() && name.iter().zip(known).all(|(a, b)| fold(a) == fold(b))
}

/// What one pass over the lines found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers<'r> {
    pub(crate) method: Field<'r>,
    pub(crate) path: Field<'r>,
    pub(crate) authority: Field<'r>,
    pub(crate) host: Field<'r>,
    pub(crate) content_type: Field<'r>,
    pub(crate) request_id: Field<'r>,
    pub(crate) cookie: Field<'r>,
    pub(crate) authorization: Field<'r>,
    pub(crate) country: Field<'r>,
    /// Trusted headers that are there: the position among the policy's, and the lines.
    pub(crate) trusted: Vec<(u8, Field<'r>)>,
    pub(crate) credentials: [Field<'r>; MAX_CREDENTIAL_HEADERS],
    /// Names to remove before an upstream sees the request, as they were spelled.
    pub(crate) stripped: Vec<&'r [u8]>,
}

impl<'r> Headers<'r> {
    #[inline]
    pub(crate) fn read(lines: &'r [HeaderLine<'r>], names: &NameTable) -> Self {
        let mut headers = Self::default();
        for (name, value) in lines {
            if let Some((role, exact)) = names.find(name) {
                headers.add(role, exact, name, value);
            }
        }
        headers
    }

    #[inline]
    fn add(&mut self, role: Role, exact: bool, name: &'r [u8], value: &'r [u8]) {
        match (role, exact) {
            (Role::Method, true) => self.method.add(value),
            (Role::Path, true) => self.path.add(value),
            (Role::Authority, true) => self.authority.add(value),
            (Role::Host, true) => self.host.add(value),
            (Role::ContentType, true) => self.content_type.add(value),
            (Role::RequestId, true) => self.request_id.add(value),
            (Role::Cookie, true) => self.cookie.add(value),
            (Role::Country, true) => self.country.add(value),
            (Role::Trusted(position), true) => self.add_trusted(position, value),
            (Role::Authorization, true) => self.authorization.add(value),
            (Role::Credential(position), true) => {
                self.add_credential(position, value);
                self.strip(name);
            }
            (Role::ForwardedCredential(position), true) => self.add_credential(position, value),
            (
                Role::Stripped
                | Role::Credential(_)
                | Role::ForwardedCredential(_)
                | Role::Country
                | Role::Trusted(_),
                _,
            ) => self.strip(name),
            _ => {}
        }
    }

    fn add_credential(&mut self, position: u8, value: &'r [u8]) {
        if let Some(field) = self.credentials.get_mut(usize::from(position)) {
            field.add(value);
        }
    }

    // Most policies trust no header.
    #[cold]
    fn add_trusted(&mut self, position: u8, value: &'r [u8]) {
        match self.trusted.iter_mut().find(|(other, _)| *other == position) {
            Some((_, field)) => field.add(value),
            None => self.trusted.push((position, Field::One(value))),
        }
    }

    #[inline]
    fn strip(&mut self, name: &'r [u8]) {
        if !self.stripped.contains(&name) {
            self.stripped.push(name);
        }
    }

    /// Whether the caller speaks gRPC, by Envoy's own test: `application/grpc`, alone or with a `+`
    /// suffix. Envoy turns our reply into a gRPC one in exactly these cases.
    pub(crate) fn is_grpc(&self) -> bool {
        let rest =
            self.content_type.one().and_then(|value| value.strip_prefix(b"application/grpc"));
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_spelling_is_stripped_and_one_is_read() {
        // H03, K05
        let names = NameTable::new([
            ("x-api-key".into(), Role::Credential(0)),
            ("x-portcullis-consumer".into(), Role::Stripped),
        ]);
        let lines: [HeaderLine<'_>; 6] = [
            (b"x-api-key", b"good"),
            (b"x_api_key", b"odd"),
            (b"X_Portcullis-consumer", b"admin"),
            (b"x-portcullis_consumer", b"admin"),
            (b"x-portcullis-consumers", b"other"),
            (b"x-forwarded_for", b"not read"),
        ];
        let headers = Headers::read(&lines, &names);
        assert_eq!(headers.credentials[0], Field::One(b"good"));
        let stripped: Vec<_> = lines[..4].iter().map(|(name, _)| *name).collect();
        assert_eq!(headers.stripped, stripped);
        assert!(
            names.is_stripped(b"X-PORTCULLIS-CONSUMER") && !names.is_stripped(b"x-forwarded-for")
        );
    }
}
