//! Calls to other servers, and requests that wait for their answers.

use super::{Buffer, HostFault, Inbox, buffer, done, raw};

/// Sends a GET request to a cluster. `headers` is serialized as the ABI says. The answer, or its
/// absence, comes with the token that this gives to `proxy_on_http_call_response` of the root context.
pub(crate) fn http_call(cluster: &str, headers: &[u8], millis: u32) -> Result<u32, HostFault> {
    let mut token = 0;
    let nothing: &[u8] = &[];
    // SAFETY: pointers and lengths are of live slices, which the host only reads; it writes 4 bytes to
    // a live u32.
    done("proxy_http_call", unsafe {
        raw::proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            nothing.as_ptr(),
            0,
            nothing.as_ptr(),
            0,
            millis,
            &raw mut token,
        )
    })?;
    Ok(token)
}

/// The body of an answer, `size` bytes of it. There only while its callback runs.
pub(crate) fn response_body(inbox: &Inbox, size: usize) -> Result<&[u8], HostFault> {
    // Envoy leaves pointer and length alone where it is asked for nothing.
    if size == 0 { Ok(&[]) } else { buffer(inbox, Buffer::CallResponseBody, size) }
}

/// Calls a method of a gRPC service; `service` is a serialized `GrpcService` of Envoy's. The answer comes with
/// the token that this gives to `proxy_on_grpc_receive` of the root context, its absence to `proxy_on_grpc_close`.
/// Of a call that fails at once the host may tell there too, with a token that nobody was given.
pub(crate) fn grpc_call(
    service: &[u8],
    name: &str,
    method: &str,
    message: &[u8],
    millis: u32,
) -> Result<u32, HostFault> {
    let mut token = 0;
    let nothing: &[u8] = &[];
    // SAFETY: pointers and lengths are of live slices, which the host only reads; it writes 4 bytes to
    // a live u32.
    done("proxy_grpc_call", unsafe {
        raw::proxy_grpc_call(
            service.as_ptr(),
            service.len(),
            name.as_ptr(),
            name.len(),
            method.as_ptr(),
            method.len(),
            nothing.as_ptr(),
            0,
            message.as_ptr(),
            message.len(),
            millis,
            &raw mut token,
        )
    })?;
    Ok(token)
}

/// The message of a gRPC answer, `size` bytes of it. There only while its callback runs.
pub(crate) fn grpc_message(inbox: &Inbox, size: usize) -> Result<&[u8], HostFault> {
    if size == 0 { Ok(&[]) } else { buffer(inbox, Buffer::GrpcMessage, size) }
}

/// Makes the host calls that follow about another stream or root context, until the callback ends.
pub(crate) fn act_for(context: u32) -> Result<(), HostFault> {
    // SAFETY: numbers only.
    done("proxy_set_effective_context", unsafe { raw::proxy_set_effective_context(context) })
}

/// Lets a request go on that was stopped. The host does so after the callback.
pub(crate) fn continue_request() -> Result<(), HostFault> {
    const REQUEST: u32 = 0;
    // SAFETY: numbers only.
    done("proxy_continue_stream", unsafe { raw::proxy_continue_stream(REQUEST) })
}
