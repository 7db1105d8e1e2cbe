//! Buckets in Envoy's shared data: tables of fixed size, for all workers of the process.
//!
//! Shared data cannot be deleted, so a key a caller would be memory that grows for ever. Instead all
//! keys are made by the first configuration and buckets move through them: sets of [`WAYS`] entries, each
//! entry a tag and an arrival. Keys with an address have a table of their own: a flood of addresses
//! needs no credential, and must not take the place of a consumer's bucket. A keyed hash of the bucket's
//! name gives set and tag, so a caller cannot aim at another caller's set.
//!
//! An entry whose arrival has passed is a full bucket: it holds no information and its place is given
//! to the next newcomer. A newcomer who finds no such place is charged to a bucket that all such
//! newcomers of the limit share, so nobody gets a fresh bucket for being evicted. (Who
//! was charged there and later finds a place of its own begins with a full bucket, once.)

use std::hash::Hasher;

use portcullis_core::{BucketKey, BucketStore, StoreFault, Timestamp};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::abi::{self, HostFault, Inbox};
use crate::metrics::{Metrics, StoreEvent};

/// Sets of the table for keys with an address, of the one for keys without, and of the overflow table
/// for newcomers without a place.
const ADDRESS_SETS: u16 = 16_384;
const CALLER_SETS: u16 = 8_192;
const OVERFLOW_SETS: u16 = 64;
/// Entries of a set, read and swapped together.
const WAYS: usize = 4;
/// An entry: tag and arrival, 8 bytes each, little-endian.
const ENTRY: usize = 16;
const SET: usize = WAYS * ENTRY;

/// The longest that a bucket can take to fill is 366 days; an arrival further ahead than this was
/// not written by a limit.
const FAR: u64 = 400 * 86_400 * 1_000_000_000;

/// Prefixes hold the version of the format: another version of the filter with the same `vm_id` would
/// find its own keys.
const SECRET_KEY: &[u8] = b"pc2/secret";
const READY_KEY: &[u8] = b"pc2/ready";

/// The tables, apart by their keys.
#[derive(Clone, Copy)]
enum Table {
    Addresses,
    Callers,
    Overflow,
}

impl Table {
    const fn sets(self) -> u16 {
        match self {
            Self::Addresses => ADDRESS_SETS,
            Self::Callers => CALLER_SETS,
            Self::Overflow => OVERFLOW_SETS,
        }
    }

    /// The key of a set: short enough for the host to keep it without another allocation.
    const fn key(self, set: u16) -> [u8; 7] {
        let [low, high] = set.to_le_bytes();
        let table = match self {
            Self::Addresses => b'b',
            Self::Callers => b'c',
            Self::Overflow => b'o',
        };
        [b'p', b'c', b'2', b'/', table, low, high]
    }
}

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
        name: &'b mut Vec<u8>,
    ) -> Store<'b> {
        Store { secret: &self.secret, inbox, gateway, metrics, name, fault: None }
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
    /// Scratch space for the name of a bucket.
    name: &'b mut Vec<u8>,
    /// What the host did, for the log.
    pub(crate) fault: Option<HostFault>,
}

/// One entry of a set.
#[derive(Clone, Copy, Default)]
struct Entry {
    tag: u64,
    arrival: u64,
}

/// What was read of a set, and which of its entries the bucket takes.
pub(crate) struct Ticket {
    key: [u8; 7],
    entries: [Entry; WAYS],
    version: u32,
    way: usize,
    tag: u64,
}

impl Store<'_> {
    fn fault(&mut self, fault: HostFault) -> StoreFault {
        self.fault = Some(fault);
        StoreFault
    }

    /// Looks for a bucket in its set. `None`: it is not there and every entry is in use.
    fn look(
        &mut self,
        table: Table,
        key: &BucketKey<'_>,
        now: Timestamp,
    ) -> Result<Option<(u64, Ticket)>, StoreFault> {
        self.name.clear();
        key.encode(self.name);
        let mut hasher = SipHasher13::new_with_key(self.secret);
        hasher.write(self.name);
        let hash = hasher.finish128();
        let tag = hash.h1;
        let set = hash.h2.checked_rem(u64::from(table.sets())).unwrap_or(0);
        let set_key = table.key(u16::try_from(set).unwrap_or(0));

        let held = abi::shared(self.inbox, &set_key).map_err(|fault| self.fault(fault))?;
        // A swap with version 0, or of a missing key, would not be a swap: the host would just write.
        let Some((bytes, version @ 1..)) = held else {
            return Err(self.fault(HostFault::malformed("proxy_get_shared_data")));
        };
        let (entries, sound) = entries(bytes, now);
        if !sound {
            self.metrics.store_event(self.gateway, key.limit(), StoreEvent::Reset);
        }
        let ours = entries.iter().position(|entry| entry.tag == tag);
        let free = || entries.iter().position(|entry| entry.arrival <= now.unix_nanos());
        let Some(way) = ours.or_else(free) else { return Ok(None) };
        let entry = entries.get(way).copied().unwrap_or_default();
        let arrival = if entry.tag == tag { entry.arrival } else { 0 };
        Ok(Some((arrival, Ticket { key: set_key, entries, version, way, tag })))
    }
}

impl BucketStore for Store<'_> {
    type Ticket = Ticket;

    fn read(
        &mut self,
        key: &BucketKey<'_>,
        now: Timestamp,
    ) -> Result<(u64, Self::Ticket), StoreFault> {
        let table = if key.is_unbounded() { Table::Addresses } else { Table::Callers };
        if let Some(found) = self.look(table, key, now)? {
            return Ok(found);
        }
        self.metrics.store_event(self.gateway, key.limit(), StoreEvent::Overflow);
        let overflow = self.look(Table::Overflow, &key.overflow(), now)?;
        // More limits than the overflow table has room for are crowded: refusing is all that is left.
        overflow.ok_or(StoreFault)
    }

    fn replace(&mut self, mut ticket: Ticket, next: u64) -> Result<bool, StoreFault> {
        if let Some(entry) = ticket.entries.get_mut(ticket.way) {
            *entry = Entry { tag: ticket.tag, arrival: next };
        }
        let mut value = [0; SET];
        for (bytes, entry) in value.chunks_exact_mut(ENTRY).zip(ticket.entries) {
            let (tag, arrival) = bytes.split_at_mut(size_of::<u64>());
            tag.copy_from_slice(&entry.tag.to_le_bytes());
            arrival.copy_from_slice(&entry.arrival.to_le_bytes());
        }
        abi::set_shared(&ticket.key, &value, ticket.version).map_err(|fault| self.fault(fault))
    }

    fn contended(&mut self, limit: &str) {
        self.metrics.store_event(self.gateway, limit, StoreEvent::Contended);
    }
}

/// The entries of a set as they can be used, and whether all of it was sound. Other plugins may write
/// here: a value of another length counts as empty, an impossible arrival as a full bucket.
fn entries(bytes: &[u8], now: Timestamp) -> ([Entry; WAYS], bool) {
    let mut entries = [Entry::default(); WAYS];
    if bytes.len() != SET {
        return (entries, false);
    }
    let limit = now.unix_nanos().saturating_add(FAR);
    let mut sound = true;
    let (words, _) = bytes.as_chunks::<8>();
    for (entry, pair) in entries.iter_mut().zip(words.chunks_exact(2)) {
        let [tag, arrival] = pair else { continue };
        let (tag, arrival) = (u64::from_le_bytes(*tag), u64::from_le_bytes(*arrival));
        if arrival > limit {
            sound = false;
        } else {
            *entry = Entry { tag, arrival };
        }
    }
    (entries, sound)
}
