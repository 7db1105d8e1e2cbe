//! Finding the credentials that a request shows, in every place the policy could take one from.

use std::borrow::Cow;

use super::bearer::{Bearer, bearer};
use crate::headers::Headers;
use crate::reason::Denial;
use crate::request::Field;

/// What a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialKind {
    /// A key of a consumer.
    ApiKey,
    /// A signed token of an issuer (RFC 7519).
    Jwt,
}

impl CredentialKind {
    /// The kind's name in policies, audit records and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Jwt => "jwt",
        }
    }
}

/// A place that the policy takes credentials of one kind from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) spot: Spot,
    pub(crate) kind: CredentialKind,
    /// Whether what stands there goes on to the upstream.
    pub(crate) forward: bool,
}

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    /// `Authorization`, behind the scheme `Bearer`.
    Bearer,
    /// A header: its position among the policy's header sources.
    Header(u8),
    /// A query parameter.
    Query(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
}

/// A credential as it was shown. Not printable: it holds a secret.
pub(crate) struct Presented<'r> {
    /// The text of the credential. `None` where the place was named in a spelling that is not the
    /// configured one: something was shown, and it cannot be valid.
    pub(crate) text: Option<Cow<'r, [u8]>>,
}

/// The credentials of a request: at most one of each kind.
#[derive(Default)]
pub(crate) struct Shown<'r> {
    pub(crate) key: Option<Presented<'r>>,
    pub(crate) token: Option<Presented<'r>>,
}

impl<'r> Shown<'r> {
    fn add(&mut self, kind: CredentialKind, text: Option<Cow<'r, [u8]>>) -> Result<(), Denial> {
        let place = match kind {
            CredentialKind::ApiKey => &mut self.key,
            CredentialKind::Jwt => &mut self.token,
        };
        let before = place.replace(Presented { text });
        before.map_or(Ok(()), |_| Err(Denial::CredentialAmbiguous))
    }
}

/// Reads every source.
///
/// # Errors
/// [`Denial::CredentialAmbiguous`] for two credentials of a kind, or two lines of a header that can
/// carry one.
#[inline]
pub(crate) fn extract<'r>(
    sources: &[Source],
    headers: &Headers<'r>,
    query: Option<&'r [u8]>,
) -> Result<Shown<'r>, Denial> {
    let mut shown = Shown::default();
    for Source { spot, kind, .. } in sources {
        match spot {
            Spot::Bearer => match headers.authorization {
                Field::Absent => {}
                Field::One(value) => match bearer(value) {
                    Bearer::Token(text) => shown.add(*kind, Some(Cow::Borrowed(text)))?,
                    Bearer::Malformed => shown.add(*kind, None)?,
                    Bearer::OtherScheme => {}
                },
                Field::Many => return Err(Denial::CredentialAmbiguous),
            },
            Spot::Header(position) => {
                match headers.credentials.get(usize::from(*position)).copied().unwrap_or_default() {
                    Field::Absent => {}
                    Field::One(value) => shown.add(*kind, Some(Cow::Borrowed(value)))?,
                    Field::Many => return Err(Denial::CredentialAmbiguous),
                }
            }
            Spot::Query(name) => {
                for pair in pairs(query.unwrap_or_default()) {
                    match pair.means(name) {
                        Means::Exactly => shown.add(*kind, Some(decode(pair.value)))?,
                        Means::InOtherWords => shown.add(*kind, None)?,
                        Means::Other => {}
                    }
                }
            }
            Spot::Cookie(name) => {
                if headers.cookie == Field::Many {
                    return Err(Denial::CredentialAmbiguous);
                }
                for (_, value) in cookies(headers.cookie.one().unwrap_or_default())
                    .filter(|(other, _)| *other == name.as_bytes())
                {
                    shown.add(*kind, Some(Cow::Borrowed(value)))?;
                }
            }
        }
    }
    Ok(shown)
}

/// What is left of a query and a cookie header once the credentials are taken out.
pub(crate) struct SourceStrip;

