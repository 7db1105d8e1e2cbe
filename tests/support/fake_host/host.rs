//! What the host remembers about one VM: its streams, its log, its metrics, and the tests' meddling.

use std::collections::{BTreeMap, HashMap};

use wasmi::Error;

use super::process::Process;
use crate::branches::Counts;

/// One header line.
pub type Pair = (Vec<u8>, Vec<u8>);

/// A local reply, as the filter asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u32,
    /// The header lines that come with it, and those that the filter added in the response callback.
    pub headers: Vec<Pair>,
    /// The body.
    pub body: Vec<u8>,
    /// The grpc-status for a gRPC caller; -1 leaves it to Envoy.
    pub grpc_status: i32,
    /// Envoy's response code details.
    pub details: String,
}

/// What a test does to a host call.
pub enum Meddle {
    /// The call does nothing and answers this status.
    Answer(u32),
    /// The call answers `Ok` with these bytes in place of its own.
    HandOver(Vec<u8>),
    /// This runs before the call, which then goes on as ever.
    RunFirst(Box<dyn FnMut()>),
}

pub(super) struct Meddling {
    pub(super) call: &'static str,
    pub(super) skip: usize,
    pub(super) times: usize,
    pub(super) meddle: Meddle,
}

/// A call to another server that the filter has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// The number that its answer will have.
    pub token: u32,
    /// The root context that the answer goes to.
    pub root: u32,
    /// The cluster that it went to.
    pub cluster: String,
    /// The request's header lines.
    pub headers: Vec<Pair>,
    /// How long Envoy waits for an answer, in milliseconds.
    pub timeout: u32,
}

impl HttpCall {
    /// The value of the request's line of that name, empty if there is none.
    pub fn header(&self, name: &str) -> String {
        let line = self.headers.iter().find(|(held, _)| held == name.as_bytes());
        line.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }
}

/// A call of a gRPC method that the filter has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcCall {
    /// The number that its answer will have.
    pub token: u32,
    /// The root context that the answer goes to.
    pub root: u32,
    /// The cluster that it went to.
    pub cluster: String,
    /// Service and method.
    pub method: String,
    /// The message.
    pub message: Vec<u8>,
    /// How long Envoy waits for an answer, in milliseconds.
    pub timeout: u32,
}

/// Header lines and body of an answer to a call.
pub(super) type CallResponse = (Vec<Pair>, Vec<u8>);

/// What the filter asked of one stream.
#[derive(Default)]
pub(super) struct Stream {
    /// The root context that it belongs to.
    pub(super) root: u32,
    /// The maps are there while their callback runs, and the request's lines while it is stopped, as
    /// in Envoy.
    pub(super) maps: [Option<Vec<Pair>>; 3],
    /// Trailers that wait with the request.
    pub(super) trailers: Option<Vec<Pair>>,
    /// Lines of the response that the upstream will give, but its status.
    pub(super) response: Vec<Pair>,
    /// Set while the request is stopped by its header callback.
    pub(super) is_stopped: bool,
    /// How often the filter let it go on.
    pub(super) continued: usize,
    pub(super) properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) replies: Vec<Reply>,
    pub(super) reset: bool,
}

/// Request headers, request trailers and response headers by their number in the ABI.
pub(super) const REQUEST_HEADERS: usize = 0;
pub(super) const REQUEST_TRAILERS: usize = 1;
pub(super) const RESPONSE_HEADERS: usize = 2;

pub(super) struct Host {
    pub(super) process: Process,
    /// Set while the module allocates: it may call nothing then.
    pub(super) allocating: bool,
    pub(super) current: u32,
    /// The context that the module acts for, in place of the current one.
    pub(super) effective: Option<u32>,
    pub(super) roots: Vec<u32>,
    pub(super) sent: Vec<HttpCall>,
    pub(super) grpc_sent: Vec<GrpcCall>,
    pub(super) next_token: u32,
    /// There while the callback of an answer runs.
    pub(super) call_response: Option<CallResponse>,
    /// The same of a gRPC answer.
    pub(super) grpc_message: Option<Vec<u8>>,
    /// Streams that were continued or answered outside of their own callbacks, in order.
    pub(super) woken: Vec<u32>,
    pub(super) configuration: Option<Vec<u8>>,
    pub(super) streams: HashMap<u32, Stream>,
    pub(super) ticks: BTreeMap<u32, u32>,
    /// Kind and name of each metric; the index is the id.
    pub(super) metrics: Vec<(u32, String)>,
    pub(super) log: Vec<String>,
    pub(super) calls: Vec<&'static str>,
    pub(super) meddling: Vec<Meddling>,
    /// Which way branches went, where the module tells.
    pub(super) branches: Counts,
}

/// What is left of a call after the tests' meddling.
pub(super) enum Call {
    GoOn,
    Answer(u32),
    HandOver(Vec<u8>),
}

impl Host {
    pub(super) fn new(process: Process) -> Self {
        Self {
            process,
            allocating: false,
            current: 0,
            effective: None,
            roots: Vec::new(),
            sent: Vec::new(),
            grpc_sent: Vec::new(),
            next_token: 1,
            call_response: None,
            grpc_message: None,
            woken: Vec::new(),
            configuration: None,
            streams: HashMap::new(),
            ticks: BTreeMap::new(),
            metrics: Vec::new(),
            log: Vec::new(),
            calls: Vec::new(),
            meddling: Vec::new(),
            branches: Counts::new(),
        }
    }

    /// Notes a call and says whether a test wants it to go otherwise.
    pub(super) fn enter(&mut self, call: &'static str) -> Result<Call, Error> {
        if self.allocating {
            return Err(Error::new(format!("`{call}` called while allocating")));
        }
        self.calls.push(call);
        for meddling in self.meddling.iter_mut().filter(|meddling| meddling.call == call) {
            if meddling.skip > 0 {
                meddling.skip -= 1;
                continue;
            }
            if meddling.times == 0 {
                continue;
            }
            meddling.times -= 1;
            match &mut meddling.meddle {
                Meddle::Answer(status) => return Ok(Call::Answer(*status)),
                Meddle::HandOver(bytes) => return Ok(Call::HandOver(bytes.clone())),
                Meddle::RunFirst(run) => run(),
            }
        }
        Ok(Call::GoOn)
    }

    /// The context that calls are about. One that is gone is none, as in Envoy.
    pub(super) fn context(&self) -> u32 {
        let effective = self.effective.filter(|context| self.is_context(*context));
        effective.unwrap_or(self.current)
    }

    pub(super) fn is_context(&self, context: u32) -> bool {
        self.roots.contains(&context) || self.streams.contains_key(&context)
    }

    /// The root context of the one that calls are about.
    pub(super) fn root(&self) -> u32 {
        let context = self.context();
        self.streams.get(&context).map_or(context, |stream| stream.root)
    }

    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        let context = self.context();
        self.streams.get_mut(&context)
    }

    /// The stream, which the filter now answers or lets go on.
    pub(super) fn wake(&mut self) -> Option<&mut Stream> {
        let context = self.context();
        if context != self.current && self.streams.contains_key(&context) {
            self.woken.push(context);
        }
        self.stream()
    }

    /// The lines of a map, if it is there.
    pub(super) fn map(&mut self, map: u32) -> Option<&mut Vec<Pair>> {
        const CALL_RESPONSE_HEADERS: u32 = 6;
        if map == CALL_RESPONSE_HEADERS {
            return self.call_response.as_mut().map(|(headers, _)| headers);
        }
        let map = usize::try_from(map).ok()?;
        self.stream()?.maps.get_mut(map)?.as_mut()
    }
}
