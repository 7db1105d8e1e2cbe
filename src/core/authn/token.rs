//! One token from its text to a verified caller. The cheap checks come first, the signature last but
//! for revocation and whose it is: a flood of bad tokens costs no more than reading them.

use std::cell::OnceCell;
use std::rc::Rc;

use super::claim_value::{ClaimPath, ClaimValue, escape, header_value, is_plain};
use super::claims::{Registered, check_type};
use super::fault::Fault;
use super::grants;
use super::issuer::{Issuer, IssuerId};
use super::jws::{Jws, LastHeader};
use super::signature::SignatureVerifier;
use super::tokens::{Keyring, Keys};
use crate::authz::{ScopeSet, ScopeTable};
use crate::bytes::same;
use crate::node::flat::{Flat, Value};
use crate::policy::{Consumer, ConsumerId};
use crate::reason::Denial;
use crate::time::Timestamp;

/// Longest claim that names a caller, in bytes.
const MAX_SUBJECT: usize = 256;

/// Most values of claims that a remembered token holds.
const MAX_KEPT: usize = 256;

/// Position of a claim among those that a policy names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClaimId(pub(crate) u16);

/// What a policy needs to judge tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenRules {
    pub(crate) issuers: Box<[Issuer]>,
    /// Longest token, in bytes.
    pub(crate) max_size: usize,
    /// How many verified tokens a thread remembers.
    pub(crate) cache: usize,
    /// Claims that routes ask for and limits count by; a token's are kept in this order.
    pub(crate) claims: Box<[ClaimPath]>,
    /// Claims that an upstream is told, and the headers that tell it.
    pub(crate) headers: Box<[(ClaimPath, Box<str>)]>,
}

/// A token that was verified, and all of it that decides. It is only used before its end.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) issuer: IssuerId,
    /// Who it is where it is no consumer's: the issuer's name, a colon, the claim that names the caller.
    pub(crate) name: Box<str>,
    /// Where in the name that claim begins.
    pub(crate) subject_at: usize,
    /// The same, as a header can hold it, where that is something else.
    pub(crate) header_name: Option<Box<str>>,
    /// Whose it is.
    pub(crate) consumer: Option<ConsumerId>,
    pub(crate) key_id: Option<Rc<str>>,
    /// Its `jti`.
    pub(crate) id: Option<Box<str>>,
    /// The first instant at which it is refused, leeway included.
    pub(crate) end: Timestamp,
    /// What it may do: its scopes, of a consumer's token those that the consumer holds too.
    pub(crate) scopes: ScopeSet,
    /// The claims that routes ask for and limits count by, in the rules' order.
    pub(crate) claims: Box<[Option<ClaimValue>]>,
    /// What the upstream is told of its claims: positions in the rules' headers, and values.
    pub(crate) headers: Box<[(u16, Box<str>)]>,
    /// What the audit record has of it, once it was written: the same each time.
    pub(crate) record: OnceCell<Box<[u8]>>,
}

impl Token {
    /// The claim that names the caller.
    pub(crate) fn subject(&self) -> &str {
        self.name.get(self.subject_at..).unwrap_or_default()
    }

    /// The name, as a header can hold it.
    pub(crate) fn header_name(&self) -> &str {
        self.header_name.as_ref().unwrap_or(&self.name)
    }

    /// Whether it holds so much that it is not worth remembering: a list has many times the size in
    /// memory that it has in a token.
    pub(crate) fn is_large(&self) -> bool {
        let values = self.claims.iter().flatten().map(ClaimValue::len);
        values.fold(0_usize, usize::saturating_add) > MAX_KEPT
    }

    pub(crate) fn claim(&self, id: ClaimId) -> Option<&ClaimValue> {
        self.claims.get(usize::from(id.0)).and_then(Option::as_ref)
    }
}