impl SourceStrip {
    /// The target without the parameters that name a source in any spelling; `None` if it has none.
    pub(crate) fn target(sources: &[Source], target: &[u8]) -> Option<Vec<u8>> {
        let mark = target.iter().position(|byte| *byte == b'?')?;
        let (path, query) = target.split_at_checked(mark)?;
        let query = query.strip_prefix(b"?")?;
        let names = || sources.iter().filter_map(Source::stripped_query);
        let kept = |pair: &Pair<'_>| names().all(|name| matches!(pair.means(name), Means::Other));
        if pairs(query).all(|pair| kept(&pair)) {
            return None;
        }
        let mut left = path.to_vec();
        for (position, pair) in pairs(query).filter(kept).enumerate() {
            left.push(if position == 0 { b'?' } else { b'&' });
            left.extend_from_slice(pair.whole);
        }
        Some(left)
    }

    /// The cookie header without the cookies that are a source; `None` if it has none of them.
    pub(crate) fn cookie(sources: &[Source], value: &[u8]) -> Option<Vec<u8>> {
        let is_source = |name: &[u8]| {
            sources
                .iter()
                .filter_map(Source::stripped_cookie)
                .any(|source| source.as_bytes() == name)
        };
        if !cookies(value).any(|(name, _)| is_source(name)) {
            return None;
        }
        let mut left = Vec::with_capacity(value.len());
        for part in value.split(|byte| *byte == b';') {
            if !is_source(cookie(part).0) {
                if !left.is_empty() {
                    left.extend_from_slice(b"; ");
                }
                left.extend_from_slice(part.trim_ascii());
            }
        }
        Some(left)
    }
}

impl Source {
    /// The query parameter that is taken out.
    fn stripped_query(&self) -> Option<&str> {
        match &self.spot {
            Spot::Query(name) if !self.forward => Some(name),
            _ => None,
        }
    }

    /// The cookie that is taken out.
    fn stripped_cookie(&self) -> Option<&str> {
        match &self.spot {
            Spot::Cookie(name) if !self.forward => Some(name),
            _ => None,
        }
    }

    /// Whether `Authorization` is removed where it holds a token.
    pub(crate) fn strips_bearer(&self) -> bool {
        self.spot == Spot::Bearer && !self.forward
    }
}

/// One parameter of a query.
struct Pair<'q> {
    whole: &'q [u8],
    name: &'q [u8],
    value: &'q [u8],
}

/// How a parameter's name stands to a source's.
enum Means {
    Exactly,
    /// Escaped, in another case, or behind a `;`: some server would read the source's name in it.
    InOtherWords,
    Other,
}

impl Pair<'_> {
    fn means(&self, source: &str) -> Means {
        let reads_as_source = |name: &[u8]| unescaped(name).map(fold).eq(source.bytes().map(fold));
        // Some servers take `;` for `&`, so a name may stand behind one.
        let mut names = self.whole.split(|byte| *byte == b';').map(name_of);
        if self.name == source.as_bytes() {
            Means::Exactly
        } else if names.any(reads_as_source) {
            Means::InOtherWords
        } else {
            Means::Other
        }
    }
}

fn name_of(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or_default()
}

fn pairs(query: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    query.split(|byte| *byte == b'&').filter(|whole| !whole.is_empty()).map(|whole| {
        let mut parts = whole.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default();
        Pair { whole, name, value: parts.next().unwrap_or_default() }
    })
}

fn cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.split(|byte| *byte == b';').map(cookie)
}

/// Name and value of one cookie pair (RFC 6265 section 5.4, read as a server reads it).
fn cookie(part: &[u8]) -> (&[u8], &[u8]) {
    let mut halves = part.splitn(2, |byte| *byte == b'=');
    let name = halves.next().unwrap_or_default().trim_ascii();
    (name, halves.next().unwrap_or_default().trim_ascii())
}

const fn fold(byte: u8) -> u8 {
    byte.to_ascii_lowercase()
}

fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if text.contains(&b'%') { Cow::Owned(unescaped(text).collect()) } else { Cow::Borrowed(text) }
}

