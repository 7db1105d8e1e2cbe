//! The core itself as a gateway: what the filter and Envoy would do with its effects, done here.

use crate::case::{Listener, Request};
use crate::envoy::request_id;
use crate::expect::{Arrived, Gateway, Seen};
use crate::policy::tokens;
use crate::presented::{Presented, presented};
use portcullis_core::{
    Effects, Forward, Lines, MemoryStore, Policy, PureVerifier, Reply, Timestamp, Tokens,
};
use serde_json::Value;

/// A policy with its buckets and a clock that stands still.
pub struct Native {
    policy: Policy,
    listener: Listener,
    now: Timestamp,
    buckets: MemoryStore,
    tokens: Tokens<PureVerifier>,
}

impl Native {
    /// A gateway with this policy, its templates filled.
    pub fn new(policy: &Value, listener: Listener, now: Timestamp) -> Result<Self, String> {
        let (policy, tokens) = compiled(policy)?;
        Ok(Self { policy, listener, now, buckets: MemoryStore::default(), tokens })
    }
}

fn compiled(policy: &Value) -> Result<(Policy, Tokens<PureVerifier>), String> {
    let compiled = Policy::compile(policy.to_string().as_bytes());
    let refused = || format!("the policy is refused: {:?}", compiled.diagnostics);
    let policy = compiled.policy.ok_or_else(refused)?;
    let tokens = tokens(&policy);
    Ok((policy, tokens))
}

impl Gateway for Native {
    fn reload(&mut self, policy: &Value) -> Result<(), String> {
        (self.policy, self.tokens) = compiled(policy)?;
        Ok(())
    }

    fn send(&mut self, request: &Request, at: u64) -> Result<Seen, String> {
        let shown = presented(request, &self.listener, &request_id());
        let lines: Vec<_> =
            shown.headers.iter().map(|(n, v)| (n.as_slice(), v.as_slice())).collect();
        let needs = self.policy.needs();
        let request = portcullis_core::Request {
            headers: &lines,
            source_address: shown.source_address.as_deref().filter(|_| needs.source_address),
            route_name: shown.route_name.as_deref().filter(|_| needs.route_name),
        };
        let now = Timestamp::from_unix_nanos(self.now.unix_nanos() + at);
        let decision =
            self.policy.decide_now(&request, now, &mut self.buckets, &mut self.tokens, &mut ());
        // Each request is over before the next one comes.
        self.buckets.end_all();
        let mut seen = match decision.effects() {
            Effects::Forward(forward) => forwarded(&shown, &forward, &self.policy),
            Effects::Reply(reply) => replied(reply),
        };
        let mut audit = Vec::new();
        decision.write_audit(&mut audit);
        let audit =
            serde_json::from_slice(&audit).map_err(|fault| format!("audit is no JSON: {fault}"))?;
        seen.audit = Some(audit);
        Ok(seen)
    }
}

fn forwarded(shown: &Presented, forward: &Forward<'_>, policy: &Policy) -> Seen {
    let mut headers = shown.headers.clone();
    headers.retain(|(name, _)| forward.remove.iter().all(|removed| removed != name));
    for (name, value) in forward.set.iter() {
        headers.retain(|(line, _)| line != name.as_bytes());
        headers.push((name.as_bytes().to_vec(), value.to_vec()));
    }
    let mut trailers = shown.trailers.clone();
    trailers.retain(|(name, _)| !policy.is_stripped_trailer(name));
    Seen {
        status: 200,
        headers: owned(&forward.response),
        upstream: Some(arrived(headers, trailers)),
        details: Some("via_upstream".to_owned()),
        ..Seen::default()
    }
}

/// What an upstream makes of lines that still have Envoy's pseudo headers.
pub fn arrived(mut headers: Vec<(Vec<u8>, Vec<u8>)>, trailers: Vec<(Vec<u8>, Vec<u8>)>) -> Arrived {
    let mut pseudo = |name: &[u8]| {
        let value = headers.iter().find(|(line, _)| line == name).map(|(_, value)| value.clone());
        headers.retain(|(line, _)| line != name);
        value.unwrap_or_default()
    };
    let (method, path) = (pseudo(b":method"), pseudo(b":path"));
    Arrived { method, path, headers, trailers }
}

fn replied(reply: Reply) -> Seen {
    let (grpc, headers) = (reply.grpc_status.map(i32::from), owned(&reply.headers));
    local_reply(reply.status, grpc, headers, reply.body, reply.details.to_owned())
}

fn owned(lines: &Lines) -> Vec<(Vec<u8>, Vec<u8>)> {
    lines.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// As Envoy sends a local reply: for gRPC callers the body becomes the message, the status 200.
pub fn local_reply(
    status: u16,
    grpc: Option<i32>,
    mut headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    details: String,
) -> Seen {
    let details = Some(details);
    let Some(grpc) = grpc else {
        return Seen { status, headers, body, details, ..Seen::default() };
    };
    headers.push((b"grpc-status".to_vec(), grpc.to_string().into_bytes()));
    headers.push((b"grpc-message".to_vec(), body));
    Seen { status: 200, headers, details, ..Seen::default() }
}
