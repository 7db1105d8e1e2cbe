//! The leases of this VM: tables of fixed size, in which no two buckets meet.
//!
//! A lease is found by all 128 bits of its bucket's keyed hash and by its quota, so that a policy with
//! another one begins anew. Keys that callers can make any number of have a table of their own. A lease with
//! tokens keeps its place until its bucket has refilled them; who finds no place has none, and asks each
//! time. When the VM traps all are gone: the buckets have their tokens as taken, and fill up again.

use portcullis_core::{Lease, Quota, Timestamp};

/// Sets of a table, and the leases of a set.
const SETS: usize = 512;
const WAYS: usize = 2;

/// The hash of a bucket's name.
pub(crate) type Hash = (u64, u64);

#[derive(Clone, Copy, Default)]
struct Entry {
    hash: Hash,
    /// Interval and burst; no quota has zeros.
    quota: (u64, u64),
    lease: Lease,
}

/// One table. It takes its memory when it holds the first lease.
#[derive(Default)]
pub(crate) struct Leases(Vec<[Entry; WAYS]>);

const fn parts(quota: &Quota) -> (u64, u64) {
    (quota.interval(), quota.burst())
}

impl Leases {
    fn set(&mut self, hash: Hash) -> Option<&mut [Entry; WAYS]> {
        let [low, high, ..] = hash.1.to_le_bytes();
        self.0.get_mut(usize::from(u16::from_le_bytes([low, high])) % SETS)
    }

    /// The lease of a bucket.
    pub(crate) fn find(&mut self, hash: Hash, quota: &Quota) -> Option<&mut Lease> {
        let is_it = |entry: &&mut Entry| entry.hash == hash && entry.quota == parts(quota);
        self.set(hash)?.iter_mut().find(is_it).map(|entry| &mut entry.lease)
    }

    /// Keeps a lease if there is a place: its own, or one that nobody needs now.
    pub(crate) fn keep(&mut self, hash: Hash, quota: &Quota, lease: Lease, now: Timestamp) {
        if self.0.is_empty() {
            self.0.resize(SETS, Default::default());
        }
        let Some(set) = self.set(hash) else { return };
        let is_own = |entry: &Entry| entry.hash == hash;
        let is_free = |entry: &Entry| entry.lease.is_worthless(now);
        let place = set.iter().position(is_own).or_else(|| set.iter().position(is_free));
        if let Some(entry) = place.and_then(|place| set.get_mut(place)) {
            *entry = Entry { hash, quota: parts(quota), lease };
        }
    }
}