/// Percent-decodes once, as far as it is asked to; escapes that are none stay as they are.
pub(crate) fn unescaped(mut text: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (byte, after) = text.split_first()?;
        let escape = after.split_first_chunk::<2>().filter(|_| *byte == b'%');
        let value = escape.and_then(|([high, low], after)| {
            let digits = [char::from(*high).to_digit(16)?, char::from(*low).to_digit(16)?];
            Some((u8::try_from(digits[0] << 4 | digits[1]).ok()?, after))
        });
        let (value, rest) = value.unwrap_or((*byte, after));
        text = rest;
        Some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn sources() -> [Source; 4] {
        let key = |spot| Source { spot, kind: CredentialKind::ApiKey, forward: false };
        [
            key(Spot::Header(0)),
            key(Spot::Query("api_key".into())),
            key(Spot::Cookie("key".into())),
            Source { spot: Spot::Bearer, kind: CredentialKind::Jwt, forward: false },
        ]
    }

    fn shown(header: Field<'_>, query: &str, cookie: Field<'_>) -> Result<Option<String>, Denial> {
        let mut headers = Headers { cookie, ..Headers::default() };
        headers.credentials[0] = header;
        let found = extract(&sources(), &headers, Some(query.as_bytes()))?;
        Ok(found.key.map(|found| match found.text {
            Some(text) => String::from_utf8_lossy(&text).into_owned(),
            None => "(odd)".to_owned(),
        }))
    }

    #[test]
    fn one_credential_is_found_wherever_it_stands() {
        let none = Field::Absent;
        assert_eq!(shown(none, "a=b", Field::One(b"other=1")), Ok(None));
        assert_eq!(shown(Field::One(b"k"), "", none), Ok(Some("k".into())));
        assert_eq!(shown(Field::One(b""), "", none), Ok(Some(String::new())));
        assert_eq!(shown(none, "a=b&api_key=k%5f1", none), Ok(Some("k_1".into())));
        assert_eq!(shown(none, "", Field::One(b"a=b; key=k")), Ok(Some("k".into())));
        // J69 for keys: other spellings of the name are something shown that cannot be valid.
        assert_eq!(shown(none, "API_KEY=k", none), Ok(Some("(odd)".into())));
        assert_eq!(shown(none, "api%5Fkey=k", none), Ok(Some("(odd)".into())));
        assert_eq!(shown(none, "a=1;api_key=k", none), Ok(Some("(odd)".into())));
        assert_eq!(shown(none, "a=api_key", none), Ok(None));
    }

    #[test]
    fn two_credentials_are_never_weighed() {
        let (none, ambiguous) = (Field::Absent, Err(Denial::CredentialAmbiguous));
        assert_eq!(shown(Field::Many, "", none), ambiguous);
        assert_eq!(shown(Field::One(b"k"), "api_key=k", none), ambiguous);
        assert_eq!(shown(none, "api_key=k&api_key=k", none), ambiguous);
        assert_eq!(shown(none, "api_key=k&API_key=k", none), ambiguous);
        assert_eq!(shown(none, "", Field::One(b"key=a; key=b")), ambiguous);
        assert_eq!(shown(none, "", Field::Many), ambiguous);
    }

    #[test]
    fn one_of_each_kind_is_two_findings() {
        // J70
        let mut headers = Headers { authorization: Field::One(b"Bearer t"), ..Headers::default() };
        headers.credentials[0] = Field::One(b"k");
        let text =
            |shown: Option<Presented<'_>>| shown.and_then(|shown| shown.text).map(Cow::into_owned);
        let both = extract(&sources(), &headers, None);
        let both = both.map(|shown| (text(shown.key), text(shown.token)));
        assert_eq!(both, Ok((Some(b"k".to_vec()), Some(b"t".to_vec()))));
        headers.authorization = Field::Many;
        assert_eq!(extract(&sources(), &headers, None).err(), Some(Denial::CredentialAmbiguous));
    }

    #[test]
    fn what_was_shown_is_taken_out() {
        let strip = |target: &str| {
            let left = SourceStrip::target(&sources(), target.as_bytes())?;
            String::from_utf8(left).ok()
        };
        assert_eq!(strip("/x?a=1&api_key=k&b=2").as_deref(), Some("/x?a=1&b=2"));
        assert_eq!(strip("/x?api_key=k").as_deref(), Some("/x"));
        assert_eq!(strip("/x?%61pi_key=k&API_KEY=j&c").as_deref(), Some("/x?c"));
        assert_eq!(strip("/x?a=api_key"), None);
        assert_eq!(strip("/api_key=k"), None);
        let cookie = SourceStrip::cookie(&sources(), b"a=1;key=k ; b=\"2\"");
        assert_eq!(cookie.as_deref(), Some(&b"a=1; b=\"2\""[..]));
        assert_eq!(SourceStrip::cookie(&sources(), b"key=k").as_deref(), Some(&b""[..]));
        assert_eq!(SourceStrip::cookie(&sources(), b"keys=k"), None);
    }
}
