//! What this VM remembers of keys of limits, leases of its buckets and what a fleet's service said: tables of
//! fixed size, in which no two keys meet.
//!
//! A lease is found by all 128 bits of its bucket's keyed hash and by its quota: under a policy with another one
//! the same bucket has another lease. Keys that callers can make any number of have a table of their own. A lease with
//! tokens keeps its place until its bucket has refilled them; who finds no place has none, and asks each
//! time. When the VM traps all are gone: the buckets have their tokens as taken, and fill up again.

use portcullis_core::{Lease, Quota, Standing, Timestamp};

/// Sets of a table, and the keys of a set.
const SETS: usize = 1_024;
const WAYS: usize = 4;

/// The hash of a bucket's name.
pub(crate) type Hash = (u64, u64);

/// What can be remembered of a key.
pub(crate) trait Memory: Copy + Default {
    /// Whether nothing is lost with it.
    fn is_worthless(&self, now: Timestamp) -> bool;

    /// When it was last of use, in unix nanoseconds; 0 where it never was.
    fn last(&self) -> u64;
}

impl Memory for Lease {
    fn is_worthless(&self, now: Timestamp) -> bool {
        Self::is_worthless(self, now)
    }

    fn last(&self) -> u64 {
        self.since()
    }
}

impl Memory for Standing {
    fn is_worthless(&self, now: Timestamp) -> bool {
        Self::is_worthless(self, now)
    }

    fn last(&self) -> u64 {
        self.came()
    }
}

#[derive(Clone, Copy, Default)]
struct Entry<M> {
    hash: Hash,
    /// Interval and burst; no quota has zeros.
    quota: (u64, u64),
    held: M,
}

/// One table. It takes its memory, 256 KiB for leases, when it holds the first of them.
#[derive(Default)]
pub(crate) struct Memories<M>(Vec<[Entry<M>; WAYS]>);

const fn parts(quota: &Quota) -> (u64, u64) {
    (quota.interval(), quota.burst())
}

impl<M: Memory> Memories<M> {
    fn set(&mut self, hash: Hash) -> Option<&mut [Entry<M>; WAYS]> {
        let [low, high, ..] = hash.1.to_le_bytes();
        self.0.get_mut(usize::from(u16::from_le_bytes([low, high])) % SETS)
    }

    /// What is remembered of a key under that quota.
    pub(crate) fn find(&mut self, hash: Hash, quota: &Quota) -> Option<&mut M> {
        let is_it = |entry: &&mut Entry<M>| entry.hash == hash && entry.quota == parts(quota);
        self.set(hash)?.iter_mut().find(is_it).map(|entry| &mut entry.held)
    }

    /// The place of a key: its own, or of those that nobody needs now the one that was of use longest ago, empty.
    /// `None`: there is none.
    pub(crate) fn place(&mut self, hash: Hash, quota: &Quota, now: Timestamp) -> Option<&mut M> {
        if self.0.is_empty() {
            self.0.resize(SETS, Default::default());
        }
        let set = self.set(hash)?;
        // Old and new policies count side by side while an old listener drains: each has its own.
        let is_own = |entry: &Entry<M>| entry.hash == hash && entry.quota == parts(quota);
        let place = set.iter().position(is_own).or_else(|| {
            let free = set.iter().enumerate().filter(|(_, entry)| entry.held.is_worthless(now));
            free.min_by_key(|(_, entry)| entry.held.last()).map(|(way, _)| way)
        });
        let entry = set.get_mut(place?)?;
        if !is_own(entry) {
            *entry = Entry { hash, quota: parts(quota), held: M::default() };
        }
        Some(&mut entry.held)
    }
}
