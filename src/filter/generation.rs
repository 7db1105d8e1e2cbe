//! A policy in force, with what this VM remembers of it: tokens, keys, what is counted, the timer.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use portcullis_core::{Answer, Breaker, Pause, Policy, Question, Timestamp};

use crate::abi::{self, Inbox, Level};
use crate::keys::KeySets;
use crate::metrics::{Known, Metrics};
use crate::native::Native;
use crate::waiting::Ask;

/// First tick after a configuration, in milliseconds. Envoy configures a copy of the VM that it throws
/// away, so gauges wait until it is clear that this one stays.
const FIRST_TICK: u32 = 1_000;
/// The same where keys have to be fetched.
const FIRST_FETCH: u32 = 50;
/// All later ticks, in milliseconds.
const TICK: u32 = 60_000;
/// The same where tokens are verified, and where keys are fetched: those gauges change faster.
const TOKEN_TICK: u32 = 10_000;
const FETCH_TICK: u32 = 1_000;
/// The longest that a count of requests waits for the timer.
const COUNT_TICK: u32 = 1_000;
/// Ticks while a request waits for keys that another worker may be fetching.
const WAITING_TICK: u32 = 25;
/// Ticks while requests that waited are being taken up.
const RESUMING_TICK: u32 = 1;

const MILLI: u64 = 1_000_000;

/// What a thread knows of tokens.
pub(crate) type Tokens = portcullis_core::Tokens<Native>;

/// A policy in force, with what is remembered of it.
pub(crate) struct Generation {
    pub(crate) root: u32,
    pub(crate) policy: Policy,
    pub(crate) known: RefCell<Known>,
    pub(crate) tokens: RefCell<Tokens>,
    pub(crate) keys: RefCell<KeySets>,
    pub(crate) breaker: Cell<Breaker>,
    /// The period of the root context's timer; its generations share it.
    period: Rc<Cell<u32>>,
    gauges_due: Cell<Timestamp>,
    /// Look-ups of tokens that are counted already: hits and misses; and tokens remembered.
    counted: Cell<(u64, u64, i64)>,
    /// Whether the gauge has the breaker as open.
    counted_open: Cell<bool>,
}

/// The answer to a call: its number, its header lines (none: it failed), the length of its body.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) token: u32,
    pub(crate) lines: u32,
    pub(crate) size: usize,
}

impl Generation {
    /// A policy that goes in force on a root context, after another one or not. Its timer starts.
    pub(crate) fn new(
        root: u32,
        policy: Policy,
        tokens: Tokens,
        keys: KeySets,
        before: Option<&Rc<Self>>,
    ) -> Self {
        let first = if keys.is_empty() { FIRST_TICK } else { FIRST_FETCH };
        let period = before.map_or_else(Rc::default, |before| Rc::clone(&before.period));
        match abi::tick_every(first) {
            Ok(()) => period.set(first),
            Err(fault) => abi::log(Level::Warn, &format!("gauges stay unset: {fault}")),
        }
        Self {
            root,
            policy,
            known: RefCell::default(),
            tokens: RefCell::new(tokens),
            keys: RefCell::new(keys),
            breaker: Cell::default(),
            period,
            gauges_due: Cell::default(),
            counted: Cell::default(),
            counted_open: Cell::default(),
        }
    }

    /// Has the timer run soon, because a request waits for keys.
    fn tick_soon(&self) {
        self.tick_within(WAITING_TICK);
    }

    /// Has the timer run within a second, because something was counted. Most often it does already.
    pub(crate) fn tick_for_counts(&self) {
        self.tick_within(COUNT_TICK);
    }

    fn tick_within(&self, millis: u32) {
        if self.period.get() > millis {
            self.tick_in(millis);
        }
    }

    /// Sets the timer. Setting it starts it anew, so only a change is told to the host.
    fn tick_in(&self, millis: u32) {
        // A timer that cannot be set stays as it is, and the next tick tries again.
        if self.period.get() != millis && abi::tick_every(millis).is_ok() {
            self.period.set(millis);
        }
    }

    /// What a request does whose walk has paused.
    pub(crate) fn ask(
        &self,
        inbox: &Inbox,
        now: Timestamp,
        pause: &Pause,
        tokens: &mut Tokens,
        metrics: &mut Metrics,
        may_wait: bool,
    ) -> Ask {
        let (issuer, key_id) = match pause.question() {
            Question::Keys { issuer, key_id } => (*issuer, key_id.as_deref()),
            Question::Fleet(inquiry) => {
                // It is told of the answer; should the host lose the call, the timer notices.
                self.tick_for_counts();
                return self.inquire(inquiry, now, metrics, may_wait);
            }
        };
        let Ok(mut keys) = self.keys.try_borrow_mut() else {
            return Ask::Decide(Answer::Unavailable);
        };
        let mut turn = keys.turn(inbox, now, &self.policy, tokens, metrics);
        let asked = keys.ask(&mut turn, issuer, key_id, may_wait);
        if matches!(asked, Ask::Wait(_)) {
            self.tick_soon();
        }
        asked
    }

