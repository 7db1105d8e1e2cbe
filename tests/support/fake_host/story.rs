//! What goes through a VM and what comes of it.

use super::host::{Pair, Reply};

/// What became of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// Whether the filter took it.
    pub accepted: bool,
    /// The root context it belongs to.
    pub root: u32,
    /// The lines of the log, each with its level.
    pub log: Vec<String>,
}

/// A request as Envoy would show it to the filter.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Every header line, names in lower case, pseudo headers included.
    pub headers: Vec<Pair>,
    /// Envoy's `source.address`, such as `198.51.100.7:1234`.
    pub source_address: Option<Vec<u8>>,
    /// Envoy's `xds.route_name`.
    pub route_name: Option<Vec<u8>>,
    /// Trailers, if it has any.
    pub trailers: Option<Vec<Pair>>,
    /// The lines of the upstream's response, but its status.
    pub response: Vec<Pair>,
}

impl Request {
    /// A request with these header lines and nothing else.
    pub fn new<N: AsRef<[u8]>, V: AsRef<[u8]>>(headers: &[(N, V)]) -> Self {
        Self { headers: pairs(headers), ..Self::default() }
    }

    /// The same request from that address.
    #[must_use]
    pub fn from(mut self, source_address: impl AsRef<[u8]>) -> Self {
        self.source_address = Some(source_address.as_ref().to_vec());
        self
    }

    /// The same request on the route that Envoy calls so.
    #[must_use]
    pub fn on_route(mut self, name: impl AsRef<[u8]>) -> Self {
        self.route_name = Some(name.as_ref().to_vec());
        self
    }

    /// The same request with one more header line.
    #[must_use]
    pub fn with(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// The same request with trailers.
    #[must_use]
    pub fn with_trailers<N: AsRef<[u8]>, V: AsRef<[u8]>>(mut self, lines: &[(N, V)]) -> Self {
        self.trailers = Some(pairs(lines));
        self
    }

    /// The same request, to an upstream that answers with these lines.
    #[must_use]
    pub fn answered<N: AsRef<[u8]>, V: AsRef<[u8]>>(mut self, lines: &[(N, V)]) -> Self {
        self.response = pairs(lines);
        self
    }
}

pub(super) fn pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(lines: &[(N, V)]) -> Vec<Pair> {
    lines.iter().map(|(name, value)| (name.as_ref().to_vec(), value.as_ref().to_vec())).collect()
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It went on to the upstream.
    Forwarded {
        /// The header lines that the upstream sees.
        headers: Vec<Pair>,
        /// The trailers that it sees.
        trailers: Vec<Pair>,
        /// The lines of the response behind its status, as the caller sees them.
        response: Vec<Pair>,
    },
    /// The filter answered in the upstream's place.
    Replied(Reply),
    /// The filter reset the stream.
    Reset,
    /// The filter stopped the request and said nothing: the caller waits for Envoy's timeout.
    Stalled,
    /// The VM died in this request or before it; Envoy answers 503.
    Trapped(String),
}

/// A request's end and what it left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub answer: Answer,
    /// The filter state at `wasm.portcullis.audit`.
    pub audit: Option<Vec<u8>>,
    /// What it left for the filters behind: names in the filter state, and values.
    pub handed_over: Vec<(String, String)>,
    /// The lines of the log, each with its level.
    pub log: Vec<String>,
    /// The host calls in their order, up to and with the response headers.
    pub calls: Vec<&'static str>,
}

impl Outcome {
    /// The header lines that the upstream saw, if it saw any.
    pub fn forwarded(&self) -> Option<&[Pair]> {
        match &self.answer {
            Answer::Forwarded { headers, .. } => Some(headers),
            _ => None,
        }
    }

    /// The filter's own reply, if it made one.
    pub fn reply(&self) -> Option<&Reply> {
        match &self.answer {
            Answer::Replied(reply) => Some(reply),
            _ => None,
        }
    }

    /// The status that the caller sees, 200 being the upstream's.
    pub fn status(&self) -> u32 {
        match &self.answer {
            Answer::Forwarded { .. } => 200,
            Answer::Replied(reply) => reply.status,
            Answer::Trapped(_) => 503,
            Answer::Reset | Answer::Stalled => 0,
        }
    }
}
