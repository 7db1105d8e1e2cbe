//! One request: headers in, a decision, and what it asks for carried out.

mod paused;
mod response;
mod tally;

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;

use portcullis_core::{
    Answer, Charge, Decision, Denial, Effects, HeaderLine, Lines, Outcome, Pause, Place, Reply,
    Request, Step,
};

use crate::abi::{self, HostFault, Inbox, Level};
use crate::buckets::{Buckets, Held};
use crate::generation::{Generation, Tokens};
use crate::host;
use crate::metrics::{Metrics, Mixer};
use crate::waiting::{Ask, Need, Waiting, WaitingList};
use tally::count;

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
    pub(crate) waiting: WaitingList,
    faults: u8,
    pub(crate) buckets: Held,
    /// Scratch space for audit records.
    audit: Vec<u8>,
}

/// A request and its response.
struct Stream {
    /// The policy it was born with; `None` where there was none.
    generation: Option<Rc<Generation>>,
    /// Set once the filter has answered itself: later callbacks are about its own reply.
    answered: bool,
    /// Set while it waits for an answer.
    waits: bool,
    /// Lines to add to the upstream's response.
    response: Lines,
    /// Where it is counted as in flight.
    places: Vec<Place>,
    /// What that response is held against.
    charges: Vec<Charge>,
}

/// What remains to be done with a request.
enum Carried {
    /// Its lines are edited: it goes on, these come to its response, and that is held against those.
    Forward(Lines, Vec<Charge>),
    /// It is answered with this.
    Reply(Reply),
    /// It waits for an answer.
    Wait(Need, Box<Pause>),
}

impl Stream {
    /// It is in flight no longer.
    #[inline(never)]
    fn land(&mut self, inbox: &Inbox, held: &mut Held, metrics: &mut Metrics) -> Option<HostFault> {
        let places = std::mem::take(&mut self.places);
        let gateway = self.generation.as_ref().map_or("", |held| held.policy.gateway());
        held.land(&places, inbox, gateway, metrics)
    }
}

impl Http {
    /// A request begins.
    pub(crate) fn open(&mut self, stream: u32, generation: Option<Rc<Generation>>) {
        let state = Stream {
            generation,
            answered: false,
            waits: false,
            response: Lines::default(),
            places: Vec::new(),
            charges: Vec::new(),
        };
        self.streams.insert(stream, state);
    }

    /// A request is over.
    pub(crate) fn close(&mut self, inbox: &Inbox, stream: u32, metrics: &mut Metrics) {
        let Some(mut state) = self.streams.remove(&stream) else { return };
        if !state.places.is_empty() {
            let fault = state.land(inbox, &mut self.buckets, metrics);
            self.log_any(fault);
        }
        if state.waits {
            self.waiting.remove(stream, metrics);
        }
    }

    /// The timer ran.
    pub(crate) fn tick(&mut self, inbox: &Inbox, gateway: &str, metrics: &mut Metrics) {
        let fault = self.buckets.tick(inbox, gateway, metrics);
        self.log_any(fault);
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
        let Some(generation) = generation else {
            let reply = Reply::bare(Denial::PolicyUnavailable, false);
            return self.end(inbox, stream, Carried::Reply(reply), metrics);
        };
        match self.decide(inbox, &generation, None, buckets, metrics) {
            Carried::Wait(need, pause) => {
                self.wait(Waiting { stream, generation, need, pause }, metrics);
                Next::Stop
            }
            carried => self.end(inbox, stream, carried, metrics),
        }
    }

    /// Ends the decision of a request: replies, or keeps what its response gets.
    fn end(&mut self, inbox: &Inbox, stream: u32, carried: Carried, metrics: &mut Metrics) -> Next {
        let Some(state) = self.streams.get_mut(&stream) else { return Next::Stop };
        state.places = std::mem::take(&mut self.buckets.entered);
        let reply = match carried {
            Carried::Forward(response, charges) => {
                state.response = response;
                state.charges = charges;
                return Next::GoOn;
            }
            Carried::Reply(reply) => reply,
            Carried::Wait(..) => Reply::bare(Denial::HostFailure, false),
        };
        state.answered = true;
        if !state.places.is_empty() {
            let fault = state.land(inbox, &mut self.buckets, metrics);
            self.log_any(fault);
        }
        host::reply(&reply);
        Next::Stop
    }

