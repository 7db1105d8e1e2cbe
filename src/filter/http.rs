//! One request: headers in, a decision, and what it asks for carried out.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;

use portcullis_core::{Decision, Denial, Effects, Outcome, Reply, Request};

use crate::abi::{self, HostFault, Inbox, Level};
use crate::buckets::Buckets;
use crate::host;
use crate::metrics::{Metrics, Mixer};
use crate::root::Generation;

/// What Envoy does next with a request or its trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It goes on to the next filter.
    GoOn,
    /// It ends here.
    Stop,
}

/// Faults that are written to the log, each VM: enough to find the cause, not enough to fill a disk.
const LOGGED_FAULTS: u8 = 16;

/// The streams of this VM and what they share.
#[derive(Default)]
pub(crate) struct Http {
    streams: HashMap<u32, Stream, BuildHasherDefault<Mixer>>,
    faults: u8,
    /// Scratch space for the names of buckets and for audit records.
    name: Vec<u8>,
    audit: Vec<u8>,
}

/// Names and values to add to a response.
type ResponseLines = Vec<(Box<str>, String)>;

/// A request and its response.
struct Stream {
    /// The policy it was born with; `None` where there was none.
    generation: Option<Rc<Generation>>,
    /// Set once the filter has answered itself: later callbacks are about its own reply.
    answered: bool,
    /// Lines to add to the upstream's response.
    response: ResponseLines,
}

/// A decision carried out: what remains to be done with the response, or a reply to send.
enum Carried {
    Forward(ResponseLines),
    Reply(Reply),
}

impl Http {
    /// A request begins.
    pub(crate) fn open(&mut self, stream: u32, generation: Option<Rc<Generation>>) {
        self.streams.insert(stream, Stream { generation, answered: false, response: Vec::new() });
    }

    /// A request is over.
    pub(crate) fn close(&mut self, stream: u32) {
        self.streams.remove(&stream);
    }

    /// Decides a request and carries the decision out.
    pub(crate) fn request_headers(
        &mut self,
        inbox: &Inbox,
        stream: u32,
        buckets: Option<&Buckets>,
        metrics: &mut Metrics,
    ) -> Next {
        let generation = self.streams.get(&stream).and_then(|stream| stream.generation.clone());
        let carried = match (&generation, buckets) {
            (Some(generation), Some(buckets)) => {
                self.decide(inbox, generation, buckets, metrics).unwrap_or_else(|fault| {
                    self.log(&fault);
                    Carried::Reply(Reply::bare(Denial::HostFailure, false))
                })
            }
            _ => Carried::Reply(Reply::bare(Denial::PolicyUnavailable, false)),
        };
        let state = self.streams.get_mut(&stream);
        match (carried, state) {
            (Carried::Forward(response), Some(state)) => {
                state.response = response;
                Next::GoOn
            }
            (Carried::Forward(_), None) => Next::Stop,
            (Carried::Reply(reply), state) => {
                if let Some(state) = state {
                    state.answered = true;
                }
                host::reply(&reply);
                Next::Stop
            }
        }
    }

    /// Reads the request, decides, edits and records. An error is a host call that failed before
    /// there was a decision.
    fn decide(
        &mut self,
        inbox: &Inbox,
        generation: &Generation,
        buckets: &Buckets,
        metrics: &mut Metrics,
    ) -> Result<Carried, HostFault> {
        let policy = &generation.policy;
        let needs = policy.needs();
        let headers = host::request_headers(inbox)?;
        let source_address = if needs.source_address { host::source_address(inbox)? } else { None };
        let route_name = if needs.route_name { host::route_name(inbox)? } else { None };
        let request = Request { headers: &headers, source_address, route_name };
        let now = host::now()?;

        let mut store = buckets.store(inbox, policy.gateway(), metrics, &mut self.name);
        let Ok(mut tokens) = generation.tokens.try_borrow_mut() else {
            return Ok(Carried::Reply(Reply::bare(Denial::HostFailure, false)));
        };
        let mut decision = policy.decide_now(&request, now, &mut store, &mut tokens, &mut ());
        if let Some(fault) = store.fault {
            self.log(&fault);
        }
        let carried = self.carry_out(&mut decision);
        count(&decision, generation, metrics);
        Ok(carried)
    }

