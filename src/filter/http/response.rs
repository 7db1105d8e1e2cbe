//! The upstream's response: what is added to it, and what it says that the request has cost.

use super::{Http, Stream};
use crate::abi::{HostFault, Inbox};
use crate::buckets::Buckets;
use crate::host;
use crate::metrics::Metrics;

impl Http {
    /// Adds what the decision has to say to the upstream's response, and charges what it says that the
    /// request has cost. A line that Envoy does not take is left out, and what it fails to read or to
    /// change stays as it is: the request has been served.
    pub(crate) fn response_headers(
        &mut self,
        inbox: &Inbox,
        stream: u32,
        buckets: Option<&Buckets>,
        metrics: &mut Metrics,
    ) {
        let Some(state) = self.streams.get_mut(&stream).filter(|state| !state.answered) else {
            return;
        };
        if std::mem::take(&mut state.waits) {
            // Envoy has answered in our place: its own timeout, for one.
            state.answered = true;
            return self.waiting.remove(stream, metrics);
        }
        let response = std::mem::take(&mut state.response);
        if !state.charges.is_empty() {
            self.charge(inbox, stream, buckets, metrics);
        }
        for (name, value) in response.iter() {
            if let Err(fault) = host::add_response_header(name, value) {
                self.log(&fault);
                return;
            }
        }
    }

    #[cold]
    fn charge(
        &mut self,
        inbox: &Inbox,
        stream: u32,
        buckets: Option<&Buckets>,
        metrics: &mut Metrics,
    ) {
        if let Err(fault) = self.try_to_charge(inbox, stream, buckets, metrics) {
            self.log(&fault);
        }
    }

    fn try_to_charge(
        &mut self,
        inbox: &Inbox,
        stream: u32,
        buckets: Option<&Buckets>,
        metrics: &mut Metrics,
    ) -> Result<(), HostFault> {
        let state = self.streams.get_mut(&stream);
        let (Some(Stream { generation: Some(generation), charges, .. }), Some(buckets)) =
            (state, buckets)
        else {
            return Ok(());
        };
        let (policy, now) = (&generation.policy, host::now()?);
        let lines = host::response_headers(inbox)?;
        let mut store = buckets.store(inbox, policy.gateway(), metrics, &mut self.buckets);
        let removed = policy.charge(charges, &lines, now, &mut store, &mut ());
        let fault = store.fault;
        removed.into_iter().try_for_each(host::remove_response_header)?;
        fault.map_or(Ok(()), Err)
    }
}
