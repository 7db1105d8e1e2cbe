//! Portcullis's decision: a policy and a request in, a [`Decision`] out.
//!
//! The crate knows no host, no clock, no file and no randomness: the caller hands in the request, the
//! time and the buckets, and carries out the [`Effects`]. The order of checks is in `decide.rs`.
//!
//! The filter has this crate built for size, because most of it compiles policies. What every request runs
//! is marked `#[inline]`: that part is built with the filter, without a call for each small step.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    expect(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        reason = "a test may stop at the first surprise"
    )
)]

mod address;
mod audit;
mod authn;
mod authz;
mod bytes;
mod caller;
pub mod config;
mod decide;
mod decision;
mod effects;
mod explain;
mod few;
mod hand_over;
mod headers;
mod host;
mod json;
mod limit;
mod lookup;
mod method;
mod network;
mod node;
mod path;
mod policy;
mod reason;
mod request;
mod route;
mod sorted;
mod time;
mod wire;

pub use address::{Address, Cidr, CidrFault};
pub use authn::algorithm::{Algorithm, Hash, KeyKind};
pub use authn::api_key::{ApiKey, digest};
pub use authn::claims::check_claims;
pub use authn::extract::CredentialKind;
pub use authn::fault::Fault;
pub use authn::issuer::{Issuer, IssuerId, KeyOrigin, Remote};
pub use authn::judge::{Caller, Judged};
pub use authn::jwk::{KeyFault, VerificationKey};
pub use authn::jwks::{KeyFinding, KeySet, MAX_KEYS, MAX_SET, SetFault, Version};
pub use authn::jws::Jws;
pub use authn::key_text;
pub use authn::secrets::{SecretFault, SecretSet};
pub use authn::signature::{Check, PublicKey, PureVerifier, SignatureVerifier, Unusable};
pub use authn::token_cache::TokenCache;
pub use authn::tokens::Tokens;
pub use decide::{Answer, Pause, Question, Step};
pub use decision::{Decision, Grant, Outcome, Principal};
pub use effects::{Effects, Forward, Lines, Reply};
pub use explain::{Stage, Trace};
pub use few::Few;
pub use hand_over::Fact;
pub use limit::{
    Breaker, BucketKey, BucketStore, Charge, Entry, Fleet, Flights, Inquiry, Lease, Limit,
    LimitLook, MAX_ANSWER, MemoryStore, Place, Quota, Refill, Shared, SharedValues, Standing,
    StoreFault, Verdict,
};
pub use network::Country;
pub use path::Path;
pub use policy::{Consumer, Needs, Policy};
pub use reason::{Denial, Public};
pub use request::{HeaderLine, Request};
pub use route::Route;
pub use time::Timestamp;