/// What becomes of a token.
#[derive(Debug)]
pub(crate) enum Verdict {
    Verified(Rc<Token>),
    /// It cannot be judged before the issuer's keys are fetched: there are none, or none of its `kid`.
    NeedsKeys(IssuerId, Option<Box<str>>, Fault),
    /// Its signature is good, and the policy bars it all the same.
    Barred(Rc<Token>, Fault),
    /// Refused, and the issuer that it names, where there is one.
    Refused(Option<IssuerId>, Fault),
}

impl Keys {
    /// The id of the key that signed.
    fn verify(
        &self,
        jws: &Jws<'_>,
        verifier: &mut dyn SignatureVerifier,
    ) -> Result<Option<Rc<str>>, Fault> {
        match self {
            Self::Public(set) => set.verify(jws, verifier).map(|key| key.shared_id()),
            Self::Secret(secrets) => secrets.verify(jws).map(|()| None),
        }
    }

    /// Whether other keys than these could make a difference for a token.
    fn may_be_outdated(&self, jws: &Jws<'_>) -> bool {
        match self {
            Self::Public(set) => jws.key_id.as_deref().is_some_and(|id| !set.knows(id)),
            Self::Secret(_) => false,
        }
    }
}

/// What a token is held against besides its own rules.
#[derive(Clone, Copy)]
pub(crate) struct Against<'p> {
    pub(crate) scopes: &'p ScopeTable,
    pub(crate) consumers: &'p [Consumer],
    pub(crate) keyring: &'p Keyring,
    pub(crate) now: Timestamp,
}

impl Against<'_> {
    /// The scopes that a consumer holds.
    fn held_by(&self, consumer: ConsumerId) -> &ScopeSet {
        let holder = usize::try_from(consumer.0).ok().and_then(|at| self.consumers.get(at));
        holder.map_or(self.scopes.empty(), |holder| self.scopes.set(holder.scopes))
    }
}

impl TokenRules {
    pub(crate) fn issuer(&self, id: IssuerId) -> Option<&Issuer> {
        self.issuers.get(id.position())
    }

    /// Judges one token.
    pub(crate) fn verify(
        &self,
        text: &[u8],
        against: Against<'_>,
        verifier: &mut dyn SignatureVerifier,
        last: &mut LastHeader,
    ) -> Verdict {
        let mut issuer = None;
        match self.try_verify(text, against, verifier, last, &mut issuer) {
            Ok(verdict) => verdict,
            Err(fault) => Verdict::Refused(issuer, fault),
        }
    }

    fn try_verify(
        &self,
        text: &[u8],
        against: Against<'_>,
        verifier: &mut dyn SignatureVerifier,
        last: &mut LastHeader,
        named: &mut Option<IssuerId>,
    ) -> Result<Verdict, Fault> {
        let (jws, has_last_header) = Jws::parse_after(text, self.max_size, last)?;
        let mut tree = None;
        let claims = Flat::read(&jws.payload, &mut tree);
        let claims = claims.as_ref().ok_or(Fault::malformed("the payload is not JSON"))?.root();
        let registered = Registered::read(claims)?;
        // Keys are looked up under the issuer that the token names, never across.
        let rules = self
            .find(registered.issuer)
            .ok_or(Fault::new(Denial::TokenIssuer, "no configured issuer has this `iss`"))?;
        *named = Some(rules.id);
        if !rules.algorithms.contains(&jws.algorithm) {
            return Err(Fault::new(Denial::TokenAlgorithm, "the issuer may not use this `alg`"));
        }
        check_type(jws.kind.as_deref(), rules)?;
        registered.check(rules, against.now)?;
        let subject = subject(claims, rules)?;
        let needs_keys = |fault| {
            let key_id = jws.key_id.as_deref().map(Box::from);
            Ok(Verdict::NeedsKeys(rules.id, key_id, fault))
        };
        let Some(keys) = against.keyring.of(rules.id, against.now) else {
            let fault = Fault::new(Denial::KeysUnavailable, "the issuer's keys are not there");
            return needs_keys(fault);
        };
        let key_id = match keys.verify(&jws, verifier) {
            Ok(key_id) => key_id,
            Err(fault) if fault.denial == Denial::TokenKeyUnknown && keys.may_be_outdated(&jws) => {
                return needs_keys(fault);
            }
            Err(fault) => return Err(fault),
        };
        if !has_last_header {
            last.keep(&jws);
        }
        self.signed(&registered, subject, rules, key_id, against)
    }

