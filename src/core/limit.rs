//! Limits: a token bucket each, told apart by a key, kept behind one narrow port.

mod bucket;
mod key;
mod lease;
mod spend;
mod store;

pub use bucket::Quota;
pub use key::BucketKey;
pub use lease::Lease;
pub use store::{BucketStore, MemoryStore, StoreFault};

pub(crate) use bucket::State;
pub(crate) use key::{KeyParts, Subject};
pub(crate) use spend::{LimitReport, Spent, spend};

use crate::time::SECOND;

/// Position of a limit in its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LimitId(pub(crate) u16);

/// A limit as the policy defines it.
#[derive(Clone, Debug)]
pub struct Limit {
    pub(crate) name: Box<str>,
    pub(crate) quota: Quota,
    pub(crate) key: KeyParts,
    /// What `RateLimit-Policy` says of it.
    pub(crate) policy_item: Box<str>,
}

impl Limit {
    /// A limit of this quota for each key. Its name is one that the policy's grammar allows: it needs no
    /// escapes.
    pub(crate) fn new(name: &str, quota: Quota, key: KeyParts) -> Self {
        let (burst, seconds) = (quota.burst(), quota.fill().div_ceil(SECOND));
        let policy_item = format!("\"{name}\";q={burst};w={seconds}");
        Self { name: name.into(), quota, key, policy_item: policy_item.into() }
    }

    /// The limit's name in the policy.
    pub fn name(&self) -> &str {
        &self.name
    }
}
