//! The rate limit service as its protocol has it: what it is asked, and what it can answer.

use portcullis_tests::fake_host::{Configured, GrpcCall, Outcome, Process, Request, Vm};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{KEY, NOW, SECOND, details, get, hex};

/// A question, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) domain: String,
    /// The entries of the one descriptor.
    pub(super) entries: Vec<(String, String)>,
    pub(super) hits: u64,
}

/// A question about `limit` for consumer `mobile`.
pub(super) fn about(limit: &str, hits: u64) -> Asked {
    let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let entries = vec![entry("limit", limit), entry("consumer", "mobile")];
    Asked { domain: "portcullis".to_owned(), entries, hits }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a varint");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// The fields of a message: numbers and texts.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, &[u8])> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = varint(&mut bytes);
        let mut content = &[][..];
        if tag & 7 == 2 {
            (content, bytes) = bytes.split_at(usize::try_from(value).expect("a length"));
        } else {
            assert_eq!(tag & 7, 0, "a varint or bytes");
        }
        fields.push((tag >> 3, value, content));
    }
    fields
}

impl Asked {
    pub(super) fn read(call: &GrpcCall) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let mut asked = Self { domain: String::new(), entries: Vec::new(), hits: 0 };
        for (number, value, content) in fields(&call.message) {
            match number {
                1 => asked.domain = text(content),
                2 => {
                    assert_eq!(asked.entries, [], "one descriptor");
                    for (number, _, entry) in fields(content) {
                        let [(1, _, key), (2, _, value)] = fields(entry)[..] else { panic!() };
                        assert_eq!(number, 1);
                        asked.entries.push((text(key), text(value)));
                    }
                }
                3 => asked.hits = value,
                _ => panic!("a field {number}"),
            }
        }
        asked
    }
}

/// An answer: 1 is yes, 2 is no; what is left, and the seconds until the reset.
pub(super) fn answer(code: u8, figures: Option<(u8, u8)>) -> Vec<u8> {
    let mut message = vec![0x08, code];
    if let Some((remaining, reset)) = figures {
        // A limit of 100 a minute, what is left of it, and a duration.
        let status = [8, code, 0x12, 4, 8, 100, 16, 2, 0x18, remaining, 0x22, 2, 8, reset];
        message.extend([0x12, u8::try_from(status.len()).expect("short")]);
        message.extend(status);
    }
    message
}

pub(super) fn ok(remaining: u8, reset: u8) -> Vec<u8> {
    answer(1, Some((remaining, reset)))
}

pub(super) fn over(reset: u8) -> Vec<u8> {
    answer(2, Some((0, reset)))
}

/// A policy with a fleet, whose route `/NAME/**` has the limit of that name.
pub(super) fn policy(fleet: &Value) -> Value {
    let route = |name: &str, limits: &Value| {
        json!({"name": name, "paths": [format!("/{name}/**")], "methods": ["GET"],
               "credentials": ["api_key"], "limits": limits})
    };
    let key = json!(["consumer"]);
    let mut policy = json!({
        "version": 1,
        "gateway": "fleet",
        "fleet": {"cluster": "ratelimit"},
        "consumers": [{
            "name": "mobile",
            "api_keys": [{"id": "m", "sha256": hex(&Sha256::digest(KEY)), "format": "opaque"}],
        }],
        "limits": {
            "single": {"key": key, "rate": "100/m", "scope": "fleet"},
            "leased": {"key": key, "rate": "100/m", "scope": "fleet", "lease": 10},
            "narrow": {"key": key, "rate": "4/m", "scope": "fleet"},
            "looks": {"key": key, "rate": "100/m", "scope": "fleet", "mode": "observe"},
        },
        "routes": [
            route("single", &json!(["single"])),
            route("leased", &json!(["leased"])),
            route("narrow", &json!(["narrow"])),
            route("looks", &json!(["looks"])),
            route("both", &json!(["single", "leased"])),
        ],
    });
    for (name, value) in fleet.as_object().expect("an object") {
        policy["fleet"][name] = value.clone();
    }
    policy
}

/// A worker whose policy has a fleet.
pub(super) struct Rig {
    pub(super) process: Process,
    pub(super) vm: Vm,
    pub(super) root: u32,
}