    /// What becomes of a token whose signature is good.
    fn signed(
        &self,
        registered: &Registered<'_>,
        subject: &str,
        rules: &Issuer,
        key_id: Option<Rc<str>>,
        against: Against<'_>,
    ) -> Result<Verdict, Fault> {
        let claims = registered.claims;
        let barred = if registered.is_revoked(rules, key_id.as_deref())? {
            Some(Fault::new(Denial::TokenRevoked, "the policy revokes it"))
        } else {
            None
        };
        let (consumer, barred) = match (owner(claims, rules)?, barred) {
            (Owner::Nobody, barred) => (None, barred),
            (Owner::Consumer(id), barred) => (Some(id), barred),
            (Owner::Several, barred) => {
                let why = "its claims make it the token of two consumers";
                (None, barred.or(Some(Fault::new(Denial::ConsumerAmbiguous, why))))
            }
        };
        let held = consumer.map(|id| against.held_by(id));
        let scopes = grants::scopes(claims, rules, against.scopes, held);
        let token = Rc::new(Token {
            issuer: rules.id,
            name: [&*rules.name, ":", subject].concat().into(),
            subject_at: rules.name.len().saturating_add(1),
            header_name: header_name(rules, subject),
            consumer,
            key_id,
            id: registered.token_id.map(Box::from),
            end: registered.end(rules),
            scopes,
            claims: self.claims.iter().map(|path| kept(path, claims)).collect(),
            headers: self.told(claims),
            record: OnceCell::new(),
        });
        Ok(match barred {
            None => Verdict::Verified(token),
            Some(fault) => Verdict::Barred(token, fault),
        })
    }

    /// What the upstream is told of a token's claims.
    fn told(&self, claims: Value<'_>) -> Box<[(u16, Box<str>)]> {
        let told = (0..).zip(&self.headers).filter_map(|(position, (path, _))| {
            Some((position, header_value(&kept(path, claims)?)?.into_boxed_str()))
        });
        told.collect()
    }

    fn find(&self, issuer: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|rules| same(rules.url.as_bytes(), issuer.as_bytes()))
    }
}

/// The claim that names the caller.
fn subject<'c>(claims: Value<'c>, rules: &Issuer) -> Result<&'c str, Fault> {
    let subject = rules.subject.find(claims).and_then(Value::as_text);
    subject
        .filter(|subject| (1..=MAX_SUBJECT).contains(&subject.len()))
        .ok_or(Fault::malformed("the claim that names the caller is not a text of 1 to 256 bytes"))
}

fn header_name(rules: &Issuer, subject: &str) -> Option<Box<str>> {
    if subject.bytes().all(is_plain) {
        return None;
    }
    let mut name = [&rules.name, ":"].concat();
    escape(&mut name, subject.as_bytes());
    Some(name.into())
}

fn kept(path: &ClaimPath, claims: Value<'_>) -> Option<ClaimValue> {
    path.find(claims).and_then(ClaimValue::read)
}

/// Whose token it is.
enum Owner {
    Nobody,
    Consumer(ConsumerId),
    /// One that is two consumers' is nobody's: which of the two came first in the policy must not decide
    /// what it may do.
    Several,
}

fn owner(claims: Value<'_>, rules: &Issuer) -> Result<Owner, Fault> {
    let mut owner = Owner::Nobody;
    for (path, by_value) in rules.owners.iter() {
        let Some(found) = path.text(claims)?.and_then(|value| by_value.get(value)) else {
            continue;
        };
        owner = match owner {
            Owner::Nobody => Owner::Consumer(*found),
            Owner::Consumer(before) if before == *found => Owner::Consumer(before),
            Owner::Consumer(_) | Owner::Several => return Ok(Owner::Several),
        };
    }
    Ok(owner)
}

#[cfg(test)]
mod tests;
