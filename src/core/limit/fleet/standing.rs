//! What a worker remembers of one key of a fleet limit, so that it need not ask.

use super::message::Verdict;
use crate::time::{SECOND, Timestamp};

/// How long an answer without a time of its own counts, the longest that a lease lives, and how soon somebody has
/// to come again for whom one is asked for, in nanoseconds.
const LIFE: u64 = SECOND;

/// What is known of one key. Nothing of it outlives the window that the service told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    kind: Kind,
    /// From when to when it counts, in unix nanoseconds.
    since: u64,
    until: u64,
    /// Hits that were asked for ahead and are left. Of a refusal those that were too many: fewer may be there.
    left: u64,
    /// What the service told.
    figures: Option<Figures>,
    /// When the last request came, in unix nanoseconds.
    came: u64,
}

/// What the service told of the whole limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Hits that are left.
    pub(crate) remaining: u64,
    /// When all are back, in unix nanoseconds.
    pub(crate) reset: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// Nothing but what the service told, if it did.
    #[default]
    Nothing,
    /// The service has refused.
    Refused,
    /// Hits are there to be spent.
    Lease,
    /// Hits are asked for one request at a time: somebody asks for a lease just now, or the service
    /// has refused one.
    Single,
}

/// What follows for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It is refused for so many nanoseconds.
    Refused(u64),
    /// It was paid from hits that are there.
    Leased(Option<Figures>),
    /// The service must be asked for so many hits.
    Ask(u32),
}

impl Standing {
    /// Whether nothing is lost with it.
    pub fn is_worthless(&self, now: Timestamp) -> bool {
        let now = now.unix_nanos();
        // It lies ahead where the clock was set back.
        self.kind == Kind::Nothing || self.until <= now || now < self.since
    }

    /// When the last request came, in unix nanoseconds.
    pub const fn came(&self) -> u64 {
        self.came
    }

    /// For how many nanoseconds a request of that cost is refused, where that much was before.
    pub(crate) fn refuses(&self, cost: u32, now: Timestamp) -> Option<u64> {
        let is_refused = self.kind == Kind::Refused && u64::from(cost) >= self.left;
        (is_refused && !self.is_worthless(now)).then(|| self.until.saturating_sub(now.unix_nanos()))
    }

    /// For how many nanoseconds nothing is left of the limit, by the service's last word. It may admit all the
    /// same: a limit that only looks on does.
    pub(crate) fn empty_for(&self, now: Timestamp) -> Option<u64> {
        let Figures { remaining, reset } = self.figures()?;
        let wait = reset.checked_sub(now.unix_nanos()).filter(|wait| *wait > 0);
        wait.filter(|_| remaining == 0 && self.since <= now.unix_nanos())
    }

    /// What is known for a request of that cost, under a limit with leases of so many hits; what is spent
    /// is spent.
    pub(crate) fn judge(&mut self, cost: u32, lease: u32, now: Timestamp) -> Known {
        if let Some(wait) = self.refuses(cost, now) {
            return Known::Refused(wait);
        }
        let kind = if self.is_worthless(now) { Kind::Nothing } else { self.kind };
        let ago = now.unix_nanos().checked_sub(self.came);
        // Hits that are asked for ahead are lost where nobody comes for them.
        let lease = if ago.is_some_and(|ago| ago <= LIFE) { lease } else { 1 };
        self.came = now.unix_nanos();
        match kind {
            Kind::Refused | Kind::Single => return Known::Ask(cost),
            Kind::Lease => {
                if let Some(left) = self.left.checked_sub(cost.into()) {
                    self.left = left;
                    return Known::Leased(self.figures());
                }
            }
            Kind::Nothing => *self = Self { came: self.came, ..Self::default() },
        }
        if lease > cost {
            // What is left counts again when the answer is there, in its own time: less than this request
            // costs, so that a lease never holds more than it was asked for.
            let single = Self::of(Kind::Single, now, LIFE);
            let until = if self.left > 0 { self.until } else { single.until };
            *self = Self { left: self.left, until, ..single };
        }
        Known::Ask(cost.max(lease))
    }

    fn of(kind: Kind, now: Timestamp, life: u64) -> Self {
        let since = now.unix_nanos();
        Self { kind, since, until: since.saturating_add(life), left: 0, figures: None, came: since }
    }

    /// What is left in all.
    fn figures(&self) -> Option<Figures> {
        let figures = self.figures?;
        Some(Figures { remaining: figures.remaining.saturating_add(self.left), ..figures })
    }

