//! Requests on their way through a VM: callbacks in Envoy's order, and what the filter made of them.

use super::Vm;
use super::host::{Pair, REQUEST_HEADERS, REQUEST_TRAILERS, RESPONSE_HEADERS, Stream};
use super::story::{Answer, Outcome, Request, pairs};

/// What a header callback tells the host to do next.
const CONTINUE: u32 = 0;
/// The only one with which a request that waits keeps its body back.
const STOP_ALL: u32 = 4;

impl Vm {
    /// Opens a stream: Envoy has a request, the filter has not seen its headers yet.
    pub fn open(&mut self, root: u32) -> u32 {
        let stream = self.context();
        self.host().streams.insert(stream, Stream { root, ..Stream::default() });
        self.call::<_, ()>(stream, "proxy_on_context_create", (stream, root));
        stream
    }

    /// Runs a request from its headers to the response headers on an open stream.
    pub fn run(&mut self, stream: u32, request: &Request) -> Outcome {
        self.host().log.clear();
        self.host().calls.clear();
        let answer = self.decode(stream, request);
        self.outcome(stream, answer)
    }

    fn outcome(&mut self, stream: u32, answer: Answer) -> Outcome {
        let host = self.host();
        let mut left = host.streams.get(&stream).map(|state| state.filter_state.clone());
        let audit = left.as_mut().and_then(|left| left.remove(&b"wasm.portcullis.audit"[..]));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let rest = left.unwrap_or_default().into_iter();
        Outcome {
            answer,
            audit,
            handed_over: rest.map(|(name, value)| (text(name), text(value))).collect(),
            log: std::mem::take(&mut host.log),
            calls: std::mem::take(&mut host.calls),
        }
    }

    /// Runs a request's headers and no more: if it goes on it is in flight until the stream is closed. How
    /// it ends, if it does not.
    pub fn begin(&mut self, stream: u32, request: &Request) -> Option<Outcome> {
        self.host().log.clear();
        self.host().calls.clear();
        let answer = match self.show(stream, request) {
            Ok((_, None)) => return None,
            Ok((_, Some(()))) => self.stopped(stream),
            Err(trap) => Answer::Trapped(trap),
        };
        Some(self.outcome(stream, answer))
    }

    fn decode(&mut self, stream: u32, request: &Request) -> Answer {
        let (headers, stopped) = match self.show(stream, request) {
            Ok(seen) => seen,
            Err(trap) => return Answer::Trapped(trap),
        };
        if let Some(state) = self.host().streams.get_mut(&stream) {
            state.trailers.clone_from(&request.trailers);
            state.response.clone_from(&request.response);
        }
        if stopped.is_some() {
            return self.stopped(stream);
        }
        self.forward(stream, headers)
    }

    fn show(&mut self, stream: u32, request: &Request) -> Result<(Vec<Pair>, Option<()>), String> {
        if let Some(state) = self.host().streams.get_mut(&stream) {
            let properties = [
                (&b"source\0address"[..], &request.source_address),
                (b"xds\0route_name", &request.route_name),
            ];
            state.properties = properties
                .into_iter()
                .filter_map(|(path, value)| Some((path.to_vec(), value.clone()?)))
                .collect();
        }
        let end = request.trailers.is_none();
        let name = "proxy_on_request_headers";
        self.callback(stream, name, REQUEST_HEADERS, &request.headers, end)
    }

    /// The rest of a request that goes on.
    fn forward(&mut self, stream: u32, headers: Vec<Pair>) -> Answer {
        let state = self.host().streams.get_mut(&stream);
        let mut trailers = Vec::new();
        if let Some(sent) = state.and_then(|state| state.trailers.take()) {
            let name = "proxy_on_request_trailers";
            match self.callback(stream, name, REQUEST_TRAILERS, &sent, true) {
                Ok((_, Some(()))) => return self.stopped(stream),
                Ok((seen, None)) => trailers = seen,
                Err(trap) => return Answer::Trapped(trap),
            }
        }
        let mut upstream = pairs(&[(":status", "200")]);
        if let Some(state) = self.host().streams.get_mut(&stream) {
            upstream.append(&mut state.response);
        }
        let name = "proxy_on_response_headers";
        match self.callback(stream, name, RESPONSE_HEADERS, &upstream, true) {
            Ok((mut response, None)) => {
                response.retain(|(name, _)| name != b":status");
                Answer::Forwarded { headers, trailers, response }
            }
            Ok((_, Some(()))) => Answer::Stalled,
            Err(trap) => Answer::Trapped(trap),
        }
    }

