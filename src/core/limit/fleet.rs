//! Limits of a fleet: a rate limit service counts for all processes that name it.
//!
//! Every fleet limit has a bucket of its whole rate in the process too. It is looked at first, so what one
//! process alone would refuse is never asked. Then the service is asked, about one limit at a time: there are
//! services that answer for all descriptors of a call together, or have rules for the first of them only.
//! What it says is remembered in the worker that asked ([`Standing`]): a refusal until the limit's reset, and
//! hits that were asked for ahead.
//!
//! **The bound.** Every request is admitted on a hit that the service has counted, in the window that it was
//! asked in. A lease ends with that window, as far as the worker knows it, and after a second. Services tell
//! the end in whole seconds, so it may reach by less than a second into the next window: in each window
//! all workers together admit at most the limit, and `lease - 1` for each worker and key. Without leases that is the
//! limit. Hits of a lease that nobody spends are lost to the window. So are those of a lease that was refused, with
//! a service that counts what it refuses; it is then asked for single hits until the reset.
//!
//! **Without the service** each process goes on as the policy says. `local` is a bucket of one share of the
//! rate and one share of the burst, at least one: `n` processes that are told to be `n` admit together what one
//! bucket would, and `n` at least.

mod breaker;
mod message;
mod standing;

pub use breaker::Breaker;
pub use message::{MAX_ANSWER, Verdict};
pub use standing::Standing;

pub(crate) use standing::{Figures, Known};

use super::{BucketKey, Limit, LimitId};
use crate::time::Timestamp;

/// The rate limit service of a policy.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The Envoy cluster that it is reached by.
    pub(crate) cluster: Box<str>,
    pub(crate) domain: Box<str>,
    /// The longest that a request waits for it, in nanoseconds.
    pub timeout: u64,
    pub(crate) on_error: OnError,
}

/// What becomes of a request that the service cannot be asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnError {
    /// This process's share of the limit decides.
    #[default]
    Local,
    Deny,
    Allow,
}

/// Where the answer for a limit came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The limit's bucket in this process.
    #[default]
    Process,
    /// The service was asked.
    Service,
    /// Hits that were asked for ahead.
    Lease,
    /// The service has refused before.
    Remembered,
    /// The process's share of the limit, because the service could not be asked.
    Local,
    /// Nobody could be asked.
    Nobody,
}

impl Origin {
    /// Its name in audit records; `None` where nobody else had to be asked.
    pub(crate) const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Process => return None,
            Self::Service => "service",
            Self::Lease => "lease",
            Self::Remembered => "remembered",
            Self::Local => "local",
            Self::Nobody => "nobody",
        })
    }
}

/// One question to the service.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// `RateLimitRequest`, serialized.
    pub message: Vec<u8>,
    pub(crate) limit: LimitId,
    pub(crate) hits: u32,
    pub(crate) asked: Timestamp,
    /// When the first question was asked about the same request.
    pub since: Timestamp,
}

/// What makes a limit a fleet's.
#[derive(Clone, Debug)]
pub(crate) struct FleetPart {
    /// For how many requests is asked at once; 1: for each when it comes.
    pub(crate) lease: u32,
    /// What this process admits of its own, without the service.
    pub(crate) share: Limit,
}

impl FleetPart {
    /// The part of a limit that is cut into shares for so many processes.
    pub(crate) fn new(limit: &Limit, lease: u32, processes: u64) -> Self {
        let quota = limit.quota.share(processes);
        let share = Limit::new(limit.name(), Some("share"), quota, limit.key.clone());
        // Of a quota, too, it is another bucket than that of the whole.
        let bucket = format!("{};share", limit.bucket).into();
        Self { lease, share: Limit { observe: limit.observe, bucket, ..share } }
    }
}

/// Consumer and credential as the service is told of them, in ASCII.
pub(crate) type Names<'k> = (Option<&'k str>, Option<&'k str>);

impl Fleet {
    /// The service as Envoy takes it: `envoy.config.core.v3.GrpcService`, serialized.
    pub fn service(&self) -> Vec<u8> {
        message::service(&self.cluster)
    }

    /// Writes which service it is. Nothing else that is named after it begins like that: no bucket's name does.
    pub fn write_name(&self, out: &mut Vec<u8>) {
        for text in [&self.cluster, &self.domain] {
            out.extend_from_slice(text.as_bytes());
            out.push(0);
        }
    }

    /// `RateLimitRequest` for a key.
    pub(crate) fn question(&self, key: &BucketKey<'_>, names: Names<'_>, hits: u32) -> Vec<u8> {
        message::request(&self.domain, key.limit(), |write| key.write_parts(names, write), hits)
    }
}
