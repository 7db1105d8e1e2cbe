//! One key set that is fetched: what this worker has of it, and its part in fetching it.

mod fetch;

use std::rc::Rc;

use portcullis_core::{Issuer, KeySet, Remote, Timestamp, digest};

use super::Turn;
use super::data::Data;
use super::records::{Key, Record};
use super::state::{DataId, State};
use crate::abi::HostFault;
use fetch::Flight;

const MILLI: u64 = 1_000_000;
/// Shortest and longest time between two looks at the record, in nanoseconds.
const LOOK: std::ops::RangeInclusive<u64> = 50 * MILLI..=1_000 * MILLI;

/// A set that is fetched for one issuer of one policy.
pub(super) struct Source {
    /// Position of the issuer in its policy.
    pub(super) issuer: usize,
    pub(super) remote: Remote,
    state_key: Key,
    data_key: Key,
    /// The record as it was read last, and its version; version 0 before it was read.
    pub(super) state: State,
    version: u32,
    pub(super) held: Option<Held>,
    /// A set that cannot be used here, so that it is not read again and again.
    rejected: DataId,
    flight: Option<Flight>,
    /// When this worker last began a fetch. Others may write the record, not this.
    begun: Timestamp,
    /// Sets that were loaded so far.
    pub(super) loads: u64,
}

/// The set in force.
pub(super) struct Held {
    pub(super) id: DataId,
    etag: Box<str>,
    path: Box<str>,
    pub(super) set: Rc<KeySet>,
    pub(super) until: Timestamp,
}

impl Source {
    /// A source, and its record made where it is not there yet. Envoy configures its main thread before
    /// any worker, so one thread makes it.
    pub(super) fn open(
        turn: &Turn<'_>,
        issuer: &Issuer,
        remote: &Remote,
    ) -> Result<Self, HostFault> {
        let name = name(issuer, remote);
        let (state_key, data_key) = (Record::State.key(&name), Record::Data.key(&name));
        if turn.records.read(turn.inbox, &state_key)?.is_none() {
            turn.records.write(&state_key, &State::default().encode(), 0)?;
        }
        Ok(Self {
            issuer: issuer.id().position(),
            remote: remote.clone(),
            state_key,
            data_key,
            state: State::default(),
            version: 0,
            held: None,
            rejected: DataId::default(),
            flight: None,
            begun: Timestamp::default(),
            loads: 0,
        })
    }

    /// Reads the record, and the set where there is another one.
    pub(super) fn look(&mut self, turn: &mut Turn<'_>) {
        match self.read(turn) {
            Ok((state, version)) => (self.state, self.version) = (state, version),
            Err(fault) => return turn.fault(fault),
        }
        if self.state.data == DataId::default() {
            return;
        }
        if self.held.as_ref().is_none_or(|held| held.id != self.state.data) {
            if self.state.data != self.rejected {
                self.load(turn);
            }
            return;
        }
        self.prolong(turn);
    }

    /// The set in force was found unchanged, perhaps: it lasts longer then.
    fn prolong(&mut self, turn: &mut Turn<'_>) {
        let until = self.state.fetched.saturating_add(self.remote.max_stale);
        if let Some(held) = self.held.as_mut().filter(|held| held.until != until) {
            held.until = until;
            turn.put(self.issuer, Rc::clone(&held.set), until);
        }
    }

    /// The record as it is now. One that this code has not written counts as one of nothing.
    fn read(&self, turn: &Turn<'_>) -> Result<(State, u32), HostFault> {
        let held = turn.records.read(turn.inbox, &self.state_key)?;
        // Without a record there is nothing to swap; whoever lost it lost the sets too.
        let Some((bytes, version)) = held else {
            turn.records.write(&self.state_key, &State::default().encode(), 0)?;
            return Ok((State::default(), 0));
        };
        Ok((State::decode(&bytes, turn.now).unwrap_or_default(), version))
    }

