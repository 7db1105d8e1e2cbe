//! Limits: a bucket of tokens each, told apart by a key, kept behind one narrow port.

mod bucket;
mod calendar;
mod charge;
mod fleet;
mod flights;
mod key;
mod lease;
mod look;
mod parts;
mod spend;
mod store;

pub use bucket::Quota;
pub use charge::Charge;
pub use fleet::{Breaker, Fleet, Inquiry, MAX_ANSWER, Standing, Verdict};
pub use flights::{Entry, Flights, Place, Shared, SharedValues};
pub use key::BucketKey;
pub use lease::Lease;
pub use look::{LimitLook, Refill};
#[cfg(test)]
pub(crate) use store::Troubled;
pub use store::{BucketStore, MemoryStore, StoreFault};

pub(crate) use bucket::{MAX_COUNT, State};
pub(crate) use calendar::Calendar;
pub(crate) use charge::ChargeRule;
pub(crate) use fleet::{Figures, FleetPart, Known, Names, OnError, Origin};
pub(crate) use parts::{KeyParts, More, Named, Prefix, Subject};
pub(crate) use spend::{Ask, LimitReport, Spent, fail, leave, look_again, pay, spend};

use crate::time::SECOND;

/// Position of a limit in its policy. Of a limit with several windows each has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LimitId(pub(crate) u16);

/// A limit as the policy defines it; of one with several windows, one of them.
#[derive(Clone, Debug)]
pub struct Limit {
    pub(crate) name: Box<str>,
    /// What callers are told: the name, and which of several windows behind a semicolon.
    pub(crate) told: Box<str>,
    /// What the names of its buckets begin with. How many a rate or a quota admits is no part of it, so what was
    /// used is remembered when it changes; of a quota its windows are, because used in one is nothing in another.
    pub(crate) bucket: Box<[u8]>,
    pub(crate) quota: Quota,
    /// How many requests of a key may be in flight at once. Then it has no bucket, and `quota` means nothing.
    pub(crate) concurrent: Option<u16>,
    pub(crate) key: KeyParts,
    /// Whether it only looks on: it counts and is recorded, and refuses nobody.
    pub(crate) observe: bool,
    /// Whether it counts requests that fail for their credential, and no others.
    pub(crate) failures: bool,
    /// How the response tells what a request has cost.
    pub(crate) charge: Option<Box<ChargeRule>>,
    /// What makes it a fleet's, if it is one.
    pub(crate) fleet: Option<Box<FleetPart>>,
    /// What `RateLimit-Policy` says of it, but for the length of a calendar window at the end.
    pub(crate) policy_item: Box<str>,
    /// What `RateLimit` says of it, up to the number of tokens that are left.
    pub(crate) state_item: Box<str>,
}

/// The unit of a rate or a quota, as the policy writes it.
pub(crate) fn unit_of(window: &str) -> &str {
    window.split_once('/').map_or(window, |(_, unit)| unit)
}

impl Limit {
    /// A limit of a gateway, of this quota for each key. Its name is one that the policy's grammar allows: it needs no
    /// escapes. `window` is what the policy says of one of several windows, its count, a slash and its unit.
    pub(crate) fn new(
        gateway: &str,
        name: &str,
        window: Option<&str>,
        quota: Quota,
        key: KeyParts,
    ) -> Self {
        let with = |suffix: Option<&str>| match suffix {
            Some(suffix) => format!("{name};{suffix}"),
            None => name.to_owned(),
        };
        let told = with(window);
        let (burst, seconds) = (quota.burst(), quota.fill().div_ceil(SECOND));
        let item = format!("\"{told}\";q={burst};w=");
        let (called, policy_item) = match quota.calendar() {
            Some(calendar) => (format!("{name};{}{}", calendar.unit(), calendar.first_day()), item),
            None => (with(window.map(unit_of)), format!("{item}{seconds}")),
        };
        let mut bucket = Vec::new();
        key::push(&mut bucket, gateway.as_bytes());
        key::push(&mut bucket, called.as_bytes());
        Self {
            name: name.into(),
            state_item: format!("\"{told}\";r=").into(),
            told: told.into(),
            bucket: bucket.into(),
            quota,
            concurrent: None,
            key,
            observe: false,
            failures: false,
            charge: None,
            fleet: None,
            policy_item: policy_item.into(),
        }
    }

    /// A limit of so many requests in flight for each key.
    pub(crate) fn of_flights(gateway: &str, name: &str, most: u16, key: KeyParts) -> Option<Self> {
        let quota = Quota::new(1, 1, most.into())?;
        let policy_item = format!("\"{name}\";q={most};qu=\"concurrent-requests\"").into();
        let limit = Self::new(gateway, name, None, quota, key);
        Some(Self { concurrent: Some(most), policy_item, ..limit })
    }

    /// Whether it is looked at before the credential is read. What is in flight is counted when all else
    /// is decided.
    pub(crate) const fn is_early(&self) -> bool {
        self.failures || (self.key.is_address_alone() && self.concurrent.is_none())
    }

    /// The limit's name in the policy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which of the limit's windows this is, as the policy writes it. `None`: it has only one.
    pub fn window(&self) -> Option<&str> {
        self.told.get(self.name.len().saturating_add(1)..)
    }
}
