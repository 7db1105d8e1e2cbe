//! What one limit had for one request, for whoever asks why.

use std::borrow::Cow;
use std::fmt;

use super::bucket::{Quota, State};
use super::spend::{Ask, LimitReport};
use crate::time::{SECOND, Timestamp};

/// A limit, the bucket that a request is charged to, and what was in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitLook {
    /// The limit's name in the policy.
    pub name: String,
    /// Which of its windows, if it has several.
    pub window: Option<String>,
    /// Whether it only looks on.
    pub observes: bool,
    /// The parts of its key by their names, and what the request has for each.
    pub key: Vec<(Cow<'static, str>, Option<String>)>,
    /// Whether a fleet's service counts too, for which this is the process's part.
    pub fleet: bool,
    /// Whether it counts requests that fail for their credential alone.
    pub failures: bool,
    /// The response header that tells what the request has cost, and the most that it may be.
    pub charge: Option<(String, u32)>,
    /// How many requests are in flight, this one among them if it is, where the limit counts those.
    pub in_flight: Option<u64>,
    /// Tokens in a full bucket; of requests in flight as many as may be.
    pub tokens: u64,
    /// How they come back.
    pub refill: Refill,
    /// Tokens that the request takes.
    pub cost: u64,
    /// Tokens that were there.
    pub before: u64,
    /// Tokens that are there now; as many as before where a limit refused.
    pub after: u64,
    /// When there are enough for this request, where there were too few.
    pub enough_at: Option<Timestamp>,
    /// When all tokens are back.
    pub full_at: Timestamp,
}

/// How tokens come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refill {
    /// One by one, with so many nanoseconds between them.
    Each(u64),
    /// All at once, when the hour, day, week, month or year is over.
    Window(&'static str),
}

impl Refill {
    pub(super) fn of(quota: &Quota) -> Self {
        let each = Self::Each(quota.interval());
        quota.calendar().map_or(each, |calendar| Self::Window(calendar.unit()))
    }

    /// What a bucket is called from which nothing is missing.
    pub(super) const fn when_full(self) -> &'static str {
        match self {
            Self::Each(_) => "full",
            Self::Window(_) => "all back",
        }
    }
}

impl LimitReport<'_> {
    /// The report in words that need no policy beside them.
    pub(crate) fn look(&self, ask: &Ask<'_>) -> LimitLook {
        let (limit, quota) = (self.limit, &self.limit.quota);
        let after = self.state.remaining();
        let (State::Open { full_in, .. } | State::Empty { full_in, .. }) = self.state;
        let cost = ask.cost_of(limit);
        let charge = limit.charge.as_ref().map(|rule| (rule.header.to_string(), rule.max));
        LimitLook {
            name: limit.name().to_owned(),
            window: limit.window().map(str::to_owned),
            observes: limit.observe,
            key: limit.key.values(&ask.subject),
            fleet: limit.fleet.is_some(),
            failures: limit.failures,
            charge,
            in_flight: self.in_flight(),
            tokens: quota.burst(),
            refill: Refill::of(quota),
            cost,
            before: after.saturating_add(if self.taken { cost } else { 0 }),
            after,
            enough_at: match self.state {
                State::Open { .. } => None,
                State::Empty { retry_in, .. } => Some(ask.now.saturating_add(retry_in)),
            },
            full_at: ask.now.saturating_add(full_in),
        }
    }
}

impl fmt::Display for LimitLook {
    /// One line: whose bucket, how it fills, and what the request did to it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, tokens, cost, before, after, full_at, .. } = self;
        let window = self.window.as_ref().map_or(String::new(), |window| format!(";{window}"));
        write!(f, "`{name}{window}` of")?;
        for (part, value) in &self.key {
            match value {
                Some(value) => write!(f, " {part} `{value}`")?,
                None => write!(f, " no {part}")?,
            }
        }
        if let Some(in_flight) = self.in_flight {
            return write!(f, ": {tokens} in flight at once; {in_flight} are");
        }
        let tokens = format!("{tokens}{}", if self.failures { " failures" } else { "" });
        match self.refill {
            Refill::Each(nanos) => write!(f, ": {tokens} at once, one each {}", Seconds(nanos))?,
            Refill::Window(unit) => write!(f, ": {tokens} a {unit}")?,
        }
        write!(f, "; {before} there, costs {cost}")?;
        match self.enough_at {
            Some(time) => write!(f, ", too few until {time}")?,
            None if before == after => write!(f, ", none taken")?,
            None => write!(f, ", {after} left")?,
        }
        if let Some((header, max)) = &self.charge {
            write!(f, "; by `{header}` the response costs up to {max}")?;
        }
        if self.fleet {
            write!(f, "; the fleet's service counts too")?;
        }
        if self.observes {
            write!(f, "; only looks on")?;
        }
        write!(f, "; {} at {full_at}", self.refill.when_full())
    }
}

/// Nanoseconds, written as seconds without zeros at the end.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:09}", self.0 / SECOND, self.0 % SECOND);
        write!(f, "{} s", text.trim_end_matches('0').trim_end_matches('.'))
    }
}
