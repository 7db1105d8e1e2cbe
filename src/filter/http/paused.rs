//! Requests that wait for an answer from outside, and go on when it is there.

use portcullis_core::{Answer, Timestamp};

use super::{Carried, Http, Next};
use crate::abi::{Inbox, callout};
use crate::buckets::Buckets;
use crate::fleet::Heard;
use crate::metrics::Metrics;
use crate::waiting::{BATCH, Waiting};
use crate::{fleet, host};

impl Http {
    pub(super) fn wait(&mut self, waiting: Waiting, metrics: &mut Metrics) {
        if let Some(state) = self.streams.get_mut(&waiting.stream) {
            state.waits = true;
            state.places = std::mem::take(&mut self.buckets.entered);
            self.waiting.push(waiting, metrics);
        }
    }

    /// Decides requests that waited and wait no longer, some of them at a time. True: there may be more.
    /// Leaves the host acting for `root`.
    pub(crate) fn resume(
        &mut self,
        inbox: &Inbox,
        root: u32,
        now: Timestamp,
        buckets: Option<&Buckets>,
        metrics: &mut Metrics,
    ) -> bool {
        let ready = self.waiting.take_ready(now, metrics);
        let is_full = ready.len() >= BATCH;
        let is_any = !ready.is_empty();
        for (waiting, answer) in ready {
            self.go_on(inbox, waiting, answer, buckets, metrics);
        }
        if is_any {
            // Should it fail, the callback ends here in any case.
            let _ = callout::act_for(root);
        }
        is_full
    }

    /// Decides the request that waits for this call of this root context. `came` is the length of the answer's
    /// message, or the gRPC status of a call without one. Each has a callback of its own, so no request goes on deeper on the stack of another.
    pub(crate) fn answered(
        &mut self,
        inbox: &Inbox,
        call: (u32, u32),
        came: Result<usize, u32>,
        buckets: Option<&Buckets>,
        metrics: &mut Metrics,
    ) {
        // Nobody waits where the request is over, or where the call had failed at once.
        let waiting = self.waiting.take_call(call, metrics);
        let abandoned = waiting.is_none().then(|| self.waiting.take_abandoned(call)).flatten();
        let Some(generation) =
            waiting.as_ref().map(|waiting| &waiting.generation).or(abandoned.as_ref())
        else {
            return;
        };
        // Without a time the request is refused in any case.
        let now = host::now().unwrap_or_default();
        let heard = match came {
            Ok(size) => Heard::Message(callout::grpc_message(inbox, size.min(fleet::LONGEST))),
            Err(status) => Heard::Status(status),
        };
        let answer = generation.heard(heard, now, metrics);
        if let Some(waiting) = waiting {
            self.go_on(inbox, waiting, answer, buckets, metrics);
        }
    }

    /// Decides a request that waited.
    fn go_on(
        &mut self,
        inbox: &Inbox,
        waiting: Waiting,
        answer: Answer,
        buckets: Option<&Buckets>,
        metrics: &mut Metrics,
    ) {
        let Waiting { stream, generation, pause, .. } = waiting;
        let Some(state) = self.streams.get_mut(&stream) else { return };
        state.waits = false;
        // The host knows no such stream: then there is nobody to answer.
        if callout::act_for(stream).is_err() {
            return;
        }
        // Refused now, it is not in flight, though it may have been counted before it waited.
        self.buckets.entered = std::mem::take(&mut state.places);
        match self.decide(inbox, &generation, Some((&pause, answer)), buckets, metrics) {
            Carried::Wait(need, pause) => {
                self.wait(Waiting { stream, generation, need, pause }, metrics);
            }
            carried => {
                if self.end(inbox, stream, carried, metrics) == Next::GoOn
                    && let Err(fault) = callout::continue_request()
                {
                    self.log(&fault);
                    self.answer_failure(inbox, stream, metrics);
                }
            }
        }
    }
}
