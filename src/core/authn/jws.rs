//! A signed token as text: the compact serialization of RFC 7515 section 7.1 and nothing else.
//!
//! Nothing in a header is obeyed: it may name an algorithm and a key, and the key decides whether they
//! fit. Keys and addresses of keys in a header refuse the token.

use std::rc::Rc;

use super::algorithm::Algorithm;
use super::base64url;
use super::fault::Fault;
use crate::bytes::same;
use crate::node::flat::{Flat, Kind, Value};
use crate::reason::Denial;

/// Longest token unless the policy says otherwise, in bytes.
pub(crate) const DEFAULT_SIZE: usize = 8_192;
/// Longest key id, in bytes.
pub(crate) const MAX_KEY_ID: usize = 256;

/// Header members that change what a token means, or bring a key along. RFC 7515 section 4.1.11 would
/// let us obey some; none is needed, and each has let forged tokens pass somewhere.
const REFUSED: [(&str, &str); 9] = [
    ("crit", "the header has `crit`"),
    ("b64", "the header has `b64`"),
    ("zip", "the header has `zip`"),
    ("enc", "the header is one of an encrypted token"),
    ("jwk", "the header brings a key along"),
    ("jku", "the header names a key set's address"),
    ("x5u", "the header names a certificate's address"),
    ("x5c", "the header brings certificates along"),
    ("epk", "the header is one of an encrypted token"),
];
/// Members that are ignored, provided that they are texts.
const TEXTS: [&str; 4] = ["typ", "cty", "x5t", "x5t#S256"];

/// A token taken apart. Nothing in it is verified. Not printable: it is a credential.
pub struct Jws<'t> {
    /// What `alg` says.
    pub algorithm: Algorithm,
    /// `kid`.
    pub key_id: Option<Rc<str>>,
    /// `typ`.
    pub kind: Option<Rc<str>>,
    /// Header and payload as they were received, with the dot between them: what was signed.
    pub signed: &'t [u8],
    /// The claims, as JSON text.
    pub payload: Vec<u8>,
    /// The signature, in JOSE's form.
    pub signature: Vec<u8>,
}

impl<'t> Jws<'t> {
    /// Takes a token apart; longer ones than `max` bytes are not looked at.
    ///
    /// # Errors
    /// `token_malformed`, or `token_algorithm` where `alg` names none that exists here.
    pub fn parse(text: &'t [u8], max: usize) -> Result<Self, Fault> {
        Self::parse_after(text, max, &LastHeader::default()).map(|(jws, _)| jws)
    }

    /// The same, where the header may be the last one again, and whether it is.
    pub(crate) fn parse_after(
        text: &'t [u8],
        max: usize,
        last: &LastHeader,
    ) -> Result<(Self, bool), Fault> {
        if text.len() > max {
            return Err(Fault::malformed("longer than the policy allows"));
        }
        let known = last.of(text);
        let parts = Parts::read(text, known.map(|(_, rest)| rest)).map_err(|why| {
            match text.split(|byte| *byte == b'.').count() {
                3 => Fault::malformed(why),
                _ => Fault::malformed("not three parts with dots between them"),
            }
        })?;
        let header = match known {
            Some((header, _)) => header.clone(),
            None => Header::parse(&parts.header)?,
        };
        let Header { algorithm, key_id, kind } = header;
        let Parts { signed, payload, signature, .. } = parts;
        Ok((Self { algorithm, key_id, kind, signed, payload, signature }, known.is_some()))
    }
}

/// The header of the last token that was good: those of an issuer's tokens are the same bytes from one
/// token to the next.
#[derive(Default)]
pub(crate) struct LastHeader(Option<(Box<[u8]>, Header)>);

impl LastHeader {
    /// Keeps the header of a token that was verified.
    pub(crate) fn keep(&mut self, jws: &Jws<'_>) {
        let text = jws.signed.split(|byte| *byte == b'.').next().unwrap_or_default();
        let (algorithm, key_id, kind) = (jws.algorithm, jws.key_id.clone(), jws.kind.clone());
        self.0 = Some((text.into(), Header { algorithm, key_id, kind }));
    }

