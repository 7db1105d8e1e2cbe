//! What callers are told of limits. Of one that only looks on they hear nothing.

use std::cmp::Reverse;

use crate::decision::Decision;
use crate::json::push_number;
use crate::limit::{LimitReport, State};
use crate::time::{SECOND, Timestamp};

type Line = (&'static str, String);

impl Decision<'_, '_> {
    /// The limits that counted and refuse.
    fn told(&self) -> impl Iterator<Item = &LimitReport<'_>> {
        self.limits.iter().filter(|report| !report.limit.observe)
    }

    /// Whole seconds until every limit would give what the request costs, at least 1 (RFC 9110 section
    /// 10.2.3).
    pub(super) fn retry_after(&self) -> u64 {
        let waits =
            self.told().filter(|report| report.state.is_empty()).map(|report| report.wait());
        waits.max().unwrap_or(0).max(1)
    }

    /// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11), lists of items (RFC
    /// 9651 section 3.1): for every limit that applied, `q` tokens that refill or come back in `w` seconds,
    /// `r` left, all back in `t` seconds. A limit that refuses has enough again in `t`.
    #[inline]
    pub(super) fn limit_headers(&self) -> Option<[Line; 2]> {
        self.told().next().filter(|_| self.policy.limit_headers.standard)?;
        let (mut policy, mut state) = (String::with_capacity(96), Vec::with_capacity(96));
        for report in self.told() {
            if !state.is_empty() {
                policy.push_str(", ");
                state.extend_from_slice(b", ");
            }
            policy.push_str(&report.limit.policy_item);
            if report.limit.quota.calendar().is_some() {
                policy.push_str(&report.window_seconds(self.now));
            }
            state.push(b'"');
            state.extend_from_slice(report.limit.told.as_bytes());
            state.extend_from_slice(b"\";r=");
            push_number(&mut state, report.state.remaining());
            state.extend_from_slice(b";t=");
            push_number(&mut state, report.wait());
        }
        let state = String::from_utf8(state).unwrap_or_default();
        Some([("ratelimit-policy", policy), ("ratelimit", state)])
    }

    /// The older headers, which have room for one limit: the one with the fewest tokens, of several the one
    /// that they come back to last. `X-RateLimit-Reset` is in seconds from now, as Envoy's own filters have
    /// it.
    pub(super) fn add_legacy_limit_headers(&self, lines: &mut Vec<Line>) {
        if !self.policy.limit_headers.legacy {
            return;
        }
        let nearest =
            |report: &&LimitReport<'_>| (report.state.remaining(), Reverse(report.wait()));
        let Some(report) = self.told().min_by_key(nearest) else { return };
        for (name, value) in [
            ("x-ratelimit-limit", report.limit.quota.burst()),
            ("x-ratelimit-remaining", report.state.remaining()),
            ("x-ratelimit-reset", report.wait()),
        ] {
            lines.push((name, value.to_string()));
        }
    }
}

impl LimitReport<'_> {
    /// The length of the calendar window that holds an instant, in whole seconds.
    #[inline(never)]
    fn window_seconds(&self, now: Timestamp) -> String {
        let length = self.limit.quota.window_length(now).map_or(0, seconds);
        length.to_string()
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
