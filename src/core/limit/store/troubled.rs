//! A store that is not on the side of the tests that use it.

use super::{BucketStore, MemoryStore, StoreFault};
use crate::limit::{BucketKey, Fleet, Quota, Standing};
use crate::time::Timestamp;

/// Loses a given number of swaps, fails for one limit, forgets what a service said, and counts.
#[derive(Default)]
pub(crate) struct Troubled {
    pub(crate) inner: MemoryStore,
    /// Swaps that are still to be lost.
    pub(crate) losses: usize,
    /// The limit whose buckets cannot be read.
    pub(crate) broken: Option<&'static str>,
    /// Whether there is no room for what a service says.
    pub(crate) forgets: bool,
    pub(crate) reads: usize,
    pub(crate) gave_up: usize,
    pub(crate) unreadable: usize,
}

impl BucketStore for Troubled {
    type Ticket = Vec<u8>;

    fn read(
        &mut self,
        key: &BucketKey<'_>,
        quota: &Quota,
        cost: u64,
        now: Timestamp,
    ) -> Result<(u64, Vec<u8>), StoreFault> {
        self.reads += 1;
        if self.broken == Some(key.limit()) {
            return Err(StoreFault);
        }
        self.inner.read(key, quota, cost, now)
    }

    fn replace(&mut self, ticket: Vec<u8>, next: u64, ahead: u64) -> Result<bool, StoreFault> {
        if self.losses > 0 {
            self.losses -= 1;
            return Ok(false);
        }
        self.inner.replace(ticket, next, ahead)
    }

    fn standing(
        &mut self,
        key: &BucketKey<'_>,
        fleet: &Fleet,
        now: Timestamp,
    ) -> Option<&mut Standing> {
        if self.forgets { None } else { self.inner.standing(key, fleet, now) }
    }

    fn enter(&mut self, key: &BucketKey<'_>, most: u16) -> Result<Option<u16>, StoreFault> {
        self.inner.enter(key, most)
    }

    fn leave(&mut self) {
        self.inner.leave();
    }

    fn contended(&mut self, _limit: &str) {
        self.gave_up += 1;
    }

    fn unreadable(&mut self, _limit: &str) {
        self.unreadable += 1;
    }
}
