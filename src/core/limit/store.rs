//! Where buckets live: the port, and the store in memory.

#[cfg(test)]
mod troubled;

use std::collections::HashMap;

#[cfg(test)]
pub(crate) use troubled::Troubled;

use super::bucket::Quota;
use super::fleet::{Fleet, Standing};
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

    /// Where this worker remembers what it knows of a fleet limit's key, empty if that is nothing. `None`: there is
    /// no room.
    fn standing(
        &mut self,
        _key: &BucketKey<'_>,
        _fleet: &Fleet,
        _now: Timestamp,
    ) -> Option<&mut Standing> {
        None
    }

    /// Counts one more request of this key in flight, if fewer than `most` are: how many are then. It counts
    /// until whoever forwards it says that it is over. `None`: so many are, or nobody could say in time.
    ///
    /// # Errors
    /// [`StoreFault`] where the host fails; the request is then refused.
    fn enter(&mut self, key: &BucketKey<'_>, most: u16) -> Result<Option<u16>, StoreFault>;

    /// Takes back the last entry that was not taken back: its request is refused all the same.
    fn leave(&mut self);

    /// Called when every attempt to replace a bucket of this limit was lost.
    fn contended(&mut self, _limit: &str) {}

    /// Called when the response says what a request has cost in no way that can be read.
    fn unreadable(&mut self, _limit: &str) {}
}

/// Buckets in memory, for one thread: offline explanations and tests.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    buckets: HashMap<Vec<u8>, u64>,
    standings: HashMap<Vec<u8>, Standing>,
    in_flight: Vec<Vec<u8>>,
}

impl MemoryStore {
    /// All requests that were forwarded are over.
    pub fn end_all(&mut self) {
        self.in_flight.clear();
    }
}

fn name_of(key: &BucketKey<'_>) -> Vec<u8> {
    let mut name = Vec::new();
    key.encode(&mut name);
    name
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
        let name = name_of(key);
        Ok((self.buckets.get(&name).copied().unwrap_or(0), name))
    }

    fn replace(&mut self, ticket: Vec<u8>, next: u64, _ahead: u64) -> Result<bool, StoreFault> {
        self.buckets.insert(ticket, next);
        Ok(true)
    }

    fn standing(
        &mut self,
        key: &BucketKey<'_>,
        fleet: &Fleet,
        _now: Timestamp,
    ) -> Option<&mut Standing> {
        let mut name = Vec::new();
        fleet.write_name(&mut name);
        key.encode(&mut name);
        Some(self.standings.entry(name).or_default())
    }

    fn enter(&mut self, key: &BucketKey<'_>, most: u16) -> Result<Option<u16>, StoreFault> {
        let name = name_of(key);
        let count = self.in_flight.iter().filter(|held| **held == name).count();
        let entered = u16::try_from(count.saturating_add(1)).ok().filter(|count| *count <= most);
        if entered.is_some() {
            self.in_flight.push(name);
        }
        Ok(entered)
    }

    fn leave(&mut self) {
        self.in_flight.pop();
    }
}