    /// The header, if a token has this very one, and what stands after its dot.
    fn of<'t>(&self, token: &'t [u8]) -> Option<(&Header, &'t [u8])> {
        let (text, header) = self.0.as_ref()?;
        let (start, rest) = token.split_at_checked(text.len())?;
        Some((header, rest.strip_prefix(b".").filter(|_| same(start, text))?))
    }
}

/// The three parts of a token, and the first two as they stand in it.
struct Parts<'t> {
    /// Nothing where it is known.
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
    signed: &'t [u8],
}

impl<'t> Parts<'t> {
    /// Reads every part up to the first character that is none of base64url's, so that every byte is
    /// looked at once. `rest` is what stands after a header that is known.
    ///
    /// # Errors
    /// Which part is not base64url, provided that there are three.
    fn read(text: &'t [u8], rest: Option<&[u8]>) -> Result<Self, &'static str> {
        let part = |text| base64url::decode_start(text).filter(|(bytes, _)| !bytes.is_empty());
        let and_dot =
            |text| part(text).and_then(|(bytes, rest)| Some((bytes, rest.strip_prefix(b".")?)));
        let (header, rest) = match rest {
            Some(rest) => (Vec::new(), rest),
            None => and_dot(text).ok_or("the header is not base64url")?,
        };
        let (payload, last) = and_dot(rest).ok_or("the payload is not base64url")?;
        let signature = part(last).filter(|(_, rest)| rest.is_empty());
        let (signature, _) = signature.ok_or("the signature is not base64url")?;
        let signed = text.len().saturating_sub(last.len().saturating_add(1));
        let signed = text.get(..signed).unwrap_or_default();
        Ok(Self { header, payload, signature, signed })
    }
}

/// What is read of a header.
#[derive(Clone)]
struct Header {
    algorithm: Algorithm,
    key_id: Option<Rc<str>>,
    kind: Option<Rc<str>>,
}

impl Header {
    fn parse(text: &[u8]) -> Result<Self, Fault> {
        let mut tree = None;
        let header = Flat::read(text, &mut tree);
        let header = header.as_ref().ok_or(Fault::malformed("the header is not JSON"))?.root();
        if !matches!(header.kind(), Kind::Map) {
            return Err(Fault::malformed("the header is not an object"));
        }
        if let Some((_, why)) = REFUSED.iter().find(|(name, _)| header.member(name).is_some()) {
            return Err(Fault::malformed(why));
        }
        if TEXTS.iter().any(|name| matches!(text_member(header, name), Err(NotText))) {
            return Err(Fault::malformed("a member of the header is not a text"));
        }
        let kind = text_member(header, "typ").unwrap_or_default();
        let content = text_member(header, "cty").unwrap_or_default().unwrap_or_default();
        if subtype(content).eq_ignore_ascii_case("jwt") {
            return Err(Fault::malformed("the payload is another token"));
        }
        let key_id = match text_member(header, "kid") {
            Ok(None) => None,
            Ok(Some(id)) if (1..=MAX_KEY_ID).contains(&id.len()) => Some(id.into()),
            _ => return Err(Fault::malformed("`kid` is not a text of 1 to 256 bytes")),
        };
        let algorithm = match text_member(header, "alg") {
            Ok(Some(name)) => Algorithm::parse(name),
            Ok(None) | Err(NotText) => None,
        };
        let algorithm = algorithm.ok_or(Fault::new(
            Denial::TokenAlgorithm,
            "`alg` is missing or names no algorithm that can be allowed",
        ))?;
        Ok(Self { algorithm, key_id, kind: kind.map(Rc::from) })
    }
}

/// A member that is there and of another type. Wrong type is never absent.
struct NotText;

fn text_member<'h>(header: Value<'h>, name: &str) -> Result<Option<&'h str>, NotText> {
    header.member(name).map(|value| value.as_text().ok_or(NotText)).transpose()
}

/// A media type without the `application/` that may be left out (RFC 7515 section 4.1.9).
pub(crate) fn subtype(media_type: &str) -> &str {
    match media_type.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => media_type,
    }
}

#[cfg(test)]
mod tests;