    fn load(&mut self, turn: &mut Turn<'_>) {
        let bytes = match turn.records.read(turn.inbox, &self.data_key) {
            Ok(Some((bytes, _))) => bytes,
            Ok(None) => return,
            Err(fault) => return turn.fault(fault),
        };
        // Another worker may be between writing the set and saying so: the next look finds it.
        let Some(data) = Data::decode(&bytes, &self.state.data) else { return };
        let Some(issuer) = turn.policy.issuers().get(self.issuer) else { return };
        match KeySet::read(data.body, issuer.algorithms()) {
            Ok(set) => self.hold(turn, data, set),
            Err(_) => self.rejected = self.state.data,
        }
    }

    /// Puts a set in force that the record names.
    fn hold(&mut self, turn: &mut Turn<'_>, data: Data<'_>, set: KeySet) {
        let set = Rc::new(set);
        let until = self.state.fetched.saturating_add(self.remote.max_stale);
        turn.put(self.issuer, Rc::clone(&set), until);
        self.held = Some(Held {
            id: self.state.data,
            etag: data.etag.into(),
            path: data.path.into(),
            set,
            until,
        });
        self.loads = self.loads.wrapping_add(1);
    }

    /// Begins a fetch where one is due, or somebody waits for one, and none is under way or was a
    /// moment ago.
    pub(super) fn fetch_if_due(&mut self, turn: &mut Turn<'_>, is_awaited: bool) {
        // An answer that does not even fail: the host has lost the call.
        if self.flight.as_ref().is_some_and(|flight| flight.lease <= turn.now) {
            self.flight = None;
        }
        // The clock was set back: what this worker began lies ahead of it.
        self.begun = self.begun.min(turn.now);
        let is_due = is_awaited || self.due() <= turn.now;
        if is_due && self.flight.is_none() && self.free_from() <= turn.now && self.version != 0 {
            self.begin(turn);
        }
    }

    /// From when on a fetch may begin.
    fn free_from(&self) -> Timestamp {
        let last = self.state.begun.max(self.begun);
        let cool = match last.unix_nanos() {
            0 => last,
            _ => last.saturating_add(self.remote.cooldown),
        };
        cool.max(self.state.lease)
    }

    /// From when on a fetch is due without anybody asking. The record has it; a policy with a shorter
    /// interval than the one it was written under does not wait for it.
    fn due(&self) -> Timestamp {
        match &self.held {
            Some(_) if self.state.result.is_good() => {
                let latest = self.state.fetched.saturating_add(share(self.remote.refresh, 9, 10));
                self.state.next.min(latest)
            }
            _ => Timestamp::default(),
        }
    }

    /// When the record is to be looked at next.
    pub(super) fn next_look(&self, now: Timestamp) -> u64 {
        let (shortest, longest) = LOOK.into_inner();
        let patience = match &self.held {
            Some(held) if now < held.until => (self.remote.refresh / 20).clamp(shortest, longest),
            _ => shortest,
        };
        patience.min(self.due().max(self.free_from()).since(now)).max(shortest)
    }

    /// Whether the set that the record names was looked at: one that cannot be used here counts.
    pub(super) fn has_latest(&self) -> bool {
        let named = self.state.data;
        named == self.rejected || self.held.as_ref().is_some_and(|held| held.id == named)
    }
}

/// The name of a source: all that decides what is fetched, each with its length.
fn name(issuer: &Issuer, remote: &Remote) -> [u8; 16] {
    let path = remote.path.as_deref().unwrap_or_default();
    let mut text = Vec::new();
    for part in [&*remote.cluster, &*remote.authority, path, issuer.url()] {
        text.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        text.extend_from_slice(part.as_bytes());
    }
    digest(&text).first_chunk().copied().unwrap_or_default()
}

/// So many parts of the whole.
fn share(whole: u64, parts: u64, of: u64) -> u64 {
    whole.checked_div(of).unwrap_or(0).saturating_mul(parts)
}
