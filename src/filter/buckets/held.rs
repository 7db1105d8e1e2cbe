//! What a VM keeps of buckets between requests.

use portcullis_core::{Flights, Lease, Place, Quota, Standing};

use super::Seen;
use super::tables::Table;
use crate::abi::{HostFault, Inbox};
use crate::flights::Values;
use crate::leases::{Hash, Memories};
use crate::metrics::{Metrics, OTHER};

/// What a VM has of buckets: its leases, what the service of a fleet said, what is in flight here, and
/// scratch space.
#[derive(Default)]
pub(crate) struct Held {
    of_addresses: Memories<Lease>,
    of_callers: Memories<Lease>,
    pub(super) fleet_addresses: Memories<Standing>,
    pub(super) fleet_callers: Memories<Standing>,
    /// `None` until a policy counts what is in flight.
    pub(crate) flights: Option<Flights>,
    /// Where the request at hand was counted that was not forwarded yet.
    pub(crate) entered: Vec<Place>,
    /// The name of a bucket.
    pub(super) name: Vec<u8>,
    /// Sets that were read for the request.
    pub(super) seen: Vec<Seen>,
}

impl Held {
    /// Requests that were counted at these places are over. What cannot be told now is told on the timer;
    /// then this is the host's fault, for the log.
    pub(crate) fn land(
        &mut self,
        places: &[Place],
        inbox: &Inbox,
        gateway: &str,
        metrics: &mut Metrics,
    ) -> Option<HostFault> {
        let flights = self.flights.as_mut()?;
        let mut values = Values { inbox, gateway, limit: OTHER, metrics, fault: None };
        for place in places {
            // What went wrong is in `values`.
            let _ = flights.leave(&mut values, *place);
        }
        values.fault
    }

    /// The timer ran: tells that the VM lives, if it has requests in flight, and what could not be told.
    pub(crate) fn tick(
        &mut self,
        inbox: &Inbox,
        gateway: &str,
        metrics: &mut Metrics,
    ) -> Option<HostFault> {
        let flights = self.flights.as_mut()?;
        let mut values = Values { inbox, gateway, limit: OTHER, metrics, fault: None };
        let _ = flights.tick(&mut values);
        values.fault
    }

    /// Whether the timer is to run within a second.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.flights.as_ref().is_some_and(|flights| !flights.is_idle())
    }

    pub(super) fn leases(&mut self, table: Table) -> Option<&mut Memories<Lease>> {
        match table {
            Table::Addresses => Some(&mut self.of_addresses),
            Table::Callers => Some(&mut self.of_callers),
            Table::Overflow => None,
        }
    }

    pub(super) fn lease(&mut self, table: Table, hash: Hash, quota: &Quota) -> Option<&mut Lease> {
        self.leases(table).filter(|_| quota.is_leased())?.find(hash, quota)
    }
}
