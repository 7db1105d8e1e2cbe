//! Requests in flight: how many of each key there are, over all workers of a process.
//!
//! Each worker's VM knows its own. It publishes them as records of a tag, itself and a number, in values
//! that all workers read and swap. A record is written by its VM alone, and always holds the whole number:
//! a write of which nobody knows what became of it, or that lost every race, is made good by the next one.
//!
//! A trap ends all requests of a VM and calls nobody. So there is a roster of the VMs that have requests in
//! flight, with the instant at which each was heard of last. Who was not heard of for [`LIFE`] is struck off
//! by anybody who looks, and records of a VM that is not on it are void. A VM that finds itself struck off
//! (its thread stood still) puts itself on the roster again and publishes all that it has.
//!
//! **The bound.** While every VM with requests in flight is heard of in time, never more than `most`
//! requests of a key are in flight. The requests of a VM that was struck off while it lived are beside those:
//! at most as many as it had, until they end or others do.
//!
//! **Crowding.** A set has room for [`PLACES`] records of keys. What comes then is counted by a record that
//! all newcomers of the set share, and whatever is counted there counts for every key of the set: a crowded
//! set makes limits tighter.

mod list;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::store::StoreFault;
use crate::time::SECOND;
use list::{List, Record};

/// How long a VM counts that is not heard of, in nanoseconds.
const LIFE: u64 = 3 * SECOND;

/// How old the last sign of life may be before a VM gives another, in nanoseconds.
const BEAT: u64 = SECOND / 2;

/// VMs on the roster at most. One that finds no place refuses what such limits apply to.
const VMS: usize = 512;

/// Records of a set at most: those of keys, and one for each VM that counts what the others share.
const PLACES: usize = 512;
const ROOM: usize = PLACES + VMS;

/// The tag of what the newcomers of a crowded set share.
const SHARED: u64 = 0;

/// How often a value is read and judged again after somebody else was faster. The model in the tests walks
/// through every order in which all are lost, so it has fewer.
const ATTEMPTS: usize = if cfg!(test) { 2 } else { 16 };

/// A value that all workers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shared {
    /// The VMs with requests in flight.
    Roster,
    /// Counts of the keys that a hash puts together.
    Set(u16),
}

/// What workers share.
pub trait SharedValues {
    /// Reads a value, and gives its version.
    ///
    /// # Errors
    /// [`StoreFault`] where the host fails.
    fn read(&mut self, at: Shared, into: &mut Vec<u8>) -> Result<u32, StoreFault>;

    /// Writes a value if it still has this version; `false` if somebody else was faster.
    ///
    /// # Errors
    /// [`StoreFault`] where the host fails; whether it was written is not known then.
    fn swap(&mut self, at: Shared, value: &[u8], version: u32) -> Result<bool, StoreFault>;

    /// Nanoseconds on a clock that all workers share. One that is never set is best.
    ///
    /// # Errors
    /// [`StoreFault`] where the host fails.
    fn clock(&mut self) -> Result<u64, StoreFault>;

    /// Called when a value held bytes that no worker wrote; it counts as empty.
    fn reset(&mut self);
}

/// Where a request is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    set: u16,
    tag: u64,
}

impl Place {
    /// Whether it is the one that newcomers of a crowded set share.
    pub const fn is_shared(self) -> bool {
        self.tag == SHARED
    }
}

/// What became of a request that would be one more in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It counts here from now on; so many are in flight with it.
    Entered(Place, u16),
    /// So many are in flight, and it is not counted.
    Full(u16),
    /// Nobody could say in time: every race was lost, or the roster is full.
    Contended,
}

/// What a VM has in flight at one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Own {
    count: u16,
    /// What is published may be another number.
    is_stale: bool,
}

/// The requests in flight of one VM.
#[derive(Clone, Debug)]
pub struct Flights {
    vm: u64,
    /// When this VM was heard of last.
    heard: Option<u64>,
    own: HashMap<Place, Own, BuildHasherDefault<Tags>>,
    is_stale: bool,
    /// The set or the roster that was read last.
    set: List,
    roster: List,
    bytes: Vec<u8>,
}

impl Flights {
    /// A VM without requests in flight; `random` tells it from all others.
    pub fn new(random: u64) -> Self {
        Self {
            vm: list::vm(random),
            heard: None,
            own: HashMap::default(),
            is_stale: false,
            set: List::default(),
            roster: List::default(),
            bytes: Vec::new(),
        }
    }

