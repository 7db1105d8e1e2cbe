//! What the filter asks of Envoy, in the filter's own terms.

use portcullis_core::{Fact, Forward, HeaderLine, Lines, Reply, Timestamp};

use crate::abi::{self, HostFault, Inbox, Map};

/// Where the audit record lies in the filter state: `%FILTER_STATE(wasm.portcullis.audit:PLAIN)%`.
/// One path segment, because Envoy joins several by zero bytes that no log format can name.
const AUDIT: &[u8] = b"portcullis.audit";

/// All lines of the request, in one host call.
pub(crate) fn request_headers(inbox: &Inbox) -> Result<Vec<HeaderLine<'_>>, HostFault> {
    let lines = lines(abi::header_pairs(inbox, Map::RequestHeaders)?)?;
    // A request has pseudo headers: no line at all means that the host has lost it.
    if lines.is_empty() { Err(malformed()) } else { Ok(lines) }
}

/// All trailer lines of the request.
pub(crate) fn request_trailers(inbox: &Inbox) -> Result<Vec<HeaderLine<'_>>, HostFault> {
    lines(abi::header_pairs(inbox, Map::RequestTrailers)?)
}

/// All lines of the response.
pub(crate) fn response_headers(inbox: &Inbox) -> Result<Vec<HeaderLine<'_>>, HostFault> {
    lines(abi::header_pairs(inbox, Map::ResponseHeaders)?)
}

/// All lines of the answer to a call, status included.
pub(crate) fn call_response_headers(inbox: &Inbox) -> Result<Vec<HeaderLine<'_>>, HostFault> {
    lines(abi::header_pairs(inbox, Map::CallResponseHeaders)?)
}

/// Whether shared data is this filter's alone: where the VM has no id, other plugins write there too.
pub(crate) fn has_vm_id(inbox: &Inbox) -> Result<bool, HostFault> {
    Ok(abi::property(inbox, b"plugin_vm_id")?.is_some_and(|id| !id.is_empty()))
}

/// Text of the caller's address as Envoy sees it.
pub(crate) fn source_address(inbox: &Inbox) -> Result<Option<&[u8]>, HostFault> {
    abi::property(inbox, b"source\0address")
}

/// Name of the route that Envoy has chosen.
pub(crate) fn route_name(inbox: &Inbox) -> Result<Option<&[u8]>, HostFault> {
    abi::property(inbox, b"xds\0route_name")
}

/// The time of this request.
pub(crate) fn now() -> Result<Timestamp, HostFault> {
    abi::now().map(Timestamp::from_unix_nanos)
}

