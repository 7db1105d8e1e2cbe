//! The host calls that reach beyond the stream at hand: other streams, other servers, the environment.

use wasmi::Error;

use super::super::guest::{Guest, deserialize};
use super::super::host::{Call, GrpcCall, HttpCall};
use super::{BAD_ARGUMENT, Caller_, INTERNAL_FAILURE, INVALID_MEMORY_ACCESS, OK, Status};

pub(super) fn continue_stream(caller: Caller_<'_>, stream: u32) -> Status {
    let mut guest = enter!(caller, "proxy_continue_stream");
    if stream > 3 {
        return Ok(BAD_ARGUMENT);
    }
    if let Some(stream) = guest.host().wake() {
        stream.continued += 1;
    }
    Ok(OK)
}

pub(super) fn set_effective_context(caller: Caller_<'_>, context: u32) -> Status {
    let mut guest = enter!(caller, "proxy_set_effective_context");
    let host = guest.host();
    if !host.is_context(context) {
        return Ok(BAD_ARGUMENT);
    }
    host.effective = Some(context);
    Ok(OK)
}

#[expect(clippy::too_many_arguments, reason = "the ABI's own signature")]
pub(super) fn http_call(
    caller: Caller_<'_>,
    cluster: u32,
    cluster_size: u32,
    headers: u32,
    headers_size: u32,
    body: u32,
    body_size: u32,
    trailers: u32,
    trailers_size: u32,
    timeout: u32,
    token_to: u32,
) -> Status {
    let mut guest = enter!(caller, "proxy_http_call");
    let cluster = get!(guest.text(cluster, cluster_size), INVALID_MEMORY_ACCESS);
    let headers = get!(guest.read(headers, headers_size), INVALID_MEMORY_ACCESS);
    get!(guest.read(body, body_size), INVALID_MEMORY_ACCESS);
    get!(guest.read(trailers, trailers_size), INVALID_MEMORY_ACCESS);
    let headers = deserialize(&headers)?;
    let has = |name: &[u8]| headers.iter().any(|(held, _)| held == name);
    let complete = [&b":method"[..], b":path", b":authority"].into_iter().all(has);
    if !complete || !guest.host().process.has_cluster(&cluster) {
        return Ok(BAD_ARGUMENT);
    }
    let host = guest.host();
    let (token, root) = (host.next_token, host.root());
    host.next_token += 1;
    host.sent.push(HttpCall { token, root, cluster, headers, timeout });
    Ok(if guest.write(token_to, &token.to_le_bytes()) { OK } else { INVALID_MEMORY_ACCESS })
}

#[expect(clippy::too_many_arguments, reason = "the ABI's own signature")]
pub(super) fn grpc_call(
    caller: Caller_<'_>,
    service: u32,
    service_size: u32,
    name: u32,
    name_size: u32,
    method: u32,
    method_size: u32,
    metadata: u32,
    metadata_size: u32,
    message: u32,
    message_size: u32,
    timeout: u32,
    token_to: u32,
) -> Status {
    let mut guest = enter!(caller, "proxy_grpc_call");
    let service = get!(guest.read(service, service_size), INVALID_MEMORY_ACCESS);
    let name = get!(guest.text(name, name_size), INVALID_MEMORY_ACCESS);
    let method = get!(guest.text(method, method_size), INVALID_MEMORY_ACCESS);
    get!(guest.read(metadata, metadata_size), INVALID_MEMORY_ACCESS);
    let message = get!(guest.read(message, message_size), INVALID_MEMORY_ACCESS);
    // `GrpcService { envoy_grpc = 1 { cluster_name = 1 } }`; Envoy takes others too, this filter sends none.
    let cluster = match service.as_slice() {
        [0x0a, outer, 0x0a, inner, name @ ..]
            if usize::from(*inner) == name.len() && *outer == inner.wrapping_add(2) =>
        {
            String::from_utf8_lossy(name).into_owned()
        }
        _ => return Ok(BAD_ARGUMENT),
    };
    let host = guest.host();
    let (token, root) = (host.next_token, host.root());
    host.next_token += 1;
    // Envoy notices here that there is no such cluster, and that no host of one is well.
    if !host.process.has_cluster(&cluster) {
        return Ok(INTERNAL_FAILURE);
    }
    let method = format!("{name}/{method}");
    host.grpc_sent.push(GrpcCall { token, root, cluster, method, message, timeout });
    Ok(if guest.write(token_to, &token.to_le_bytes()) { OK } else { INVALID_MEMORY_ACCESS })
}

pub(super) fn environ_sizes(caller: Caller_<'_>, count_to: u32, size_to: u32) -> Status {
    let mut guest = Guest::new(caller)?;
    let variables = guest.host().process.environment();
    let size: usize = variables.iter().map(Vec::len).sum();
    let mut write = |number: usize, to: u32| {
        let number = u32::try_from(number).map_err(|_| Error::new("an environment over 4 GiB"))?;
        if guest.write(to, &number.to_le_bytes()) { Ok(()) } else { Err(outside()) }
    };
    write(variables.len(), count_to)?;
    write(size, size_to)?;
    Ok(OK)
}

pub(super) fn environ(caller: Caller_<'_>, pointers_to: u32, text_to: u32) -> Status {
    let mut guest = Guest::new(caller)?;
    let (mut pointer, mut text) = (pointers_to, text_to);
    for variable in guest.host().process.environment() {
        if !guest.write(pointer, &text.to_le_bytes()) || !guest.write(text, &variable) {
            return Err(outside());
        }
        pointer = pointer.checked_add(4).ok_or_else(outside)?;
        let length = u32::try_from(variable.len()).map_err(|_| outside())?;
        text = text.checked_add(length).ok_or_else(outside)?;
    }
    Ok(OK)
}

fn outside() -> Error {
    Error::new("the environment was asked for outside of the module's memory")
}