    /// Looks for newer keys and fetches what is due, or what one of the sources in `awaited` is
    /// waited for.
    pub(crate) fn look_for_keys(
        &self,
        inbox: &Inbox,
        now: Timestamp,
        awaited: &[usize],
        metrics: &mut Metrics,
    ) {
        let (Ok(mut keys), Ok(mut tokens)) =
            (self.keys.try_borrow_mut(), self.tokens.try_borrow_mut())
        else {
            return;
        };
        if !keys.is_empty() {
            let mut turn = keys.turn(inbox, now, &self.policy, &mut tokens, metrics);
            keys.tick(&mut turn, awaited);
        }
    }

    /// Takes the answer to a call. False: it is not this policy's.
    pub(crate) fn take_answer(
        &self,
        inbox: &Inbox,
        now: Timestamp,
        call: Call,
        metrics: &mut Metrics,
    ) -> bool {
        let (Ok(mut keys), Ok(mut tokens)) =
            (self.keys.try_borrow_mut(), self.tokens.try_borrow_mut())
        else {
            return false;
        };
        if !keys.is_awaiting(call.token) {
            return false;
        }
        let mut turn = keys.turn(inbox, now, &self.policy, &mut tokens, metrics);
        keys.answered(&mut turn, call.token, call.lines, call.size);
        true
    }

    /// Counts what the cache of tokens did since the last time.
    pub(crate) fn count_tokens(&self, metrics: &mut Metrics) {
        let Ok(tokens) = self.tokens.try_borrow() else { return };
        let (hits, misses) = tokens.cache().counts();
        let size = i64::try_from(tokens.cache().len()).unwrap_or(i64::MAX);
        let (old_hits, old_misses, old_size) = self.counted.replace((hits, misses, size));
        let gateway = self.policy.gateway();
        metrics.token_lookups(gateway, "hit", hits.wrapping_sub(old_hits));
        metrics.token_lookups(gateway, "miss", misses.wrapping_sub(old_misses));
        metrics.shift("tokens_remembered", gateway, size.saturating_sub(old_size));
    }

    /// Has the gauge show whether the service is left alone.
    pub(crate) fn count_breaker(&self, metrics: &mut Metrics) {
        let is_open = self.breaker.get().is_open();
        let by = i64::from(is_open).saturating_sub(self.counted_open.replace(is_open).into());
        metrics.shift("fleet_breakers_open", self.policy.gateway(), by);
    }

    /// Takes back what the gauges have of this generation, and hands over what was counted.
    pub(crate) fn retire(&self, metrics: &mut Metrics) {
        metrics.hand_over();
        self.count_tokens(metrics);
        let (hits, misses, size) = self.counted.get();
        metrics.shift("tokens_remembered", self.policy.gateway(), size.saturating_neg());
        self.counted.set((hits, misses, 0));
        self.breaker.take();
        self.count_breaker(metrics);
    }

    /// How often the gauges are set, in milliseconds.
    fn gauge_period(&self) -> u32 {
        let fetches = self.keys.try_borrow().is_ok_and(|keys| !keys.is_empty());
        match (self.policy.issuers(), fetches) {
            ([], _) => TICK,
            (_, false) => TOKEN_TICK,
            (_, true) => FETCH_TICK,
        }
    }

    /// Whether the gauges are to be set; true once a period.
    pub(crate) fn takes_gauges(&self, now: Timestamp) -> bool {
        let period = u64::from(self.gauge_period()).saturating_mul(MILLI);
        let left = self.gauges_due.get().since(now);
        // More is left than there ever was where the clock was set back.
        let is_due = left == 0 || left > period;
        if is_due {
            self.gauges_due.set(now.saturating_add(period));
        }
        is_due
    }

    /// Sets the timer to what is to be done next. `has_counts`: something is counted and not handed over, or
    /// in flight.
    pub(crate) fn set_timer(
        &self,
        now: Timestamp,
        is_resuming: bool,
        is_waited: bool,
        has_counts: bool,
    ) {
        let look = self.keys.try_borrow().ok().and_then(|keys| keys.next_look(now));
        let look = look.map(|nanos| u32::try_from(nanos.div_ceil(MILLI)).unwrap_or(TICK));
        let rest = if has_counts { COUNT_TICK } else { TICK }.min(self.gauge_period());
        self.tick_in(match (is_resuming, is_waited, look) {
            (true, ..) => RESUMING_TICK,
            (_, true, _) => WAITING_TICK,
            (.., Some(look)) => look.min(rest).max(1),
            (.., None) => rest,
        });
    }
}