impl Rig {
    pub(super) fn new(fleet: &Value) -> Self {
        Self::with(&policy(fleet))
    }

    pub(super) fn with(policy: &Value) -> Self {
        let process = Process::at(NOW);
        let mut vm = Vm::new(&process);
        let Configured { root, .. } = configured(&mut vm, policy);
        Self { process, vm, root }
    }

    /// Begins a request. What comes of it at once, or what the service is asked.
    pub(super) fn open(&mut self, path: &str) -> (u32, Result<Outcome, GrpcCall>) {
        self.begin(&get(path).with("x-api-key", KEY))
    }

    pub(super) fn begin(&mut self, request: &Request) -> (u32, Result<Outcome, GrpcCall>) {
        let stream = self.vm.open(self.root);
        let outcome = self.vm.run(stream, request);
        assert_eq!(self.vm.trap(), None);
        if self.vm.is_stopped(stream) {
            return (stream, Err(self.call()));
        }
        assert_eq!(self.vm.grpc_sent(), []);
        self.vm.close(stream);
        (stream, Ok(outcome))
    }

    /// The one call that was sent.
    pub(super) fn call(&mut self) -> GrpcCall {
        let [call] = &self.vm.grpc_sent()[..] else { panic!("one call") };
        call.clone()
    }

    /// The end of the request that waited.
    pub(super) fn end(&mut self, stream: u32) -> Outcome {
        assert_eq!(self.vm.trap(), None);
        let resumed = self.vm.resumed();
        let [(ended, outcome)] = &resumed[..] else { panic!("one of {resumed:?}") };
        assert_eq!(*ended, stream);
        self.vm.close(stream);
        outcome.clone()
    }

    /// A request that asks once and is answered so.
    pub(super) fn asks(&mut self, path: &str, hits: u64, message: &[u8]) -> Outcome {
        let (stream, waits) = self.open(path);
        let call = waits.expect_err("a question");
        assert_eq!(Asked::read(&call).hits, hits);
        self.vm.grpc_answer(&call, message);
        self.end(stream)
    }

    /// A request that asks once and gets no answer.
    pub(super) fn fails(&mut self, path: &str) -> Outcome {
        let (stream, waits) = self.open(path);
        self.vm.grpc_close(&waits.expect_err("a question"), 14);
        self.end(stream)
    }

    /// A request that asks nobody.
    pub(super) fn local(&mut self, path: &str) -> Outcome {
        self.open(path).1.expect("an answer at once")
    }

    pub(super) fn advance(&mut self, millis: u64) {
        self.process.advance(millis * SECOND / 1_000);
    }

    /// A metric of the gateway, with one more label or not.
    pub(super) fn metric(&self, name: &str, label: &str) -> u64 {
        self.process.metric(&format!("portcullis.{name}.gateway=.=fleet;.;{label}"))
    }

    pub(super) fn calls(&self, result: &str) -> u64 {
        self.metric("fleet_calls", &format!("result=.={result};.;"))
    }
}

pub(super) fn configured(vm: &mut Vm, policy: &Value) -> Configured {
    let configured = vm.configure(policy.to_string());
    assert!(configured.accepted, "{configured:?}");
    configured
}

/// Status, reason, and where the answer for the first limit came from.
pub(super) fn verdict(outcome: &Outcome) -> (u32, &str, String) {
    let audit: Value =
        serde_json::from_slice(outcome.audit.as_deref().unwrap_or(b"{}")).expect("a record");
    let from = audit["limits"][0]["from"].as_str().unwrap_or("-").to_owned();
    (outcome.status(), details(outcome), from)
}

/// A line that the caller gets, forwarded or not.
pub(super) fn told(outcome: &Outcome, name: &str) -> String {
    use portcullis_tests::fake_host::Answer;
    let lines = match &outcome.answer {
        Answer::Forwarded { response, .. } => response,
        Answer::Replied(reply) => &reply.headers,
        other => panic!("{other:?}"),
    };
    let found = crate::line(lines, name);
    String::from_utf8_lossy(found.first().copied().unwrap_or_default()).into_owned()
}