    /// Whether there is anything to tell on the timer.
    pub fn is_idle(&self) -> bool {
        self.own.is_empty()
    }

    /// One more request is in flight, unless `most` are: of the key whose hash is `tag`, in a set that
    /// another part of the hash chose.
    ///
    /// # Errors
    /// [`StoreFault`] where the host fails; the request is not counted then.
    pub fn enter(
        &mut self,
        shared: &mut impl SharedValues,
        set: u16,
        tag: u64,
        most: u16,
    ) -> Result<Entry, StoreFault> {
        let key = Place { set, tag: tag.max(1) };
        if !self.beat(shared)? {
            return Ok(Entry::Contended);
        }
        for _ in 0..ATTEMPTS {
            let version = self.read_set(shared, set)?;
            let mut place = self.place(key);
            if self.total(key) >= most || place.is_none() {
                // Those of whom nothing was heard may be among them.
                if !self.call_roll(shared, false)? {
                    return Ok(Entry::Contended);
                }
                let (roster, vm) = (&self.roster, self.vm);
                self.set.retain(|record| record.vm() == vm || lists(roster, record.vm()));
                place = self.place(key);
            }
            let total = self.total(key);
            let (true, Some(place)) = (total < most, place) else { return Ok(Entry::Full(total)) };
            let count = self.own(place).saturating_add(1);
            match self.write_set(shared, place, count, version) {
                Ok(true) => {
                    self.own.insert(place, Own { count, is_stale: false });
                    return Ok(Entry::Entered(place, total.saturating_add(1)));
                }
                Ok(false) => {}
                Err(fault) => {
                    self.mark(place);
                    return Err(fault);
                }
            }
        }
        Ok(Entry::Contended)
    }

    /// A request that entered is over. If that cannot be told now, it is on the timer.
    ///
    /// # Errors
    /// [`StoreFault`] where the host fails.
    pub fn leave(
        &mut self,
        shared: &mut impl SharedValues,
        place: Place,
    ) -> Result<(), StoreFault> {
        let Some(own) = self.own.get_mut(&place) else { return Ok(()) };
        own.count = own.count.saturating_sub(1);
        self.publish(shared, place)
    }

    /// Gives a sign of life, and tells what could not be told before. To be called once a second while
    /// it is not idle.
    ///
    /// # Errors
    /// [`StoreFault`] where the host fails; the next call tries again.
    pub fn tick(&mut self, shared: &mut impl SharedValues) -> Result<(), StoreFault> {
        if self.is_idle() {
            return Ok(());
        }
        self.beat(shared)?;
        self.publish_stale(shared)
    }

    /// Gives a sign of life where the last one is old. False: there was no place or no time for it.
    fn beat(&mut self, shared: &mut impl SharedValues) -> Result<bool, StoreFault> {
        let now = shared.clock()?;
        let age = self.heard.and_then(|heard| now.checked_sub(heard));
        Ok(age.is_some_and(|age| age < BEAT) || self.call_roll(shared, true)?)
    }