    /// Decides a request, edits and records; `answer` is set where it has waited.
    fn decide(
        &mut self,
        inbox: &Inbox,
        generation: &Generation,
        answer: Option<(&Pause, Answer)>,
        buckets: Option<&Buckets>,
        metrics: &mut Metrics,
    ) -> Carried {
        let Some(buckets) = buckets else {
            return Carried::Reply(Reply::bare(Denial::PolicyUnavailable, false));
        };
        self.try_to_decide(inbox, generation, answer, buckets, metrics).unwrap_or_else(|fault| {
            self.log(&fault);
            Carried::Reply(Reply::bare(Denial::HostFailure, false))
        })
    }

    /// An error is a host call that failed before there was a decision.
    fn try_to_decide(
        &mut self,
        inbox: &Inbox,
        generation: &Generation,
        answer: Option<(&Pause, Answer)>,
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

        let Ok(mut tokens) = generation.tokens.try_borrow_mut() else {
            return Ok(Carried::Reply(Reply::bare(Denial::HostFailure, false)));
        };
        let tokens = &mut *tokens;
        let mut fault = None;
        let mut walk =
            |tokens: &mut Tokens, metrics: &mut Metrics, answer: Option<(&Pause, Answer)>| {
                let mut store = buckets.store(inbox, policy.gateway(), metrics, &mut self.buckets);
                let step = match answer {
                    None => policy.decide(&request, now, &mut store, tokens, &mut ()),
                    Some((pause, answer)) => {
                        policy.resume(pause, answer, &request, now, &mut store, tokens, &mut ())
                    }
                };
                fault = store.fault.or(fault);
                step
            };
        let mut step = walk(tokens, metrics, answer);
        let mut decision = loop {
            // What was answered is not asked again, so this ends.
            match step {
                Step::Done(decision) => break decision,
                Step::Ask(pause) => {
                    let has_room = self.waiting.has_room(pause.question());
                    match generation.ask(inbox, now, &pause, tokens, metrics, has_room) {
                        Ask::Wait(need) => return Ok(Carried::Wait(need, pause)),
                        Ask::Decide(answer) => {
                            step = walk(tokens, metrics, Some((&pause, answer)));
                        }
                    }
                }
            }
        };
        if let Some(fault) = fault {
            self.log(&fault);
        }
        let carried = self.carry_out(inbox, &mut decision, &headers);
        count(&decision, generation, metrics);
        Ok(carried)
    }

    /// Edits the request's lines and leaves the record. What cannot be written is not forwarded.
    fn carry_out(
        &mut self,
        inbox: &Inbox,
        decision: &mut Decision<'_, '_>,
        lines: &[HeaderLine<'_>],
    ) -> Carried {
        match self.try_to_carry_out(inbox, decision, lines) {
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

    fn try_to_carry_out(
        &mut self,
        inbox: &Inbox,
        decision: &Decision<'_, '_>,
        lines: &[HeaderLine<'_>],
    ) -> Result<Carried, HostFault> {
        let carried = match decision.effects() {
            Effects::Reply(reply) => Carried::Reply(reply),
            Effects::Forward(forward) => {
                host::edit_request(&forward, lines)?;
                for (fact, value) in decision.handed_over() {
                    host::hand_over(inbox, fact, &value)?;
                }
                Carried::Forward(forward.response, forward.charges)
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
    pub(crate) fn request_trailers(
        &mut self,
        inbox: &Inbox,
        stream: u32,
        metrics: &mut Metrics,
    ) -> Next {
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
                self.answer_failure(inbox, stream, metrics);
                Next::Stop
            }
        }
    }

    fn answer_failure(&mut self, inbox: &Inbox, stream: u32, metrics: &mut Metrics) {
        if let Some(state) = self.streams.get_mut(&stream) {
            state.answered = true;
            let fault = state.land(inbox, &mut self.buckets, metrics);
            self.log_any(fault);
        }
        host::reply(&Reply::bare(Denial::HostFailure, false));
    }

    fn log_any(&mut self, fault: Option<HostFault>) {
        if let Some(fault) = fault {
            self.log(&fault);
        }
    }

    fn log(&mut self, fault: &HostFault) {
        if self.faults < LOGGED_FAULTS {
            self.faults = self.faults.saturating_add(1);
            abi::log(Level::Error, &fault.to_string());
        }
    }
}
