//! The module in a Wasm runtime as a gateway: the fake host carries out what it asks for.

use crate::case::{Listener, Request};
use crate::envoy::request_id;
use crate::expect::{Gateway, Seen, joined};
use crate::fake_host::{self, Answer, Outcome, Process, Vm};
use crate::native::{arrived, local_reply};
use crate::policy::as_struct;
use crate::presented::presented;
use crate::token::keys;
use portcullis_core::Timestamp;
use serde_json::Value;
use std::cell::RefCell;

thread_local! {
    /// One VM a thread: what it makes once for all its policies is the greater part of its start.
    static VM: RefCell<Option<(Vm, Process)>> = const { RefCell::new(None) };
}

/// A configuration of this thread's VM.
pub struct InWasm {
    root: u32,
    /// The name under which it was configured first: a reload keeps it.
    gateway: Value,
    as_text: bool,
    listener: Listener,
    now: Timestamp,
}

impl InWasm {
    /// This thread's VM configured with these bytes; the filter's log when it refuses them. Policies
    /// with limits need gateway names of their own: their buckets are in one process.
    pub fn new(
        policy: &Value,
        as_text: bool,
        listener: Listener,
        now: Timestamp,
    ) -> Result<Self, Vec<String>> {
        let root = Self::configured(policy, as_text, now)?;
        Ok(Self { root, gateway: policy["gateway"].clone(), as_text, listener, now })
    }

    fn configured(policy: &Value, as_text: bool, now: Timestamp) -> Result<u32, Vec<String>> {
        let policy = if as_text { policy.to_string().into_bytes() } else { as_struct(policy) };
        let configured = VM.with_borrow_mut(|vm| {
            let (vm, process) = vm.get_or_insert_with(|| {
                let process = Process::at(now.unix_nanos());
                process.set_environment(keys::environment());
                (Vm::new(&process), process)
            });
            process.set_now(now.unix_nanos());
            vm.configure(policy)
        });
        if configured.accepted { Ok(configured.root) } else { Err(configured.log) }
    }

    fn request(&self, request: &fake_host::Request, at: u64) -> Outcome {
        VM.with_borrow_mut(|vm| {
            let (vm, process) = vm.as_mut().expect("a VM that was configured");
            process.set_now(self.now.unix_nanos() + at);
            vm.request_on(self.root, request)
        })
    }
}

impl Gateway for InWasm {
    fn reload(&mut self, policy: &Value) -> Result<(), String> {
        let mut policy = policy.clone();
        policy["gateway"] = self.gateway.clone();
        let root = Self::configured(&policy, self.as_text, self.now);
        self.root = root.map_err(|log| format!("the policy is refused: {log:?}"))?;
        Ok(())
    }

    fn send(&mut self, request: &Request, at: u64) -> Result<Seen, String> {
        let shown = presented(request, &self.listener, &request_id());
        let is_grpc = joined(&shown.headers, "content-type").is_some_and(|kind| {
            kind == "application/grpc" || kind.starts_with("application/grpc+")
        });
        let outcome = self.request(
            &fake_host::Request {
                headers: shown.headers,
                source_address: shown.source_address,
                route_name: shown.route_name,
                trailers: if shown.trailers.is_empty() { None } else { Some(shown.trailers) },
            },
            at,
        );
        let audit = outcome.audit.as_deref().map(serde_json::from_slice).transpose();
        let audit = audit.map_err(|fault| format!("audit is no JSON: {fault}"))?;
        let seen = match outcome.answer {
            Answer::Forwarded { headers, trailers, response } => Seen {
                status: 200,
                headers: response,
                upstream: Some(arrived(headers, trailers)),
                details: Some("via_upstream".to_owned()),
                ..Seen::default()
            },
            Answer::Replied(reply) => {
                let status = u16::try_from(reply.status).map_err(|fault| fault.to_string())?;
                let grpc = if is_grpc { Some(reply.grpc_status) } else { None };
                local_reply(status, grpc, reply.headers, reply.body, reply.details)
            }
            other => return Err(format!("{other:?}; log: {:?}", outcome.log)),
        };
        Ok(Seen { audit, ..seen })
    }
}
