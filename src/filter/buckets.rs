//! Buckets in Envoy's shared data: tables of fixed size, for all workers of the process.
//!
//! Shared data cannot be deleted, so a key a caller would be memory that grows for ever. Instead all
//! keys are made by the first configuration and buckets move through them: sets of four entries, each
//! entry a tag and an arrival. Keys that there can be any number of, those with an address first of all, have a
//! table of their own: a flood of addresses needs no credential, and must not take the place of a
//! consumer's bucket. A keyed hash of the bucket's
//! name gives set and tag, so a caller cannot aim at another caller's set.
//!
//! An entry whose arrival has passed is a full bucket: it holds no information and its place is given
//! to the next newcomer. A newcomer who finds no such place is charged to a bucket that all such
//! newcomers of the limit share: nobody is evicted while his bucket is of use. Who was charged there and later
//! finds a place of his own begins with a full bucket. So he gets what two buckets give at most, one of them shared.
//! (To begin with what the shared one has left would keep all newcomers out wherever a few sets are crowded.)
//!
//! A VM that is asked about the same bucket twice within five seconds takes tokens ahead, if many are left, and
//! answers from its [`Lease`] without a call.

mod held;
mod tables;

use std::hash::Hasher;

use portcullis_core::{
    BucketKey, BucketStore, Entry, Fleet, Lease, Quota, Standing, StoreFault, Timestamp,
};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::abi::{self, HostFault, Inbox};
use crate::flights::{self, Values};
use crate::leases::Hash;
use crate::metrics::{Metrics, StoreEvent};
pub(crate) use held::Held;
use tables::{ENTRY, SET, Table, bytes_of, parts, read_set};

/// Prefixes hold the version of the format: another version of the filter with the same `vm_id` would
/// find its own keys.
const SECRET_KEY: &[u8] = b"pc2/secret";
const READY_KEY: &[u8] = b"pc2/ready";

/// The way into the tables: the secret of the process.
pub(crate) struct Buckets {
    secret: [u8; 16],
}

impl Buckets {
    /// Finds the tables, or makes them. Envoy configures its main thread before any worker, so one
    /// thread makes them and no request finds a set missing.
    pub(crate) fn open(inbox: &Inbox) -> Result<Self, HostFault> {
        let secret = secret(inbox)?;
        if abi::shared(inbox, READY_KEY)?.is_none() {
            for table in [Table::Addresses, Table::Callers, Table::Overflow] {
                for set in 0..table.sets() {
                    let key = table.key(set);
                    if abi::shared(inbox, &key)?.is_none() {
                        abi::set_shared(&key, &[0; SET], 0)?;
                    }
                }
            }
            abi::set_shared(READY_KEY, &[1], 0)?;
        }
        Ok(Self { secret })
    }

    /// The secret of the process.
    pub(crate) fn secret(&self) -> [u8; 16] {
        self.secret
    }

    /// The store for one request.
    pub(crate) fn store<'b>(
        &'b self,
        inbox: &'b Inbox,
        gateway: &'b str,
        metrics: &'b mut Metrics,
        held: &'b mut Held,
    ) -> Store<'b> {
        held.seen.clear();
        Store { secret: &self.secret, inbox, gateway, metrics, held, fault: None }
    }
}

/// The secret of the process: made by whoever comes first, kept in shared data for all others.
fn secret(inbox: &Inbox) -> Result<[u8; 16], HostFault> {
    // Asked for even where a secret is found: the standard library's hash maps stop the VM when the
    // host has no random bytes, so a configuration must not get as far as that.
    let mut secret = [0; 16];
    abi::random(&mut secret)?;
    let held = abi::shared(inbox, SECRET_KEY)?;
    if let Some(secret) = held.and_then(|(bytes, _)| bytes.try_into().ok()) {
        return Ok(secret);
    }
    let version = held.map_or(0, |(_, version)| version);
    if abi::set_shared(SECRET_KEY, &secret, version)? {
        return Ok(secret);
    }
    // Somebody else replaced the same bad value: theirs counts.
    let held = abi::shared(inbox, SECRET_KEY)?;
    held.and_then(|(bytes, _)| bytes.try_into().ok())
        .ok_or(HostFault::malformed("proxy_get_shared_data"))
}

