//! What is said to Envoy's rate limit service and what it answers: `envoy/service/ratelimit/v3/rls.proto`.

use crate::time::SECOND;
use crate::wire::{Wire, push_bytes, push_varint};

/// Longest answer that is read, in bytes.
pub const MAX_ANSWER: usize = 64 * 1_024;

/// `RateLimitRequest { domain = 1; descriptors = 2 { entries = 1 { key = 1; value = 2 } }; hits_addend = 3 }`
/// with one descriptor: the limit's name, and the parts of its key that `parts` gives to its argument.
pub(super) fn request(
    domain: &str,
    limit: &str,
    parts: impl FnOnce(&mut dyn FnMut(&str, &[u8])),
    hits: u32,
) -> Vec<u8> {
    let (mut descriptor, mut entry, mut message) = (Vec::new(), Vec::new(), Vec::new());
    let mut write = |key: &str, value: &[u8]| {
        entry.clear();
        push_bytes(&mut entry, 1, key.as_bytes());
        push_bytes(&mut entry, 2, value);
        push_bytes(&mut descriptor, 1, &entry);
    };
    write("limit", limit.as_bytes());
    parts(&mut write);
    push_bytes(&mut message, 1, domain.as_bytes());
    push_bytes(&mut message, 2, &descriptor);
    message.push(3 << 3);
    push_varint(&mut message, hits.into());
    message
}

/// `envoy.config.core.v3.GrpcService { envoy_grpc = 1 { cluster_name = 1 } }`. Envoy takes a bare name too, but
/// one that happens to be such a message, `hi` for one, it would read as that.
pub(super) fn service(cluster: &str) -> Vec<u8> {
    let (mut inner, mut message) = (Vec::new(), Vec::new());
    push_bytes(&mut inner, 1, cluster.as_bytes());
    push_bytes(&mut message, 1, &inner);
    message
}

/// What the service says of one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the hits were too many.
    pub(crate) is_over: bool,
    /// What is left of the limit, where the service tells.
    pub(crate) remaining: Option<u64>,
    /// Nanoseconds until all of it is back, where the service tells.
    pub(crate) reset: Option<u64>,
}

impl Verdict {
    /// Reads `RateLimitResponse { overall_code = 1; statuses = 2 }`, the answer about one descriptor. Fields
    /// that nobody here needs are skipped. `None`: it is no such answer, or says neither yes nor no.
    ///
    /// The overall code counts. A service that only looks on says in the status what it would have done.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut found = [None; 7];
        gather(bytes, Message::Answer, &mut found)?;
        let [code, _, limit, remaining, reset, seconds, nanos] = found;
        // `enum Code { UNKNOWN = 0; OK = 1; OVER_LIMIT = 2; }`
        let is_over = match code? {
            1 => false,
            2 => true,
            _ => return None,
        };
        // A number that is 0 is not written: where there is a limit, nothing is left of it. And a negative
        // one is one of the largest of 64 bits.
        let (seconds, nanos) = (seconds.unwrap_or(0), nanos.unwrap_or(0));
        if i64::try_from(seconds).is_err() || nanos >= SECOND {
            return None;
        }
        let wait = seconds.saturating_mul(SECOND).saturating_add(nanos);
        Some(Self { is_over, remaining: remaining.or(limit), reset: reset.map(|_| wait) })
    }

    /// Whether the hits were too many.
    pub fn is_over(&self) -> bool {
        self.is_over
    }
}

/// The messages that an answer is made of.
#[derive(Clone, Copy)]
enum Message {
    /// `RateLimitResponse { overall_code = 1; statuses = 2 }`
    Answer,
    /// `DescriptorStatus { current_limit = 2; limit_remaining = 3; duration_until_reset = 4 }`
    Status,
    /// Of which it counts only that it is there.
    Limit,
    /// `google.protobuf.Duration { seconds = 1; nanos = 2 }`
    Duration,
}

/// Gathers the fields above in their order, each once at the most: the numbers, and 0 for the messages. `None`: the
/// bytes are no such message.
fn gather(bytes: &[u8], message: Message, found: &mut [Option<u64>; 7]) -> Option<()> {
    let mut wire = Wire(bytes);
    while let Some((number, field)) = wire.next().ok()? {
        let (place, inner) = match (message, number) {
            (Message::Answer, 1) => (0, None),
            (Message::Answer, 2) => (1, Some(Message::Status)),
            (Message::Status, 2) => (2, Some(Message::Limit)),
            (Message::Status, 3) => (3, None),
            (Message::Status, 4) => (4, Some(Message::Duration)),
            (Message::Duration, 1) => (5, None),
            (Message::Duration, 2) => (6, None),
            _ => continue,
        };
        let value = match inner {
            None => field.varint().ok()?,
            Some(inner) => gather(field.bytes().ok()?, inner, found).map(|()| 0)?,
        };
        if found.get_mut(place)?.replace(value).is_some() {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// As Google's own library writes it.
    const FULL: &[u8] =
        b"\x08\x02\x12\x12\x08\x02\x12\x05\x08\xe8\x07\x10\x02\x18\x2a\x22\x05\x08\x3b\x10\xf4\x03\
        \x1a\x03abc";

    #[test]
    fn a_question_is_written_as_the_protocol_says() {
        let message = request("d", "global", |write| write("consumer", b"alpha"), 300);
        let expected = b"\x0a\x01d\x12\x24\x0a\x0f\x0a\x05limit\x12\x06global\
            \x0a\x11\x0a\x08consumer\x12\x05alpha\x18\xac\x02";
        assert_eq!(message, expected, "{message:x?}");
        assert_eq!(service("hi"), b"\x0a\x04\x0a\x02hi");
    }

    #[test]
    fn answers_are_read() {
        let read = |bytes: &[u8]| Verdict::read(bytes).map(|v| (v.is_over, v.remaining, v.reset));
        assert_eq!(read(FULL), Some((true, Some(42), Some(59 * SECOND + 500))));
        assert_eq!(read(b"\x08\x01"), Some((false, None, None)));
        // A limit without what is left: nothing is.
        assert_eq!(read(b"\x08\x02\x12\x02\x12\x00"), Some((true, Some(0), None)));
        // A status that says otherwise is that of a limit which only looks on.
        assert_eq!(read(b"\x08\x01\x12\x02\x08\x02"), Some((false, None, None)));
        // Unknown fields of every type.
        let unknown = [0x78, 1, 0x79, 0, 0, 0, 0, 0, 0, 0, 0, 0x7a, 1, 0xff, 0x7d, 0, 0, 0, 0];
        assert_eq!(read(&[&unknown[..], FULL].concat()), read(FULL));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bytes in [
            &b""[..],
            b"\x08\x00",
            b"\x08\x03",
            b"\x08\x01\x08\x01",
            b"\x0a\x01\x01",
            b"\x08\x01\x12\x00\x12\x00",
            b"\x08\x01\x12\x02\x22\x05",
            b"\x08\x01\x10\x00",
            b"\x08\x01\x12\x08\x22\x06\x10\x80\x94\xeb\xdc\x03",
            b"\x08\x01\x12\x0d\x22\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x08\x01\x00",
        ] {
            assert_eq!(Verdict::read(bytes), None, "{bytes:x?}");
        }
        for at in 0..FULL.len() {
            for byte in 0..=255 {
                let mut bad = FULL.to_vec();
                bad[at] = byte;
                let _ = Verdict::read(&bad);
                let _ = Verdict::read(&bad[..at]);
            }
        }
    }
}
