//! Place: the caller's address and country, and the networks that are denied to all.

use super::Walk;
use crate::address::Address;
use crate::authn::signature::SignatureVerifier;
use crate::caller;
use crate::explain::{Stage, Trace};
use crate::limit::BucketStore;
use crate::network::{Caller, Country, NetworkId, NetworkSet};
use crate::reason::Denial;
use crate::request::Field;

/// Longest value of a trusted header, in bytes.
const MAX_TRUSTED: usize = 8_192;

impl<S: BucketStore, V: SignatureVerifier, T: Trace> Walk<'_, '_, '_, S, V, T> {
    pub(super) fn locate_caller(&mut self) -> Result<(), Denial> {
        if self.policy.needs.source_address {
            match caller::address(&self.policy.address_source, self.request) {
                Ok(address) => {
                    self.decision.caller.address = Some(address);
                    self.trace.note(Stage::Caller, || format!("address {address}"));
                }
                Err(doubt) => {
                    self.trace.note(Stage::Caller, || format!("address unknown: {doubt}"));
                }
            }
        }
        if self.policy.reads_country {
            let country = match self.decision.headers.country {
                Field::Absent => Country::UNKNOWN,
                Field::One(text) => Country::parse(text),
                // Envoy sets one line; the other is the caller's.
                Field::Many => {
                    self.trace
                        .note(Stage::Caller, || "the country header has two lines".to_owned());
                    return Err(Denial::RequestMalformed);
                }
            };
            self.decision.caller.country = Some(country);
            self.trace.note(Stage::Caller, || format!("country {}", country.as_str()));
        }
        // The hop in front sends one short line; what is more is somebody else's.
        let trusted = self.decision.headers.trusted.iter();
        let is_read =
            |field: &Field<'_>| field.one().is_some_and(|value| value.len() <= MAX_TRUSTED);
        if trusted.into_iter().any(|(_, field)| !is_read(field)) {
            self.trace.note(Stage::Caller, || {
                "a trusted header has two lines, or is longer than 8,192 bytes".to_owned()
            });
            return Err(Denial::RequestMalformed);
        }
        Ok(())
    }

    pub(super) fn refuse_denied_networks(&mut self) -> Result<(), Denial> {
        self.refuse_in(&self.policy.deny, Stage::Network, "the policy")
    }

    /// Refuses a caller in one of these networks, or whose place is needed and not known. An IPv6
    /// address that carries an IPv4 one is judged by both.
    pub(super) fn refuse_in(
        &mut self,
        deny: &NetworkSet,
        stage: Stage,
        whose: &str,
    ) -> Result<(), Denial> {
        if deny.is_empty() {
            return Ok(());
        }
        self.need_address(deny, stage)?;
        let Caller { address, .. } = self.decision.caller;
        let embedded = address.and_then(Address::embedded);
        let found = self
            .find_in(deny, self.decision.caller)
            .or_else(|| self.find_in(deny, Caller { address: Some(embedded?), country: None }));
        if let Some(network) = found {
            let name = self.policy.networks.name(network);
            self.decision.rule = Some(name);
            self.trace.note(stage, || format!("in `{name}`, denied by {whose}"));
            Err(Denial::AddressDenied)
        } else {
            self.trace.note(stage, || format!("in no network denied by {whose}"));
            Ok(())
        }
    }

    /// Refuses a caller outside these networks, if there are any.
    pub(super) fn require_in(
        &mut self,
        allow: &NetworkSet,
        denial: Denial,
        whose: &str,
    ) -> Result<(), Denial> {
        if allow.is_empty() {
            return Ok(());
        }
        if let Some(network) = self.find_in(allow, self.decision.caller) {
            let name = self.policy.networks.name(network);
            self.trace.note(Stage::Authorise, || format!("in `{name}`, allowed by {whose}"));
            return Ok(());
        }
        self.need_address(allow, Stage::Authorise)?;
        self.trace.note(Stage::Authorise, || format!("in no network allowed by {whose}"));
        Err(denial)
    }

    fn find_in(&self, set: &NetworkSet, caller: Caller) -> Option<NetworkId> {
        self.policy.networks.find(set, &caller, self.now)
    }

    fn need_address(&mut self, set: &NetworkSet, stage: Stage) -> Result<(), Denial> {
        if set.needs_address() && self.decision.caller.address.is_none() {
            self.trace.note(stage, || "a rule needs the address, which is unknown".to_owned());
            return Err(Denial::AddressUnknown);
        }
        Ok(())
    }
}
