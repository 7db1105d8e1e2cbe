//! Requests in flight, counted in Envoy's shared data for all workers of the process.
//!
//! The first configuration that has such a limit makes all keys; a request only ever changes some. Keys with an
//! address have sets of their own, for the reason that buckets have: a flood of addresses must not crowd
//! consumers. The values are lists, and as long as what is in flight.

use portcullis_core::{Flights, Shared, SharedValues, StoreFault};

use crate::abi::{self, HostFault, Inbox};
use crate::metrics::{Metrics, StoreEvent};

/// Sets for keys that callers can make any number of, and for all others behind them.
const ADDRESS_SETS: u16 = 4_096;
const CALLER_SETS: u16 = 2_048;

/// Prefixes hold the version of the format, as those of buckets.
const READY_KEY: &[u8] = b"pf1/ready";

/// The key of a value: short enough for the host to keep it without another allocation.
const fn key(at: Shared) -> [u8; 7] {
    let (kind, [low, high]) = match at {
        Shared::Roster => (b'r', [0; 2]),
        Shared::Set(set) => (b's', set.to_le_bytes()),
    };
    [b'p', b'f', b'1', b'/', kind, low, high]
}

/// The set of a key, by a part of its hash.
pub(crate) fn set(hash: u64, is_unbounded: bool) -> u16 {
    let (first, sets) = if is_unbounded { (0, ADDRESS_SETS) } else { (ADDRESS_SETS, CALLER_SETS) };
    let place = hash.checked_rem(u64::from(sets)).unwrap_or(0);
    first.saturating_add(u16::try_from(place).unwrap_or(0))
}

/// A VM that has no request in flight yet. Finds the values that all workers share, or makes them: Envoy
/// configures its main thread before any worker.
pub(crate) fn open(inbox: &Inbox) -> Result<Flights, HostFault> {
    if abi::shared(inbox, READY_KEY)?.is_none() {
        let sets = (0..ADDRESS_SETS.saturating_add(CALLER_SETS)).map(Shared::Set);
        for at in sets.chain([Shared::Roster]) {
            let key = key(at);
            if abi::shared(inbox, &key)?.is_none() {
                abi::set_shared(&key, &[], 0)?;
            }
        }
        abi::set_shared(READY_KEY, &[1], 0)?;
    }
    let mut random = [0; 8];
    abi::random(&mut random)?;
    Ok(Flights::new(u64::from_le_bytes(random)))
}

/// The values, as somebody sees them who counts events for a limit.
pub(crate) struct Values<'v> {
    pub(crate) inbox: &'v Inbox,
    pub(crate) gateway: &'v str,
    pub(crate) limit: &'v str,
    pub(crate) metrics: &'v mut Metrics,
    /// What the host did, for the log.
    pub(crate) fault: Option<HostFault>,
}

impl Values<'_> {
    fn fault(&mut self, fault: HostFault) -> StoreFault {
        self.fault = Some(fault);
        StoreFault
    }
}

impl SharedValues for Values<'_> {
    fn read(&mut self, at: Shared, into: &mut Vec<u8>) -> Result<u32, StoreFault> {
        into.clear();
        match abi::shared(self.inbox, &key(at)) {
            Ok(Some((bytes, version @ 1..))) => {
                into.extend_from_slice(bytes);
                Ok(version)
            }
            // Without a version a swap would not be one: the host would just write.
            Ok(_) => Err(self.fault(HostFault::malformed("proxy_get_shared_data"))),
            Err(fault) => Err(self.fault(fault)),
        }
    }

    fn swap(&mut self, at: Shared, value: &[u8], version: u32) -> Result<bool, StoreFault> {
        abi::set_shared(&key(at), value, version).map_err(|fault| self.fault(fault))
    }

    fn clock(&mut self) -> Result<u64, StoreFault> {
        abi::steady().map_err(|fault| self.fault(fault))
    }

    fn reset(&mut self) {
        self.metrics.store_event(self.gateway, self.limit, StoreEvent::Reset);
    }
}