    /// Takes the answer to a question for `hits` that was asked at `asked` for a request of that cost. `longest`
    /// is how long a refusal may count, in nanoseconds. What the service told is given back.
    pub(crate) fn learn(
        &mut self,
        verdict: &Verdict,
        (hits, cost): (u32, u32),
        asked: Timestamp,
        now: Timestamp,
        longest: u64,
    ) -> Option<Figures> {
        let wait = verdict.reset.unwrap_or(LIFE);
        if verdict.is_over {
            let (kind, left) =
                if hits > cost { (Kind::Single, 0) } else { (Kind::Refused, cost.into()) };
            // It counts for this request at the least.
            *self = Self { left, ..Self::of(kind, now, wait.min(longest).max(1)) };
            return None;
        }
        let told = |remaining| Figures { remaining, reset: now.unix_nanos().saturating_add(wait) };
        let figures = verdict.remaining.map(told);
        if hits <= cost {
            if self.is_worthless(now) {
                *self = Self { figures, ..Self::of(Kind::Nothing, now, wait) };
            }
            return figures;
        }
        let is_lost = self.is_worthless(now) || self.kind == Kind::Refused;
        let before = if is_lost { 0 } else { self.left };
        // From when it was asked for: by then the window that it is counted in had not ended.
        *self = Self {
            left: before.saturating_add(hits.saturating_sub(cost).into()),
            figures,
            ..Self::of(Kind::Lease, asked, wait.min(LIFE))
        };
        self.figures()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const LONGEST: u64 = 60 * SECOND;
    const MILLI: u64 = 1_000_000;

    /// Of somebody who came just before.
    fn known() -> Standing {
        let mut standing = Standing::default();
        assert_eq!(standing.judge(1, 10, at(0)), Known::Ask(1));
        standing
    }

    #[test]
    fn nothing_is_asked_for_ahead_for_who_comes_once_a_second() {
        let mut standing = known();
        assert_eq!(standing.judge(1, 10, at(SECOND + 1)), Known::Ask(1));
        assert_eq!(standing.judge(1, 10, at(2 * SECOND + 1)), Known::Ask(10));
        // Whoever still comes when his lease is over is asked for again.
        let good = verdict(false, Some(90), Some(30 * SECOND));
        let asked = at(2 * SECOND + 1);
        standing.learn(&good, (10, 1), asked, asked, LONGEST);
        let last = at(3 * SECOND);
        assert!(matches!(standing.judge(1, 10, last), Known::Leased(_)));
        assert_eq!(standing.judge(1, 10, at(4 * SECOND)), Known::Ask(10));
    }

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_unix_nanos(1_800_000_000 * SECOND + nanos)
    }

    fn verdict(is_over: bool, remaining: Option<u64>, reset: Option<u64>) -> Verdict {
        Verdict { is_over, remaining, reset }
    }

    #[test]
    fn a_refusal_is_remembered_until_its_reset() {
        for (reset, longest, life) in [
            (Some(7 * SECOND), LONGEST, 7 * SECOND),
            (None, LONGEST, SECOND),
            (Some(100 * SECOND), LONGEST, LONGEST),
        ] {
            let mut standing = Standing::default();
            assert_eq!(standing.judge(1, 1, at(0)), Known::Ask(1));
            standing.learn(&verdict(true, Some(0), reset), (1, 1), at(0), at(MILLI), longest);
            let end = MILLI + life;
            assert_eq!(standing.judge(1, 1, at(end - 1)), Known::Refused(1));
            assert_eq!(standing.judge(1, 1, at(end)), Known::Ask(1));
        }
    }

    #[test]
    fn that_nothing_is_left_is_kept_and_refuses_nobody() {
        let learned = |remaining, hits| {
            let mut standing = known();
            standing.judge(1, hits, at(0));
            let good = verdict(false, Some(remaining), Some(30 * SECOND));
            standing.learn(&good, (hits, 1), at(0), at(MILLI), LONGEST);
            standing
        };
        let mut used_up = learned(0, 1);
        let times = [at(MILLI), at(30 * SECOND), at(30 * SECOND + MILLI), at(0)];
        let waits = times.map(|now| used_up.empty_for(now));
        assert_eq!(waits, [Some(30 * SECOND), Some(MILLI), None, None]);
        assert!(used_up.is_worthless(at(MILLI)), "nobody is kept from its place");
        assert_eq!(used_up.judge(1, 1, at(2 * MILLI)), Known::Ask(1));
        assert_eq!(learned(1, 1).empty_for(at(MILLI)), None);
        // Hits that were asked for ahead are left.
        assert_eq!(learned(0, 2).empty_for(at(MILLI)), None);
    }

