//! What callers are told of limits. Of one that only looks on they hear nothing.

use std::cmp::Reverse;

use super::Lines;
use crate::decision::Decision;
use crate::json::push_number;
use crate::limit::{Limit, LimitReport, Origin, State};
use crate::time::{SECOND, Timestamp};

/// Bytes that the lines of one limit or two take: then they are written in one piece of memory.
const ROOM: usize = 192;

impl Decision<'_, '_> {
    /// The limits that counted and refuse.
    fn told(&self) -> impl Iterator<Item = &LimitReport<'_>> {
        self.limits.iter().filter(|report| !report.limit.observe && report.counted())
    }

    /// Those whose tokens come back with time.
    fn refilling(&self) -> impl Iterator<Item = &LimitReport<'_>> {
        self.told().filter(|report| report.limit.concurrent.is_none())
    }

    /// Whole seconds until every limit would give what the request costs, at least 1 (RFC 9110 section
    /// 10.2.3).
    pub(super) fn retry_after(&self) -> u64 {
        let waits =
            self.refilling().filter(|report| report.state.is_empty()).map(|report| report.wait());
        waits.max().unwrap_or(0).max(1)
    }

    /// Adds `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11), lists of items (RFC
    /// 9651 section 3.1): for every limit that applied, `q` tokens that refill or come back in `w` seconds,
    /// `r` left, all back in `t` seconds. A limit that refuses has enough again in `t`. Of requests in flight `q`
    /// may be, and `r` more: when one of them ends nobody knows.
    #[inline]
    pub(super) fn add_limit_headers(&self, lines: &mut Lines) {
        if !self.policy.limit_headers.standard || self.told().next().is_none() {
            return;
        }
        lines.reserve(ROOM);
        lines.write("ratelimit-policy", |out| {
            self.list_limits(out, |out, report| {
                out.extend_from_slice(report.counted_by().policy_item.as_bytes());
                if report.limit.quota.calendar().is_some() {
                    push_number(out, report.window_seconds(self.now));
                }
            });
        });
        lines.write("ratelimit", |out| {
            self.list_limits(out, |out, report| {
                out.extend_from_slice(report.limit.state_item.as_bytes());
                push_number(out, report.state.remaining());
                if report.limit.concurrent.is_none() {
                    out.extend_from_slice(b";t=");
                    push_number(out, report.wait());
                }
            });
        });
    }

    /// Writes an item for every limit that is told of.
    #[inline]
    fn list_limits(
        &self,
        out: &mut Vec<u8>,
        mut write: impl FnMut(&mut Vec<u8>, &LimitReport<'_>),
    ) {
        for (position, report) in self.told().enumerate() {
            if position > 0 {
                out.extend_from_slice(b", ");
            }
            write(out, report);
        }
    }

    /// The older headers, which have room for one limit: the one with the fewest tokens, of several the one
    /// that they come back to last. `X-RateLimit-Reset` is in seconds from now, as Envoy's own filters have
    /// it.
    pub(super) fn add_legacy_limit_headers(&self, lines: &mut Lines) {
        if !self.policy.limit_headers.legacy {
            return;
        }
        let nearest =
            |report: &&LimitReport<'_>| (report.state.remaining(), Reverse(report.wait()));
        let Some(report) = self.refilling().min_by_key(nearest) else { return };
        for (name, value) in [
            ("x-ratelimit-limit", report.counted_by().quota.burst()),
            ("x-ratelimit-remaining", report.state.remaining()),
            ("x-ratelimit-reset", report.wait()),
        ] {
            lines.write(name, |out| push_number(out, value));
        }
    }
}

impl LimitReport<'_> {
    /// The limit that decided: without a fleet's service this process's share.
    fn counted_by(&self) -> &Limit {
        let share = self.limit.fleet.as_ref().filter(|_| self.origin == Origin::Local);
        share.map_or(self.limit, |part| &part.share)
    }

    /// The length of the calendar window that holds an instant, in whole seconds.
    #[inline(never)]
    fn window_seconds(&self, now: Timestamp) -> u64 {
        self.limit.quota.window_length(now).map_or(0, seconds)
    }

    /// Whole seconds until all tokens are back, or enough of them, where there are too few.
    fn wait(&self) -> u64 {
        let (State::Open { full_in: wait, .. } | State::Empty { retry_in: wait, .. }) = self.state;
        seconds(wait)
    }
}

const fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(SECOND)
}