/// The buckets as one request sees them.
pub(crate) struct Store<'b> {
    secret: &'b [u8; 16],
    inbox: &'b Inbox,
    gateway: &'b str,
    metrics: &'b mut Metrics,
    held: &'b mut Held,
    /// What the host did, for the log.
    pub(crate) fault: Option<HostFault>,
}

/// What was read of a set, and which of its entries the bucket takes.
#[derive(Clone, Copy)]
struct Seen {
    key: [u8; 7],
    set: [u8; SET],
    version: u32,
    way: usize,
    now: Timestamp,
}

/// What a request was judged by.
pub(crate) struct Ticket {
    table: Table,
    hash: Hash,
    quota: Quota,
    cost: u64,
    /// Which set was read; `None`: a lease answers.
    seen: Option<usize>,
}

impl Store<'_> {
    fn fault(&mut self, fault: HostFault) -> StoreFault {
        self.fault = Some(fault);
        StoreFault
    }

    /// The hash of a bucket's name, or of what the service of a fleet counts for a key.
    fn hash(&mut self, key: &BucketKey<'_>, fleet: Option<&Fleet>) -> Hash {
        let name = &mut self.held.name;
        name.clear();
        if let Some(fleet) = fleet {
            fleet.write_name(name);
        }
        key.encode(name);
        let mut hasher = SipHasher13::new_with_key(self.secret);
        hasher.write(name);
        let hash = hasher.finish128();
        (hash.h1, hash.h2)
    }

    /// Looks for a bucket in its set. `None`: it is not there and every entry is in use.
    fn look(
        &mut self,
        table: Table,
        (tag, place): Hash,
        limit: &str,
        now: Timestamp,
    ) -> Result<Option<(u64, usize)>, StoreFault> {
        let set = place.checked_rem(u64::from(table.sets())).unwrap_or(0);
        let key = table.key(u16::try_from(set).unwrap_or(0));
        let held = abi::shared(self.inbox, &key).map_err(|fault| self.fault(fault))?;
        // A swap with version 0, or of a missing key, would not be a swap: the host would just write.
        let Some((bytes, version @ 1..)) = held else {
            return Err(self.fault(HostFault::malformed("proxy_get_shared_data")));
        };
        let mut set = [0; SET];
        if !read_set(bytes, now, &mut set) {
            self.metrics.store_event(self.gateway, limit, StoreEvent::Reset);
        }
        let (mut ours, mut free) = (None, None);
        for (way, entry) in set.as_chunks::<ENTRY>().0.iter().enumerate() {
            let (held, arrival) = parts(entry);
            if held == tag && ours.is_none() {
                ours = Some((arrival, way));
            }
            if arrival <= now.unix_nanos() && free.is_none() {
                free = Some((0, way));
            }
        }
        let Some((arrival, way)) = ours.or(free) else { return Ok(None) };
        let seen = self.held.seen.len();
        self.held.seen.push(Seen { key, set, version, way, now });
        Ok(Some((arrival, seen)))
    }
}

