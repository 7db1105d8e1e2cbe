//! Where buckets live: the port, and the store in memory.

use std::collections::HashMap;

use super::bucket::Quota;
use super::key::BucketKey;
use crate::time::Timestamp;

/// The host could not read or write a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreFault;

/// Reads one bucket and replaces it, provided that nobody else changed it meanwhile.
pub trait BucketStore {
    /// What a store must remember between a read and the replacement.
    type Ticket;

    /// The bucket's arrival in unix nanoseconds, 0 where it was never used. A bucket whose arrival is
    /// not after `now` is full, holds no information and may be given up for another. `cost` is how many
    /// tokens the replacement will take.
    ///
    /// # Errors
    /// [`StoreFault`] where the host fails; the request is then refused.
    fn read(
        &mut self,
        key: &BucketKey<'_>,
        quota: &Quota,
        cost: u64,
        now: Timestamp,
    ) -> Result<(u64, Self::Ticket), StoreFault>;

    /// Writes the arrival that follows from what was read; `false` if somebody else was faster.
    ///
    /// The store of one worker among several may take up to `ahead` tokens more, for a
    /// [`Lease`](super::Lease) from which it answers later reads.
    ///
    /// # Errors
    /// [`StoreFault`] where the host fails; the request is then refused.
    fn replace(&mut self, ticket: Self::Ticket, next: u64, ahead: u64) -> Result<bool, StoreFault>;

    /// Called when every attempt to replace a bucket of this limit was lost.
    fn contended(&mut self, _limit: &str) {}

    /// Called when the response says what a request has cost in no way that can be read.
    fn unreadable(&mut self, _limit: &str) {}
}

/// Buckets in memory, for one thread: offline explanations and tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    buckets: HashMap<Vec<u8>, u64>,
}

impl BucketStore for MemoryStore {
    type Ticket = Vec<u8>;

    fn read(
        &mut self,
        key: &BucketKey<'_>,
        _quota: &Quota,
        _cost: u64,
        _now: Timestamp,
    ) -> Result<(u64, Vec<u8>), StoreFault> {
        let mut name = Vec::new();
        key.encode(&mut name);
        Ok((self.buckets.get(&name).copied().unwrap_or(0), name))
    }

    fn replace(&mut self, ticket: Vec<u8>, next: u64, _ahead: u64) -> Result<bool, StoreFault> {
        self.buckets.insert(ticket, next);
        Ok(true)
    }
}
