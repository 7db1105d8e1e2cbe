//! Calls of the filter to other servers, and their answers.

use super::Vm;
use super::host::{GrpcCall, HttpCall};
use super::story::pairs;

impl Vm {
    /// The calls to other servers that the filter has sent since this was asked last.
    pub fn sent(&mut self) -> Vec<HttpCall> {
        std::mem::take(&mut self.host().sent)
    }

    /// Hands the filter the answer to a call.
    ///
    /// # Panics
    /// When the answer is too large for the ABI.
    pub fn answer<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        call: &HttpCall,
        headers: &[(N, V)],
        body: impl AsRef<[u8]>,
    ) {
        let (headers, body) = (pairs(headers), body.as_ref().to_vec());
        let size = |length: usize| u32::try_from(length).expect("an answer under 4 GiB");
        let (lines, length) = (size(headers.len()), size(body.len()));
        self.host().call_response = Some((headers, body));
        self.call_back(call, lines, length);
        self.host().call_response = None;
        self.settle();
    }

    /// Tells the filter that a call has failed: time is up, or the connection broke.
    pub fn fail(&mut self, call: &HttpCall) {
        self.call_back(call, 0, 0);
        self.settle();
    }

    /// The gRPC calls that the filter has sent since this was asked last.
    pub fn grpc_sent(&mut self) -> Vec<GrpcCall> {
        std::mem::take(&mut self.host().grpc_sent)
    }

    /// Hands the filter the message of a gRPC answer.
    ///
    /// # Panics
    /// When the message is too large for the ABI.
    pub fn grpc_answer(&mut self, call: &GrpcCall, message: impl AsRef<[u8]>) {
        let message = message.as_ref().to_vec();
        let size = u32::try_from(message.len()).expect("a message under 4 GiB");
        self.host().grpc_message = Some(message);
        self.call::<_, ()>(call.root, "proxy_on_grpc_receive", (call.root, call.token, size));
        self.host().grpc_message = None;
        self.settle();
    }

    /// Tells the filter that a gRPC call ended with this status and no message.
    pub fn grpc_close(&mut self, call: &GrpcCall, status: u32) {
        self.call::<_, ()>(call.root, "proxy_on_grpc_close", (call.root, call.token, status));
        self.settle();
    }

    fn call_back(&mut self, call: &HttpCall, lines: u32, size: u32) {
        let (root, token, trailers) = (call.root, call.token, 0_u32);
        let name = "proxy_on_http_call_response";
        self.call::<_, ()>(root, name, (root, token, lines, size, trailers));
    }
}