impl BucketStore for Store<'_> {
    type Ticket = Ticket;

    fn read(
        &mut self,
        key: &BucketKey<'_>,
        quota: &Quota,
        cost: u64,
        now: Timestamp,
    ) -> Result<(u64, Self::Ticket), StoreFault> {
        let table = if key.is_unbounded() { Table::Addresses } else { Table::Callers };
        let hash = self.hash(key, None);
        let mut ticket = Ticket { table, hash, quota: *quota, cost, seen: None };
        let lease = self.held.lease(table, hash, quota);
        if let Some(arrival) = lease.and_then(|lease| lease.arrival(cost, now)) {
            return Ok((arrival, ticket));
        }
        if let Some((arrival, seen)) = self.look(table, hash, key.limit(), now)? {
            ticket.seen = Some(seen);
            let lease = self.held.lease(table, hash, quota);
            return Ok((
                lease.map_or(arrival, |lease| lease.give_back(quota, arrival, now)),
                ticket,
            ));
        }
        self.metrics.store_event(self.gateway, key.limit(), StoreEvent::Overflow);
        let (table, hash) = (Table::Overflow, self.hash(&key.overflow(), None));
        let overflow = self.look(table, hash, key.limit(), now)?;
        // More limits than the overflow table has room for are crowded: refusing is all that is left.
        let (arrival, seen) = overflow.ok_or(StoreFault)?;
        Ok((arrival, Ticket { table, hash, quota: *quota, cost, seen: Some(seen) }))
    }

    fn replace(&mut self, ticket: Ticket, next: u64, ahead: u64) -> Result<bool, StoreFault> {
        let Ticket { table, hash, quota, cost, seen } = ticket;
        let Some(seen) = seen else {
            let lease = self.held.lease(table, hash, &quota);
            return Ok(lease.map(|lease| lease.spend(cost, next)).is_some());
        };
        let Some(seen) = self.held.seen.get(seen) else { return Ok(false) };
        let Seen { key, mut set, version, way, now } = *seen;
        let lease = self.held.lease(table, hash, &quota);
        let ahead = if lease.is_some_and(|lease| lease.is_recent(now)) { ahead } else { 0 };
        let lease = Lease::new(&quota, next, ahead, now);
        if let Some(entry) = set.as_chunks_mut::<ENTRY>().0.get_mut(way) {
            *entry = bytes_of(hash.0, lease.written());
        }
        let swapped = abi::set_shared(&key, &set, version);
        match swapped {
            Ok(true) => {
                let leases = self.held.leases(table).filter(|_| quota.is_leased());
                if let Some(place) = leases.and_then(|leases| leases.place(hash, &quota, now)) {
                    *place = lease;
                }
            }
            Ok(false) => {}
            Err(_) => {
                // Nobody knows what was written: what was left of a lease is lost.
                if let Some(lease) = self.held.lease(table, hash, &quota) {
                    *lease = Lease::default();
                }
            }
        }
        swapped.map_err(|fault| self.fault(fault))
    }

    fn standing(
        &mut self,
        key: &BucketKey<'_>,
        fleet: &Fleet,
        now: Timestamp,
    ) -> Option<&mut Standing> {
        let hash = self.hash(key, Some(fleet));
        let Held { fleet_addresses, fleet_callers, .. } = &mut *self.held;
        let table = if key.is_unbounded() { fleet_addresses } else { fleet_callers };
        table.place(hash, key.quota(), now)
    }

    fn enter(&mut self, key: &BucketKey<'_>, most: u16) -> Result<Option<u16>, StoreFault> {
        let (tag, place) = self.hash(key, None);
        let set = flights::set(place, key.is_unbounded());
        let Some(flights) = self.held.flights.as_mut() else { return Err(StoreFault) };
        let (inbox, gateway, limit) = (self.inbox, self.gateway, key.limit());
        let mut values = Values { inbox, gateway, limit, metrics: self.metrics, fault: None };
        let entry = flights.enter(&mut values, set, tag, most);
        self.fault = values.fault.or(self.fault);
        Ok(match entry? {
            Entry::Entered(place, count) => {
                if place.is_shared() {
                    self.metrics.store_event(gateway, limit, StoreEvent::Overflow);
                }
                self.held.entered.push(place);
                Some(count)
            }
            Entry::Full(_) => None,
            Entry::Contended => {
                self.contended(key.limit());
                None
            }
        })
    }

    fn leave(&mut self) {
        let last = self.held.entered.pop();
        let fault = self.held.land(last.as_slice(), self.inbox, self.gateway, self.metrics);
        self.fault = fault.or(self.fault);
    }

    fn contended(&mut self, limit: &str) {
        self.metrics.store_event(self.gateway, limit, StoreEvent::Contended);
    }

    fn unreadable(&mut self, limit: &str) {
        self.metrics.store_event(self.gateway, limit, StoreEvent::Unreadable);
    }
}
