//! The registered claims (RFC 7519 section 4.1): read strictly, then held against an issuer's rules.

use super::fault::Fault;
use super::issuer::{Cutoff, Issuer};
use super::jws::subtype;
use crate::bytes::same;
use crate::node::flat::{Flat, Kind, Value};
use crate::reason::Denial;
use crate::time::{SECOND, Timestamp};

/// The last second of the year 9999: no date beyond it is meant.
const LAST: u64 = 253_402_300_799;

/// Registered claims of the right types, and nothing said yet about their values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registered<'c> {
    pub(crate) claims: Value<'c>,
    audience: Option<Value<'c>>,
    pub(crate) issuer: &'c str,
    pub(crate) token_id: Option<&'c str>,
    expires: u64,
    not_before: Option<u64>,
    issued_at: Option<u64>,
}

impl<'c> Registered<'c> {
    /// A claim of another type than its own refuses the token: wrong type is never absent.
    pub(crate) fn read(claims: Value<'c>) -> Result<Self, Fault> {
        if !matches!(claims.kind(), Kind::Map) {
            return Err(Fault::malformed("the payload is not an object"));
        }
        let (mut iss, mut sub, mut aud, mut exp) = (None, None, None, None);
        let (mut nbf, mut iat, mut jti) = (None, None, None);
        for claim in claims.inner() {
            let Ok(name) = <&[u8; 3]>::try_from(claim.name()) else { continue };
            let place = match name {
                b"iss" => &mut iss,
                b"sub" => &mut sub,
                b"aud" => &mut aud,
                b"exp" => &mut exp,
                b"nbf" => &mut nbf,
                b"iat" => &mut iat,
                b"jti" => &mut jti,
                _ => continue,
            };
            *place = Some(claim);
        }
        text(sub, "`sub` is not a text")?;
        check_audience_type(aud)?;
        let expires = date(exp, "`exp` is not a date")?;
        let issuer = text(iss, "`iss` is not a text")?;
        Ok(Self {
            claims,
            audience: aud,
            issuer: issuer.ok_or(Fault::new(Denial::TokenIssuer, "no `iss`"))?,
            token_id: text(jti, "`jti` is not a text")?,
            expires: expires.ok_or(Fault::malformed("no `exp`"))?,
            not_before: date(nbf, "`nbf` is not a date")?,
            issued_at: date(iat, "`iat` is not a date")?,
        })
    }

    /// The first instant at which the token is refused.
    pub(crate) fn end(&self, rules: &Issuer) -> Timestamp {
        instant(self.expires.saturating_add(rules.leeway))
    }

    /// Audience and dates.
    pub(crate) fn check(&self, rules: &Issuer, now: Timestamp) -> Result<(), Fault> {
        if !self.is_for(&rules.audiences) {
            return Err(Fault::new(Denial::TokenAudience, "no configured audience is in `aud`"));
        }
        if self.end(rules) <= now {
            return Err(Fault::new(Denial::TokenExpired, "`exp` has passed"));
        }
        // Dates are whole seconds, so the second that it is decides.
        let latest = now.unix_seconds().saturating_add(rules.leeway);
        let is_ahead = |date: Option<u64>| date.is_some_and(|date| date > latest);
        if is_ahead(self.not_before) {
            return Err(Fault::new(Denial::TokenNotYetValid, "`nbf` is still to come"));
        }
        if is_ahead(self.issued_at) {
            return Err(Fault::new(Denial::TokenNotYetValid, "`iat` is still to come"));
        }
        let Some(longest) = rules.max_lifetime else { return Ok(()) };
        let lifetime = |why| Fault::new(Denial::TokenLifetime, why);
        let issued_at = self.issued_at.ok_or(lifetime("no `iat`, so its life has no length"))?;
        if self.expires.saturating_sub(issued_at) > longest {
            return Err(lifetime("more time lies between `iat` and `exp` than the policy allows"));
        }
        Ok(())
    }