/// Changes the request's lines as the decision says, removals first. After an error some lines may
/// be changed and others not: the request must not go on.
///
/// `lines` is what the request has. A line that it does not have is added: Envoy needs two microseconds
/// more to replace it.
pub(crate) fn edit_request(
    forward: &Forward<'_>,
    lines: &[HeaderLine<'_>],
) -> Result<(), HostFault> {
    for name in forward.remove.iter() {
        abi::remove_header(Map::RequestHeaders, name)?;
    }
    for (name, value) in forward.set.iter() {
        let name = name.as_bytes();
        if lines.iter().any(|(line, _)| line.eq_ignore_ascii_case(name)) {
            abi::replace_header(Map::RequestHeaders, name, value)?;
        } else {
            abi::add_header(Map::RequestHeaders, name, value)?;
        }
    }
    Ok(())
}

/// Removes a trailer.
pub(crate) fn remove_trailer(name: &[u8]) -> Result<(), HostFault> {
    abi::remove_header(Map::RequestTrailers, name)
}

/// Adds a line to the upstream's response.
pub(crate) fn add_response_header(name: &[u8], value: &[u8]) -> Result<(), HostFault> {
    abi::add_header(Map::ResponseHeaders, name, value)
}

/// Removes every line of that name from the upstream's response.
pub(crate) fn remove_response_header(name: &str) -> Result<(), HostFault> {
    abi::remove_header(Map::ResponseHeaders, name.as_bytes())
}

/// Leaves the audit record for Envoy's access log.
pub(crate) fn record(audit: &[u8]) -> Result<(), HostFault> {
    abi::set_property(AUDIT, audit)
}

/// Leaves a fact for Envoy's filters behind this one. Without it a limit of theirs would not count: after
/// an error the request must not go on.
pub(crate) fn hand_over(inbox: &Inbox, fact: Fact, value: &[u8]) -> Result<(), HostFault> {
    // One path segment each, as of the audit record.
    let path: &[u8] = match fact {
        Fact::Consumer => b"portcullis.consumer",
        Fact::Plan => b"portcullis.plan",
        Fact::Route => b"portcullis.route",
        Fact::Cost => b"portcullis.cost",
    };
    abi::set_property(path, value)?;
    if fact == Fact::Cost { hits_addend(inbox, value) } else { Ok(()) }
}

/// Tells Envoy's `ratelimit` filter how many hits the request counts.
fn hits_addend(inbox: &Inbox, hits: &[u8]) -> Result<(), HostFault> {
    // A message with the path in field 1 and the value in field 2; only lengths below 128 take one byte.
    const PATH: &[u8] = b"\x0a\x1benvoy.ratelimit.hits_addend\x12";
    let size = u8::try_from(hits.len()).unwrap_or_default();
    let mut arguments = PATH.to_vec();
    arguments.push(size);
    arguments.extend_from_slice(hits);
    abi::call_foreign(inbox, "set_envoy_filter_state", &arguments).map(|_| ())
}

/// Answers in the upstream's place. A reply that the host does not take resets the stream: the
/// request must end here, one way or the other.
pub(crate) fn reply(reply: &Reply) {
    let headers = serialize(&reply.headers);
    let sent = abi::reply(reply.status, reply.details, &headers, &reply.body, reply.grpc_status);
    if sent.is_err() {
        // Nothing is left to try: the filter stops the request in any case.
        let _ = abi::reset_request();
    }
}

/// Header lines as the ABI serializes them: their number, all lengths, then each name and value
/// with a zero byte behind it.
pub(crate) fn serialize(lines: &Lines) -> Vec<u8> {
    let (count, texts) = (lines.lengths().count(), lines.texts());
    let room = count.saturating_mul(8).saturating_add(4);
    let mut bytes = Vec::with_capacity(room.saturating_add(texts.len()));
    bytes.extend_from_slice(&u32::try_from(count).unwrap_or(0).to_le_bytes());
    for (name, value) in lines.lengths() {
        bytes.extend_from_slice(&(u64::from(value) << 32 | u64::from(name)).to_le_bytes());
    }
    bytes.extend_from_slice(texts);
    bytes
}

const fn malformed() -> HostFault {
    HostFault::malformed("proxy_get_header_map_pairs")
}

/// The reverse of [`serialize`], over bytes that stay where they are.
fn lines(bytes: &[u8]) -> Result<Vec<HeaderLine<'_>>, HostFault> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    parse(bytes).ok_or_else(malformed)
}

fn parse(bytes: &[u8]) -> Option<Vec<HeaderLine<'_>>> {
    let (count, rest) = bytes.split_first_chunk()?;
    // The lengths are there, so a count that no memory could hold ends here.
    let count = u32::from_le_bytes(*count) as usize;
    let (lengths, mut texts) = rest.split_at_checked(count.checked_mul(8)?)?;
    let mut lines = Vec::with_capacity(count);
    let (lengths, _) = lengths.as_chunks::<4>();
    for pair in lengths.chunks_exact(2) {
        let [name, value] = pair else { return None };
        let name = text(*name, &mut texts)?;
        let value = text(*value, &mut texts)?;
        lines.push((name, value));
    }
    Some(lines)
}

/// Takes a text of that length, and the zero byte behind it.
fn text<'m>(length: [u8; 4], texts: &mut &'m [u8]) -> Option<&'m [u8]> {
    let (text, rest) = texts.split_at_checked(u32::from_le_bytes(length) as usize)?;
    let (0, rest) = rest.split_first()? else { return None };
    *texts = rest;
    Some(text)
}
