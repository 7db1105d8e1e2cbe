//! An issuer as the policy has it: whose tokens, for whom, for how long, and what they may say.

use std::rc::Rc;

use super::algorithm::Algorithm;
use super::claim_value::ClaimPath;
use super::jwks::KeySet;
use crate::authz::ScopeId;
use crate::lookup::Lookup;
use crate::policy::ConsumerId;

/// Position of an issuer in its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IssuerId(pub(crate) u16);

impl IssuerId {
    /// Position of the issuer in its policy, from 0.
    pub fn position(self) -> usize {
        usize::from(self.0)
    }
}

/// What the policy asks of one issuer's tokens.
#[derive(Clone, Debug)]
pub struct Issuer {
    pub(crate) id: IssuerId,
    /// The name in the policy: part of principals, audit records and metrics.
    pub(crate) name: Box<str>,
    /// What `iss` must be, exactly.
    pub(crate) url: Box<str>,
    /// One of these must be in `aud`.
    pub(crate) audiences: Box<[Box<str>]>,
    /// In the order of the enum.
    pub(crate) algorithms: Box<[Algorithm]>,
    pub(crate) keys: KeyOrigin,
    /// What `typ` must be, one of these. Empty: absent, `JWT` or `at+jwt`.
    pub(crate) types: Box<[Box<str>]>,
    /// By how much clocks may differ, in seconds.
    pub(crate) leeway: u64,
    /// Longest time from `iat` to `exp`, in seconds.
    pub(crate) max_lifetime: Option<u64>,
    /// The claim that names the caller.
    pub(crate) subject: ClaimPath,
    pub(crate) scopes: ClaimPath,
    pub(crate) roles: Option<RoleClaim>,
    /// Which tokens are a consumer's, by the value of a claim.
    pub(crate) owners: ByClaim<ConsumerId>,
    pub(crate) revoked: Revoked,
}

impl Issuer {
    /// Which of its policy's issuers it is.
    pub fn id(&self) -> IssuerId {
        self.id
    }

    /// The issuer's name in the policy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What `iss` must be.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The algorithms that its keys may use.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Where its keys come from.
    pub fn keys(&self) -> &KeyOrigin {
        &self.keys
    }
}

/// Where the keys of an issuer come from.
#[derive(Clone, Debug)]
pub enum KeyOrigin {
    /// They stand in the policy.
    Inline(Rc<KeySet>),
    /// Variables of the environment hold secrets.
    Secrets(Box<[Box<str>]>),
    /// They are fetched.
    Remote(Remote),
}

/// A key set that is fetched. Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The Envoy cluster that serves it.
    pub cluster: Box<str>,
    /// What `:authority` says.
    pub authority: Box<str>,
    /// The target of the key set; `None`: by `OpenID` Connect Discovery.
    pub path: Option<Box<str>>,
    /// The set is fetched anew at least this often.
    pub refresh: u64,
    /// Longest wait for an answer.
    pub timeout: u64,
    /// A set is used for this long after it was fetched, or found unchanged.
    pub max_stale: u64,
    /// Shortest time between two fetches of the process.
    pub cooldown: u64,
}

/// A claim whose entries are roles of the policy.
#[derive(Clone, Debug)]
pub(crate) struct RoleClaim {
    pub(crate) path: ClaimPath,
    /// What each of the issuer's roles may do here.
    pub(crate) scopes: Lookup<Box<[ScopeId]>>,
}

/// What of an issuer's tokens is revoked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Revoked {
    pub(crate) all: Option<Cutoff>,
    pub(crate) key_ids: Lookup<()>,
    pub(crate) token_ids: Lookup<()>,
    /// By the value of a claim: subjects, clients.
    pub(crate) by_claim: ByClaim<Cutoff>,
}

impl Revoked {
    /// Revokes tokens in which one of these claims has a value. Of two cut-offs the wider one holds.
    pub(crate) fn cut(
        &mut self,
        claims: impl IntoIterator<Item = ClaimPath>,
        value: &str,
        cutoff: Cutoff,
    ) {
        for claim in claims {
            if let (Some(held), false) = self.by_claim.of(claim).entry(value, cutoff) {
                *held = cutoff.max(*held);
            }
        }
    }
}

/// What holds for the values of some claims.
#[derive(Clone, Debug)]
pub(crate) struct ByClaim<V>(Vec<(ClaimPath, Lookup<V>)>);

impl<V> Default for ByClaim<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> ByClaim<V> {
    /// The values of a claim, to add to.
    pub(crate) fn of(&mut self, claim: ClaimPath) -> &mut Lookup<V> {
        let found = self.0.iter().position(|(path, _)| *path == claim);
        let place = found.unwrap_or(self.0.len());
        if found.is_none() {
            self.0.push((claim, Lookup::default()));
        }
        #[expect(clippy::indexing_slicing, reason = "it was there, or pushed above")]
        &mut self.0[place].1
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(ClaimPath, Lookup<V>)> {
        self.0.iter()
    }
}

/// Which tokens of a subject are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cutoff {
    /// Those with an `iat` before this many seconds after the epoch, or without one.
    IssuedBefore(u64),
    /// All, for as long as the policy says so.
    Always,
}