    /// Runs one header callback. Gives the map as the filter left it, and whether it stopped.
    fn callback(
        &mut self,
        stream: u32,
        name: &str,
        map: usize,
        lines: &[Pair],
        end: bool,
    ) -> Result<(Vec<Pair>, Option<()>), String> {
        if let Some(state) = self.host().streams.get_mut(&stream) {
            state.maps[map] = Some(lines.to_vec());
        }
        let count = u32::try_from(lines.len()).expect("fewer than 2^32 lines");
        let result: Option<u32> = if map == REQUEST_TRAILERS {
            self.call(stream, name, (stream, count))
        } else {
            self.call(stream, name, (stream, count, u32::from(end)))
        };
        if let Some(trap) = &self.trap {
            return Err(trap.clone());
        }
        let go_on = result.is_none_or(|result| result == CONTINUE);
        let state = self.host().streams.get_mut(&stream);
        let (lines, replied) = state.map_or_else(Default::default, |state| {
            let replied = !state.replies.is_empty() || state.reset;
            state.is_stopped = map == REQUEST_HEADERS && !go_on && !replied;
            if state.is_stopped {
                assert_eq!(result, Some(STOP_ALL), "the body would go on without the headers");
                return (Vec::new(), false);
            }
            (state.maps[map].take().unwrap_or_default(), replied)
        });
        // The host stops after a local reply whatever the filter says.
        Ok((lines, (!go_on || (map != RESPONSE_HEADERS && replied)).then_some(())))
    }

    /// What happens to a stream that the filter stopped: its reply runs through the response
    /// callback, as in Envoy.
    fn stopped(&mut self, stream: u32) -> Answer {
        let Some(state) = self.host().streams.get_mut(&stream) else { return Answer::Stalled };
        if state.reset {
            return Answer::Reset;
        }
        assert!(state.replies.len() <= 1, "two local replies hang the caller");
        let Some(mut reply) = state.replies.first().cloned() else { return Answer::Stalled };
        let name = "proxy_on_response_headers";
        match self.callback(stream, name, RESPONSE_HEADERS, &reply.headers, true) {
            Ok((headers, _)) => {
                reply.headers = headers;
                Answer::Replied(reply)
            }
            Err(trap) => Answer::Trapped(trap),
        }
    }

    /// Sends trailers on an open stream, whatever came before. True: they go on.
    ///
    /// # Panics
    /// When the VM is dead.
    pub fn trailers(&mut self, stream: u32, lines: &[Pair]) -> (bool, Vec<Pair>) {
        let name = "proxy_on_request_trailers";
        let seen = self.callback(stream, name, REQUEST_TRAILERS, lines, true);
        let (lines, stopped) = seen.expect("the VM lives");
        (stopped.is_none(), lines)
    }

    /// Has Envoy answer a stream itself, whatever the filter waits for. The response's lines after the
    /// filter saw them.
    ///
    /// # Panics
    /// When the VM is dead.
    pub fn respond<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        stream: u32,
        lines: &[(N, V)],
    ) -> Vec<Pair> {
        if let Some(state) = self.host().streams.get_mut(&stream) {
            state.is_stopped = false;
        }
        let name = "proxy_on_response_headers";
        self.callback(stream, name, RESPONSE_HEADERS, &pairs(lines), true).expect("the VM lives").0
    }

    /// Whether the filter has stopped a request and not yet ended or continued it.
    pub fn is_stopped(&mut self, stream: u32) -> bool {
        self.host().streams.get(&stream).is_some_and(|stream| stream.is_stopped)
    }

    /// Streams that the filter let go on or answered while it worked on something else, since this
    /// was asked last.
    pub fn resumed(&mut self) -> Vec<(u32, Outcome)> {
        std::mem::take(&mut self.resumed)
    }

    /// What Envoy does after a callback with the streams that were woken in it.
    pub(super) fn settle(&mut self) {
        let mut woken = std::mem::take(&mut self.host().woken);
        woken.dedup();
        for stream in woken {
            let Some(state) = self.host().streams.get_mut(&stream) else { continue };
            let was_stopped = std::mem::take(&mut state.is_stopped);
            let headers = state.maps[REQUEST_HEADERS].take().unwrap_or_default();
            let ends = state.continued + state.replies.len() + usize::from(state.reset);
            assert!(was_stopped, "stream {stream} is answered or let go on twice");
            assert_eq!(ends, 1, "stream {stream} ends in more than one way");
            let answer = match state.continued {
                0 => self.stopped(stream),
                _ => self.forward(stream, headers),
            };
            let outcome = self.outcome(stream, answer);
            self.resumed.push((stream, outcome));
        }
    }
}
