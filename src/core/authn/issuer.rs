//! An issuer as the policy has it: whose tokens, for whom, for how long, and what they may say.

use std::collections::{HashMap, HashSet};

use super::algorithm::Algorithm;
use super::claim_value::ClaimPath;
use crate::authz::ScopeId;

/// Position of an issuer in its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IssuerId(pub(crate) u16);

/// Bounds of the leeway, in seconds.
pub(crate) const LEEWAY: std::ops::RangeInclusive<u64> = 0..=300;

/// What the policy asks of one issuer's tokens.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    /// The name in the policy: part of principals, audit records and metrics.
    pub(crate) name: Box<str>,
    /// What `iss` must be, exactly.
    pub(crate) url: Box<str>,
    /// One of these must be in `aud`.
    pub(crate) audiences: Box<[Box<str>]>,
    pub(crate) algorithms: Box<[Algorithm]>,
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
    pub(crate) revoked: Revoked,
}

/// A claim whose entries are roles of the policy.
#[derive(Clone, Debug)]
pub(crate) struct RoleClaim {
    pub(crate) path: ClaimPath,
    /// What each of the issuer's roles may do here.
    pub(crate) scopes: HashMap<Box<str>, Box<[ScopeId]>>,
}

/// What of an issuer's tokens is revoked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Revoked {
    pub(crate) all: Option<Cutoff>,
    pub(crate) key_ids: HashSet<Box<str>>,
    pub(crate) token_ids: HashSet<Box<str>>,
    /// By the value of a claim: subjects, clients.
    pub(crate) by_claim: Vec<(ClaimPath, HashMap<Box<str>, Cutoff>)>,
}

/// Which tokens of a subject are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cutoff {
    /// All, for as long as the policy says so.
    Always,
    /// Those with an `iat` before this many seconds after the epoch, or without one.
    IssuedBefore(u64),
}