    #[test]
    fn a_lease_is_asked_for_by_one_and_spent_by_all() {
        let mut standing = known();
        assert_eq!(standing.judge(1, 10, at(0)), Known::Ask(10));
        // Meanwhile others ask for themselves.
        assert_eq!(standing.judge(2, 10, at(MILLI)), Known::Ask(2));
        let good = verdict(false, Some(90), Some(30 * SECOND));
        let figures = standing.learn(&good, (2, 2), at(MILLI), at(2 * MILLI), LONGEST);
        assert_eq!(figures.map(|figures| figures.remaining), Some(90));
        let figures = standing.learn(&good, (10, 1), at(0), at(2 * MILLI), LONGEST);
        assert_eq!(figures.map(|figures| figures.remaining), Some(99));
        for left in (0..9).rev() {
            let reset = at(30 * SECOND + 2 * MILLI).unix_nanos();
            let figures = Some(Figures { remaining: 90 + left, reset });
            assert_eq!(standing.judge(1, 10, at(3 * MILLI)), Known::Leased(figures));
        }
        assert_eq!(standing.judge(1, 10, at(3 * MILLI)), Known::Ask(10));
    }

    #[test]
    fn a_lease_ends_with_its_window_and_after_a_second() {
        for (reset, life) in
            [(Some(SECOND / 2), SECOND / 2), (None, SECOND), (Some(60 * SECOND), SECOND)]
        {
            let mut standing = known();
            standing.judge(1, 10, at(0));
            standing.learn(&verdict(false, None, reset), (10, 1), at(0), at(5 * MILLI), LONGEST);
            assert_eq!(standing.judge(1, 10, at(life - 1)), Known::Leased(None));
            assert_eq!(standing.judge(1, 10, at(life)), Known::Ask(10));
        }
    }

    #[test]
    fn what_is_left_is_not_lost_by_a_request_that_costs_more() {
        let mut standing = known();
        standing.judge(1, 10, at(0));
        standing.learn(&verdict(false, None, None), (10, 1), at(0), at(0), LONGEST);
        // It asks for itself alone, and takes nobody's turn to ask for a lease.
        assert_eq!(standing.judge(10, 10, at(1)), Known::Ask(10));
        standing.learn(&verdict(false, None, None), (10, 10), at(1), at(2), LONGEST);
        assert_eq!(standing.judge(4, 10, at(3)), Known::Leased(None));
        // What is left and what comes are never more than a lease.
        assert_eq!(standing.judge(6, 10, at(3)), Known::Ask(10));
        standing.learn(&verdict(false, None, None), (10, 6), at(3), at(4), LONGEST);
        assert_eq!(standing.judge(9, 10, at(5)), Known::Leased(None));
        assert_eq!(standing.judge(1, 10, at(5)), Known::Ask(10));
    }

    #[test]
    fn a_lease_that_is_refused_is_asked_for_once_a_window() {
        let mut standing = known();
        assert_eq!(standing.judge(3, 10, at(0)), Known::Ask(10));
        let over = verdict(true, Some(0), Some(20 * SECOND));
        standing.learn(&over, (10, 3), at(0), at(MILLI), LONGEST);
        for _ in 0..5 {
            assert_eq!(standing.judge(3, 10, at(19 * SECOND)), Known::Ask(3));
        }
        standing.learn(&over, (3, 3), at(SECOND), at(SECOND), LONGEST);
        assert_eq!(standing.judge(3, 10, at(20 * SECOND)), Known::Refused(SECOND));
        // Fewer hits may be there.
        assert_eq!(standing.judge(1, 10, at(20 * SECOND)), Known::Ask(1));
        standing.learn(&over, (1, 1), at(20 * SECOND), at(20 * SECOND), LONGEST);
        assert_eq!(standing.judge(1, 10, at(20 * SECOND)), Known::Refused(20 * SECOND));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let mut standing = Standing::default();
        standing.learn(&verdict(true, None, Some(50 * SECOND)), (1, 1), at(0), at(0), LONGEST);
        let past = Timestamp::from_unix_nanos(1_799_999_000 * SECOND);
        assert_eq!(standing.judge(1, 1, past), Known::Ask(1));
    }
}
