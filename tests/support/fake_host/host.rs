//! What the host remembers about one VM: its streams, its log, its metrics, and the tests' meddling.

use std::collections::{BTreeMap, HashMap};

use wasmi::Error;

use super::process::Process;

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

/// What the filter asked of one stream.
#[derive(Default)]
pub(super) struct Stream {
    /// The maps are only there while their callback runs, as in Envoy.
    pub(super) maps: [Option<Vec<Pair>>; 3],
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
    pub(super) configuration: Option<Vec<u8>>,
    pub(super) streams: HashMap<u32, Stream>,
    pub(super) ticks: BTreeMap<u32, u32>,
    /// Kind and name of each metric; the index is the id.
    pub(super) metrics: Vec<(u32, String)>,
    pub(super) log: Vec<String>,
    pub(super) calls: Vec<&'static str>,
    pub(super) meddling: Vec<Meddling>,
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
            configuration: None,
            streams: HashMap::new(),
            ticks: BTreeMap::new(),
            metrics: Vec::new(),
            log: Vec::new(),
            calls: Vec::new(),
            meddling: Vec::new(),
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

    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        self.streams.get_mut(&self.current)
    }

    /// The lines of a map, if its callback is running.
    pub(super) fn map(&mut self, map: u32) -> Option<&mut Vec<Pair>> {
        let map = usize::try_from(map).ok()?;
        self.stream()?.maps.get_mut(map)?.as_mut()
    }
}