    /// Edits the request's lines and leaves the record. What cannot be written is not forwarded.
    fn carry_out(&mut self, decision: &mut Decision<'_, '_>) -> Carried {
        match self.try_to_carry_out(decision) {
            Ok(carried) => return carried,
            Err(fault) => self.log(&fault),
        }
        if decision.outcome() != Outcome::Refused {
            decision.fail();
            // The record tells of the failure where it can; Envoy's own log line does in any case.
            let _ = self.record(decision);
        }
        match decision.effects() {
            Effects::Reply(reply) => Carried::Reply(reply),
            Effects::Forward(_) => Carried::Reply(Reply::bare(Denial::HostFailure, false)),
        }
    }

    fn try_to_carry_out(&mut self, decision: &Decision<'_, '_>) -> Result<Carried, HostFault> {
        let carried = match decision.effects() {
            Effects::Reply(reply) => Carried::Reply(reply),
            Effects::Forward(forward) => {
                host::edit_request(&forward)?;
                let lines = forward.response.into_iter();
                Carried::Forward(lines.map(|(name, value)| (name.into(), value)).collect())
            }
        };
        self.record(decision)?;
        Ok(carried)
    }

    fn record(&mut self, decision: &Decision<'_, '_>) -> Result<(), HostFault> {
        self.audit.clear();
        decision.write_audit(&mut self.audit);
        host::record(&self.audit)
    }

    /// Removes trailers that must never reach an upstream.
    pub(crate) fn request_trailers(&mut self, inbox: &Inbox, stream: u32) -> Next {
        let Some(state) = self.streams.get(&stream) else { return Next::Stop };
        let Some(generation) = state.generation.clone().filter(|_| !state.answered) else {
            return Next::Stop;
        };
        let stripped = host::request_trailers(inbox).and_then(|lines| {
            let names = lines.iter().map(|(name, _)| *name);
            let mut names = names.filter(|name| generation.policy.is_stripped_trailer(name));
            names.try_for_each(host::remove_trailer)
        });
        match stripped {
            Ok(()) => Next::GoOn,
            Err(fault) => {
                self.log(&fault);
                self.answer_failure(stream);
                Next::Stop
            }
        }
    }

    fn answer_failure(&mut self, stream: u32) {
        if let Some(state) = self.streams.get_mut(&stream) {
            state.answered = true;
        }
        host::reply(&Reply::bare(Denial::HostFailure, false));
    }

    /// Adds what the decision has to say to the upstream's response. A line that Envoy does not take
    /// is left out: the request has been served.
    pub(crate) fn response_headers(&mut self, stream: u32) {
        let Some(state) = self.streams.get_mut(&stream).filter(|state| !state.answered) else {
            return;
        };
        for (name, value) in std::mem::take(&mut state.response) {
            if let Err(fault) = host::add_response_header(&name, &value) {
                self.log(&fault);
                return;
            }
        }
    }

    fn log(&mut self, fault: &HostFault) {
        if self.faults < LOGGED_FAULTS {
            self.faults = self.faults.saturating_add(1);
            abi::log(Level::Error, &fault.to_string());
        }
    }
}

/// Counts a decision, the limit that refused it and the retiring key that it used.
fn count(decision: &Decision<'_, '_>, generation: &Generation, metrics: &mut Metrics) {
    let gateway = generation.policy.gateway();
    if let Ok(mut known) = generation.known.try_borrow_mut() {
        metrics.decision(&mut known, gateway, decision);
    }
    if let (Err(Denial::RateLimited), Some(limit)) = (decision.verdict(), decision.rule()) {
        metrics.limit_refusal(gateway, limit);
    }
    if let Some(principal) = decision
        .principal()
        .filter(|principal| principal.key().is_some_and(|key| key.is_retiring()))
    {
        metrics.retiring_key(gateway, principal.name());
    }
}
