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
//! limit. Hits of a lease that nobody spends are lost to the window, so one is asked for only where somebody came within
//! the second before, and where it can be remembered. So are those of a lease that was refused, with
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
    /// For how many hits is asked at once; 1: for those of each request when it comes.
    pub(crate) lease: u32,
    /// What this process admits of its own, without the service.
    pub(crate) share: Limit,
}

impl FleetPart {
    /// The part of a limit that is cut into shares for so many processes.
    pub(crate) fn new(limit: &Limit, lease: u32, processes: u64) -> Self {
        // A length that no gateway's name has.
        let bucket = [&[u8::MAX; 2], &*limit.bucket].concat().into();
        let quota = limit.quota.share(processes);
        Self {
            lease,
            share: Limit {
                bucket,
                ..Limit::new("", limit.name(), limit.window(), quota, limit.key.clone())
            },
        }
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

    /// What is asked about a key, and what follows without an answer, for whoever asks nobody.
    pub(crate) fn in_words(
        &self,
        key: &BucketKey<'_>,
        names: Names<'_>,
        cost: u32,
        part: &FleetPart,
    ) -> String {
        let (name, mut entries) = (key.limit(), String::new());
        key.write_parts(names, &mut |part, value| {
            entries.extend([", ", part, " `", &String::from_utf8_lossy(value), "`"]);
        });
        let without = match self.on_error {
            OnError::Local => format!("a share of {} at once decides", part.share.quota.burst()),
            OnError::Deny => "the request is refused".to_owned(),
            OnError::Allow => "the limit is passed over".to_owned(),
        };
        let (domain, s) = (&self.domain, if cost == 1 { "" } else { "s" });
        let again = match part.lease {
            lease if lease > cost => format!(" ({lease} for who comes again within a second)"),
            _ => String::new(),
        };
        format!(
            "`{name}`: nobody was asked; Envoy asks domain `{domain}` for {cost} hit{s}{again} of limit \
             `{name}`{entries}, and without an answer {without}"
        )
    }

    /// `RateLimitRequest` for a key.
    pub(crate) fn question(&self, key: &BucketKey<'_>, names: Names<'_>, hits: u32) -> Vec<u8> {
        message::request(&self.domain, key.limit(), |write| key.write_parts(names, write), hits)
    }
}

#[cfg(test)]
mod tests {
    use super::super::bucket::MAX_FILL;
    use super::super::{Calendar, KeyParts, Quota};
    use super::*;
    use crate::time::SECOND;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn shares_are_no_more_than_the_whole() {
        let quota = |count, period, burst| {
            Quota::new(count, period, burst).unwrap_or_else(|| panic!("{count}/{period}, {burst}"))
        };
        let whole = quota(10, SECOND, 20);
        assert_eq!(whole.share(1), whole);
        assert_eq!((whole.share(4).burst(), whole.share(4).interval()), (5, 4 * whole.interval()));
        assert_eq!((whole.share(7).burst(), whole.share(7).interval()), (2, 7 * whole.interval()));
        // Nobody is left without a token, and no bucket takes longer to fill than any may.
        let slow = quota(2, 366 * 86_400 * SECOND, 2);
        assert_eq!((slow.share(1_000).burst(), slow.share(1_000).interval()), (1, MAX_FILL));
        let month = Quota::of_window(10, Calendar::Month(1)).map(|month| month.share(4).burst());
        assert_eq!(month, Some(2));
    }

    #[test]
    fn a_share_has_a_bucket_of_its_own() {
        let quotas = [Quota::of_window(10, Calendar::Year), Quota::new(10, SECOND, 10)];
        for quota in quotas.into_iter().flatten() {
            let limit = Limit::new("gw", "l", None, quota, KeyParts::default());
            let part = FleetPart::new(&limit, 1, 1);
            assert_eq!(part.share.name(), limit.name());
            assert_ne!(part.share.bucket, limit.bucket);
        }
    }
}