    /// Reads the roster and strikes off who is dead; if `is_beat`, this VM signs it. False: every race was
    /// lost, or there is no place.
    fn call_roll(
        &mut self,
        shared: &mut impl SharedValues,
        is_beat: bool,
    ) -> Result<bool, StoreFault> {
        for _ in 0..ATTEMPTS {
            let version = shared.read(Shared::Roster, &mut self.bytes)?;
            if !self.roster.read(&self.bytes, VMS) {
                shared.reset();
            }
            // The clock comes second: nobody has signed later than it says. Who signs meanwhile makes the
            // swap fail.
            let now = shared.clock()?;
            let lives =
                |record: Record| now.checked_sub(record.heard_at()).is_some_and(|age| age <= LIFE);
            let all_live = self.roster.retain(lives);
            let vm = self.vm;
            let was_listed = lists(&self.roster, vm);
            if is_beat {
                self.roster.retain(|record| record.name() != vm);
                if !self.roster.push(Record::heard(vm, now), VMS) {
                    return Ok(false);
                }
            } else if all_live {
                return Ok(true);
            }
            self.roster.write(&mut self.bytes);
            if shared.swap(Shared::Roster, &self.bytes, version)? {
                if is_beat {
                    self.heard = Some(now);
                    if !was_listed {
                        // What this VM has published was void, and may be gone.
                        self.own.values_mut().for_each(|own| own.is_stale = true);
                        self.is_stale = !self.own.is_empty();
                        self.publish_stale(shared)?;
                    }
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn publish_stale(&mut self, shared: &mut impl SharedValues) -> Result<(), StoreFault> {
        if !std::mem::take(&mut self.is_stale) {
            return Ok(());
        }
        let stale = self.own.iter().filter(|(_, own)| own.is_stale).map(|(place, _)| *place);
        let stale: Vec<_> = stale.collect();
        for place in stale {
            self.publish(shared, place)?;
        }
        Ok(())
    }

    /// Tells how many are in flight at a place. What cannot be told is marked.
    fn publish(&mut self, shared: &mut impl SharedValues, place: Place) -> Result<(), StoreFault> {
        let count = self.own(place);
        let told = self.try_to_publish(shared, place, count);
        match told {
            Ok(true) if count == 0 => drop(self.own.remove(&place)),
            Ok(true) => drop(self.own.insert(place, Own { count, is_stale: false })),
            Ok(false) | Err(_) => self.mark(place),
        }
        told.map(drop)
    }

    fn try_to_publish(
        &mut self,
        shared: &mut impl SharedValues,
        place: Place,
        count: u16,
    ) -> Result<bool, StoreFault> {
        for _ in 0..ATTEMPTS {
            let version = self.read_set(shared, place.set)?;
            if self.write_set(shared, place, count, version)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn mark(&mut self, place: Place) {
        let count = self.own(place);
        self.own.insert(place, Own { count, is_stale: true });
        self.is_stale = true;
    }

    fn read_set(&mut self, shared: &mut impl SharedValues, set: u16) -> Result<u32, StoreFault> {
        let version = shared.read(Shared::Set(set), &mut self.bytes)?;
        // Nobody writes a count of nothing.
        if !self.set.read(&self.bytes, ROOM) || !self.set.retain(|record| record.count() > 0) {
            shared.reset();
        }
        Ok(version)
    }

    /// Puts this VM's record into the set that was read, and swaps it. False also where there is no room.
    fn write_set(
        &mut self,
        shared: &mut impl SharedValues,
        place: Place,
        count: u16,
        version: u32,
    ) -> Result<bool, StoreFault> {
        let (tag, vm) = (place.tag, self.vm);
        self.set.retain(|record| !record.is_of(tag, vm));
        if count > 0 && !self.set.push(Record::counted(tag, vm, count), ROOM) {
            return Ok(false);
        }
        self.set.write(&mut self.bytes);
        shared.swap(Shared::Set(place.set), &self.bytes, version)
    }

    /// What this VM has in flight at a place.
    fn own(&self, place: Place) -> u16 {
        self.own.get(&place).map_or(0, |own| own.count)
    }

    /// How many requests count against a key: its own, and those that all newcomers of its set share. Of this
    /// VM what it knows, of others what they have published.
    fn total(&self, key: Place) -> u16 {
        let own = [key.tag, SHARED].map(|tag| self.own(Place { tag, ..key }));
        let of_key = |record: &Record| record.name() == key.tag || record.name() == SHARED;
        let others = self.set.iter().filter(of_key).filter(|record| record.vm() != self.vm);
        own.into_iter().chain(others.map(Record::count)).fold(0, u16::saturating_add)
    }

    /// Where one more request of a key is counted: at its own place, if it has one or there is room, or
    /// at the one that newcomers share.
    fn place(&self, key: Place) -> Option<Place> {
        let shared = Place { tag: SHARED, ..key };
        let has = |place: Place| self.set.iter().any(|it| it.is_of(place.tag, self.vm));
        if has(key) || self.set.len() < PLACES {
            Some(key)
        } else {
            (has(shared) || self.set.len() < ROOM).then_some(shared)
        }
    }
}

fn lists(roster: &List, vm: u64) -> bool {
    roster.iter().any(|record| record.name() == vm)
}

/// A hash of places: their tags are hashes already, with a secret that no caller knows.
#[derive(Clone, Default)]
struct Tags(u64);

impl Hasher for Tags {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = self.0.rotate_left(16) ^ value;
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod tests;