    fn is_for(&self, audiences: &[Box<str>]) -> bool {
        let is_ours = |text: Option<&str>| {
            text.is_some_and(|text| {
                audiences.iter().any(|ours| same(ours.as_bytes(), text.as_bytes()))
            })
        };
        self.audience.is_some_and(|audience| {
            is_ours(audience.as_text()) || audience.inner().any(|entry| is_ours(entry.as_text()))
        })
    }

    /// Whether the policy revokes this token, signed by the key of this id.
    ///
    /// # Errors
    /// `token_malformed` where a claim that decides it is there and not a text: wrong type is never
    /// absent.
    pub(crate) fn is_revoked(&self, rules: &Issuer, key_id: Option<&str>) -> Result<bool, Fault> {
        let revoked = &rules.revoked;
        let is_cut = |cutoff: &Cutoff| match cutoff {
            Cutoff::Always => true,
            Cutoff::IssuedBefore(date) => self.issued_at.is_none_or(|issued| issued < *date),
        };
        if revoked.all.as_ref().is_some_and(is_cut)
            || key_id.is_some_and(|id| revoked.key_ids.contains(id))
            || self.token_id.is_some_and(|id| revoked.token_ids.contains(id))
        {
            return Ok(true);
        }
        for (path, values) in revoked.by_claim.iter() {
            let value = path.text(self.claims)?;
            if value.and_then(|value| values.get(value)).is_some_and(is_cut) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether a payload is one strict object whose registered claims are of the right types, with the two
/// that every token needs. Nothing is said of their values.
///
/// # Errors
/// `token_malformed`, or `token_issuer` where there is no `iss`.
pub fn check_claims(payload: &[u8]) -> Result<(), Fault> {
    let mut tree = None;
    let claims =
        Flat::read(payload, &mut tree).ok_or(Fault::malformed("the payload is not JSON"))?;
    Registered::read(claims.root()).map(|_| ())
}

/// Whether a token may be of this type (RFC 8725 section 3.11). Types are media types and compared
/// without case.
pub(crate) fn check_type(kind: Option<&str>, rules: &Issuer) -> Result<(), Fault> {
    let is =
        |one: &str, other: &str| one == other || subtype(one).eq_ignore_ascii_case(subtype(other));
    let good = match kind {
        None => rules.types.is_empty(),
        Some(kind) if rules.types.is_empty() => is(kind, "JWT") || is(kind, "at+jwt"),
        Some(kind) => rules.types.iter().any(|other| is(kind, other)),
    };
    if good {
        Ok(())
    } else {
        Err(Fault::new(Denial::TokenType, "`typ` is none that the issuer's tokens may have"))
    }
}

fn text<'c>(claim: Option<Value<'c>>, why: &'static str) -> Result<Option<&'c str>, Fault> {
    claim.map(|value| value.as_text().ok_or(Fault::malformed(why))).transpose()
}

/// A `NumericDate` in whole seconds, rounded down; from the epoch to the year 9999.
fn date(claim: Option<Value<'_>>, why: &'static str) -> Result<Option<u64>, Fault> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "the range is checked before, and is exact in a double"
    )]
    let read = |value: Value<'_>| match value.kind() {
        Kind::Number(number) if (0.0..=LAST as f64).contains(&number) => Ok(number.floor() as u64),
        _ => Err(Fault::malformed(why)),
    };
    claim.map(read).transpose()
}

/// A text or a list of texts (RFC 7519 section 4.1.3).
fn check_audience_type(audience: Option<Value<'_>>) -> Result<(), Fault> {
    let good = audience.is_none_or(|audience| match audience.kind() {
        Kind::Text(_) => true,
        Kind::List => audience.inner().all(|entry| matches!(entry.kind(), Kind::Text(_))),
        _ => false,
    });
    if good { Ok(()) } else { Err(Fault::malformed("`aud` is not a text or a list of texts")) }
}

/// The instant, or the last one that there is. `saturating_mul` would compute 128 bits.
fn instant(seconds: u64) -> Timestamp {
    let is_there = seconds <= u64::MAX / SECOND;
    Timestamp::from_unix_nanos(if is_there { seconds.wrapping_mul(SECOND) } else { u64::MAX })
}
